"""Has what is known of a host's looks go with it; its key is made when 0011 ends."""

from django.db import migrations

from herds.sql import RunSQLFile


class Migration(migrations.Migration):
    dependencies = [("herds", "0015_lag")]

    operations = [RunSQLFile("host_refresh_keys.sql", undo="SELECT")]
