"""Brings the rows of an ElepHaaS 1.2 whose tables have made room."""

from django.db import migrations

from herds.sql import adoption


def bring(apps, schema_editor):
    adoption.bring(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0016_lag_keys'),
    ]

    operations = [
        migrations.RunPython(bring, migrations.RunPython.noop, elidable=False),
    ]
