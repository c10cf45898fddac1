"""Keeps who may do what where, freezes, second persons, and the audit log."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from herds.sql import RunSQLFile


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('herds', '0012_agents'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='server',
            options={'ordering': ['hostname'], 'permissions': [('accept_host_key_server', 'Can accept host keys')], 'verbose_name': 'Server'},
        ),
        migrations.AddField(
            model_name='environment',
            name='approval',
            field=models.CharField(choices=[('never', 'Never'), ('destructive', 'For what destroys or moves something'), ('always', 'For every action but refresh')], db_default='never', default='never', help_text='When another person has to say yes as well.', max_length=12, verbose_name='Second Person'),
        ),
        migrations.AddField(
            model_name='environment',
            name='colour',
            field=models.CharField(blank=True, choices=[('red', 'Red'), ('amber', 'Amber'), ('green', 'Green'), ('blue', 'Blue'), ('violet', 'Violet'), ('teal', 'Teal')], db_default='', default='', help_text='Left empty, it follows from the name.', max_length=10),
        ),
        migrations.AddField(
            model_name='environment',
            name='types_names',
            field=models.BooleanField(db_default=False, default=False, help_text='Whoever stops, moves or destroys something here types its name.', verbose_name='Typed Names'),
        ),
        migrations.AddField(
            model_name='operation',
            name='approved_by_name',
            field=models.CharField(blank=True, db_default='', default='', max_length=150),
        ),
        migrations.AddField(
            model_name='operation',
            name='asked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='asked_by_name',
            field=models.CharField(blank=True, db_default='', default='', help_text='Who said yes where a second person has to.', max_length=150),
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('audit_id', models.BigAutoField(primary_key=True, serialize=False, verbose_name='number')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='when')),
                ('who', models.CharField(max_length=150)),
                ('address', models.CharField(blank=True, default='', max_length=100, verbose_name='from where')),
                ('event', models.CharField(max_length=40, verbose_name='what')),
                ('kind', models.CharField(blank=True, default='', max_length=40, verbose_name='of what')),
                ('name', models.CharField(blank=True, default='', max_length=400, verbose_name='which')),
                ('number', models.CharField(blank=True, default='', max_length=40)),
                ('environments', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), default=list, size=None)),
                ('before', models.JSONField(blank=True, null=True)),
                ('after', models.JSONField(blank=True, null=True)),
                ('words', models.TextField(blank=True, default='', verbose_name='in words')),
            ],
            options={
                'verbose_name': 'Audit Entry',
                'verbose_name_plural': 'Audit Log',
                'db_table': 'ele_audit',
                'ordering': ['-audit_id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['at'], name='ele_audit_at_idx')],
            },
        ),
        migrations.CreateModel(
            name='Freeze',
            fields=[
                ('freeze_id', models.AutoField(primary_key=True, serialize=False)),
                ('begins_at', models.DateTimeField(verbose_name='From')),
                ('ends_at', models.DateTimeField(verbose_name='Until')),
                ('reason', models.CharField(help_text='Shown to everybody who is refused.', max_length=200)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='freezes', to='herds.environment')),
            ],
            options={
                'verbose_name': 'Freeze',
                'db_table': 'ele_freeze',
                'ordering': ['begins_at'],
                'permissions': [('override_freeze', 'Can make changes during a freeze')],
                'constraints': [models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('begins_at'))), name='ele_freeze_order_check', violation_error_message='It ends after it begins.')],
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('grant_id', models.AutoField(primary_key=True, serialize=False)),
                ('permissions', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='What its members may do to the herds of this environment.', size=None)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='herds.environment', verbose_name='environment')),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='auth.group')),
            ],
            options={
                'verbose_name': 'Permission Here',
                'verbose_name_plural': 'Permissions Here',
                'db_table': 'ele_grant',
                'constraints': [models.UniqueConstraint(fields=('group', 'environment'), name='ele_grant_key', violation_error_message='This group has its line here already.')],
            },
        ),
        RunSQLFile("audit_lock.sql", undo="DROP FUNCTION sp_audit_lock CASCADE"),
    ]
