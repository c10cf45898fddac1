"""Keeps messages until everybody has them, and what people were warned of."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0010_freshness'),
    ]

    operations = [
        migrations.CreateModel(
            name='Alarm',
            fields=[
                ('key', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('words', models.TextField()),
                ('environment_name', models.CharField(blank=True, default='', max_length=40)),
                ('since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('told_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'ele_alarm',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('notice_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=200, unique=True)),
                ('event', models.CharField(max_length=20)),
                ('environments', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), default=list, size=None)),
                ('title', models.TextField()),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('delivered', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), default=list, size=None)),
                ('attempts', models.IntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('trouble', models.TextField(blank=True, default='', help_text='Who did not take it, while one did not.')),
            ],
            options={
                'db_table': 'ele_notice',
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('done_at__isnull', True)), fields=['next_attempt_at'], name='ele_notice_waiting_idx')],
            },
        ),
    ]
