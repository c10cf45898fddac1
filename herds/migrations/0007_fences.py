"""Keeps the ledger of former primaries that must not take writes."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0006_step_copy_idx'),
    ]

    operations = [
        migrations.CreateModel(
            name='Fence',
            fields=[
                ('instance', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='fence', serialize=False, to='herds.instance')),
                ('since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('attested', models.TextField(blank=True, default='', help_text='What a person said keeps it from coming back, and who.')),
                ('applied_at', models.DateTimeField(help_text='When its directory was made one of a standby.', null=True)),
                ('seen_writable_at', models.DateTimeField(help_text='When it was last seen to take writes all the same.', null=True)),
                ('operation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='herds.operation')),
            ],
            options={
                'db_table': 'ele_fence',
                'default_permissions': (),
            },
        ),
    ]
