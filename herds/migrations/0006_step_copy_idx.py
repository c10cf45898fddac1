"""An index of the steps that copied data."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0005_herd_use_slots'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='operationstep',
            index=models.Index(condition=models.Q(('name__in', ['copy', 'rewind'])), fields=['-finished_at'], name='ele_step_copy_idx'),
        ),
    ]
