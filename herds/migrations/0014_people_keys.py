"""Has grants and freezes go with what they belong to; a migration after their tables."""

from django.db import migrations

from herds.sql import RunSQLFile


class Migration(migrations.Migration):

    dependencies = [("herds", "0013_people")]

    operations = [RunSQLFile("people_keys.sql", undo="SELECT")]
