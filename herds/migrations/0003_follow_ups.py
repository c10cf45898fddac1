"""Keeps with every target what is left to do after it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("herds", "0002_database_objects"),
    ]

    operations = [
        migrations.AddField(
            model_name="operationtarget",
            name="follow_ups",
            field=models.JSONField(
                default=list, help_text="What is left to do: action, instance_id, words."
            ),
        ),
    ]
