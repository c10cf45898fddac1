"""Has fences act by themselves on a delete; their keys are made when 0007 ends."""

from django.db import migrations

from herds.sql import RunSQLFile


class Migration(migrations.Migration):
    dependencies = [("herds", "0008_virtual_hosts")]

    operations = [RunSQLFile("fence_keys.sql", undo="SELECT")]
