"""Gives agents the functions they report by, and the right to these alone."""

from django.db import migrations, models

from herds.sql import RunSQLFile


class Migration(migrations.Migration):

    dependencies = [("herds", "0011_notices")]

    operations = [
        migrations.AddField(
            model_name="instance",
            name="upstream_host",
            field=models.CharField(blank=True, db_default="", default="", editable=False, help_text="The upstream an agent reports, where that is no member of the herd.", max_length=253),
        ),
        migrations.AddField(
            model_name="discovery",
            name="system_identifier",
            field=models.CharField(blank=True, db_default="", max_length=20),
        ),
        migrations.AddField(
            model_name="discovery",
            name="timeline",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        # The keys of a new table are made when its migration ends, in 0010.
        RunSQLFile("discovery_keys.sql", undo="SELECT"),
        RunSQLFile("agents_roles.sql", undo="SELECT"),
        RunSQLFile(
            "sp_discover_server.sql",
            undo=(
                "DROP FUNCTION sp_discover_server;"
                "DROP FUNCTION sp_refuse_other_host"
            ),
        ),
        RunSQLFile("sp_get_herd.sql", undo="DROP FUNCTION sp_get_herd"),
        RunSQLFile(
            "sp_take_in.sql",
            undo=(
                "DROP FUNCTION sp_file_discovery;"
                "DROP FUNCTION sp_take_in;"
                "DROP FUNCTION sp_find_upstream;"
                "DROP FUNCTION sp_sole_primary"
            ),
        ),
        RunSQLFile("sp_instance_checkin.sql", undo="DROP FUNCTION sp_instance_checkin"),
        RunSQLFile("agents_rights.sql", undo="SELECT"),
    ]
