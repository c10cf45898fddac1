"""Has hosts looked at in turn, and pairs chosen by lags that can be compared."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from herds.sql import FOLDER, RunSQLFile


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0014_people_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='HostRefresh',
            fields=[
                ('server', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='herds.server')),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ('is_slow', models.BooleanField(db_default=False, default=False, help_text='The last look saw not everything, or nothing.')),
            ],
            options={
                'db_table': 'ele_host_refresh',
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='herd',
            name='vhost_asked_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When a worker took it upon itself to ask DNS last.', null=True),
        ),
        migrations.AddIndex(
            model_name='operationtarget',
            index=models.Index(fields=['finished_at'], name='ele_target_finished_idx'),
        ),
        RunSQLFile(
            'v_dr_pairs_lag.sql',
            undo='DROP VIEW v_dr_pairs;' + (FOLDER / 'v_dr_pairs.sql').read_text('utf-8'),
        ),
    ]
