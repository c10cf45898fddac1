"""Stamps, foreign keys that act by themselves, and the views."""

from django.db import migrations

from herds.sql import RunSQLFile


class Migration(migrations.Migration):
    dependencies = [("herds", "0001_initial")]

    operations = [
        RunSQLFile(
            "audit_stamps.sql",
            undo="DROP FUNCTION sp_audit_stamps CASCADE",
        ),
        RunSQLFile(
            "foreign_keys.sql",
            undo=(
                "ALTER TABLE ele_instance DROP CONSTRAINT ele_instance_master_herd_fkey"
            ),
        ),
        RunSQLFile("v_dr_pairs.sql", undo="DROP VIEW v_dr_pairs"),
        RunSQLFile("v_flat_instance.sql", undo="DROP VIEW v_flat_instance"),
    ]
