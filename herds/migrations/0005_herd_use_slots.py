"""Whether the standbys of a herd stream through slots."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0004_roles'),
    ]

    operations = [
        migrations.AddField(
            model_name='herd',
            name='use_slots',
            field=models.BooleanField(db_default=False, default=False, help_text='Standbys stream through a slot of their own, which keeps WAL for them while they are away. Each takes it up or leaves it when it is rebuilt.', verbose_name='Replication Slots'),
        ),
    ]
