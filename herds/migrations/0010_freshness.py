"""Keeps lag, timeline and slots as seen, and what agents report that has no place."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0009_fence_keys'),
    ]

    operations = [
        migrations.AddField(
            model_name='environment',
            name='is_refreshed',
            field=models.BooleanField(db_default=True, default=True, help_text='Workers look at its instances. Off where agents report.', verbose_name='Refreshed By Workers'),
        ),
        migrations.AddField(
            model_name='instance',
            name='is_streaming',
            field=models.BooleanField(blank=True, editable=False, help_text='Whether a standby receives WAL; null where that was not seen.', null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='lag_octets',
            field=models.BigIntegerField(blank=True, editable=False, help_text='Bytes behind the upstream, by readings that can be compared.', null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='lag_seen_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='observed_by',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='Who saw it last: a worker or an agent.', max_length=10),
        ),
        migrations.AddField(
            model_name='instance',
            name='slot_name',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='The slot nobody uses that holds most WAL, if one does.', max_length=63),
        ),
        migrations.AddField(
            model_name='instance',
            name='slot_octets',
            field=models.BigIntegerField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='system_identifier',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=20),
        ),
        migrations.AddField(
            model_name='instance',
            name='timeline',
            field=models.BigIntegerField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='discovered_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When an agent reported this host first, if that registered it.', null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='reported_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When an agent on this host reported last.', null=True),
        ),
        migrations.CreateModel(
            name='Discovery',
            fields=[
                ('discovery_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('base_name', models.CharField(max_length=63, verbose_name='Cluster Name')),
                ('db_port', models.IntegerField(verbose_name='DB Port')),
                ('pgdata', models.CharField(blank=True, db_default='', max_length=1000, verbose_name='Data Root')),
                ('version', models.CharField(blank=True, db_default='', max_length=20)),
                ('is_online', models.BooleanField(db_default=False)),
                ('master_host', models.CharField(blank=True, db_default='', max_length=253, verbose_name='Upstream Host')),
                ('xlog_pos', models.BigIntegerField(blank=True, null=True, verbose_name='WAL Position')),
                ('why', models.TextField(blank=True, db_default='', help_text='What is missing to place it.', verbose_name='Why')),
                ('first_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='first reported')),
                ('last_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='last reported')),
                ('server', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='discoveries', to='herds.server', verbose_name='Container')),
            ],
            options={
                'verbose_name': 'Discovered Instance',
                'db_table': 'ele_discovery',
                'ordering': ['server__hostname', 'db_port'],
                'permissions': [('place_discovery', 'Can place discovered instances in herds')],
                'default_permissions': ('view', 'delete'),
                'constraints': [models.UniqueConstraint(fields=('server', 'db_port', 'base_name'), name='ele_discovery_key')],
            },
        ),
    ]
