"""The tables."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import herds.domain.states
import herds.models.validators
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Herd',
            fields=[
                ('created_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('modified_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='modified')),
                ('herd_id', models.AutoField(primary_key=True, serialize=False)),
                ('base_name', models.CharField(help_text="The cluster's name for command line tools. Example: main.", max_length=63, validators=[herds.models.validators.cluster_name], verbose_name='Cluster Name')),
                ('herd_name', models.CharField(help_text='What people call this herd. Example: trade.', max_length=100, validators=[herds.models.validators.printable], verbose_name='Herd Name')),
                ('herd_descr', models.TextField(blank=True, db_default='', default='', help_text='What this herd serves, and whom to ask about it.', max_length=2000, verbose_name='Long Description')),
                ('db_port', models.IntegerField(db_default=5432, default=5432, help_text='1 to 65535.', validators=[herds.models.validators.port], verbose_name='DB Port')),
                ('pgdata', models.CharField(help_text='The data directory on every server of the herd. Example: /var/lib/postgresql/15/main.', max_length=1000, validators=[herds.models.validators.absolute_path], verbose_name='Data Root')),
                ('vhost', models.CharField(blank=True, db_default='', default='', help_text='The DNS name that always points at the primary.', max_length=253, validators=[herds.models.validators.dns_name], verbose_name='Virtual Host')),
            ],
            options={
                'verbose_name': 'Herd',
                'db_table': 'ele_herd',
                'ordering': ['herd_name'],
            },
        ),
        migrations.CreateModel(
            name='Environment',
            fields=[
                ('created_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('modified_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='modified')),
                ('environment_id', models.AutoField(primary_key=True, serialize=False)),
                ('env_name', models.CharField(help_text='Example: dev, stage, prod.', max_length=40, validators=[herds.models.validators.printable], verbose_name='Environment Name')),
                ('env_descr', models.TextField(blank=True, db_default='', default='', help_text='What this environment is for, and what to know before acting in it.', max_length=2000, verbose_name='Long Description')),
            ],
            options={
                'verbose_name': 'System Environment',
                'db_table': 'ele_environment',
                'ordering': ['env_name'],
            },
        ),
        migrations.CreateModel(
            name='Instance',
            fields=[
                ('created_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('modified_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='modified')),
                ('instance_id', models.AutoField(primary_key=True, serialize=False)),
                ('version', models.CharField(blank=True, db_default='', default='', editable=False, max_length=20)),
                ('local_pgdata', models.CharField(blank=True, db_default='', default='', help_text="Only where this server's data directory differs from the herd's.", max_length=1000, validators=[herds.models.validators.absolute_path], verbose_name='Local Data Root')),
                ('xlog_pos', models.BigIntegerField(blank=True, editable=False, null=True, verbose_name='WAL Position')),
                ('is_online', models.BooleanField(db_default=False, default=False, editable=False)),
                ('observed_at', models.DateTimeField(blank=True, editable=False, help_text='When the state was last seen, by a refresh, an action or an agent.', null=True)),
                ('unreachable_since', models.DateTimeField(blank=True, editable=False, help_text='Set while the state is unknown; cleared by the next observation.', null=True)),
                ('unreachable_why', models.TextField(blank=True, db_default='', default='', editable=False)),
            ],
            options={
                'verbose_name': 'Instance',
                'db_table': 'ele_instance',
                'ordering': ['herd__herd_name', 'server__hostname'],
                'permissions': [('start_instance', 'Can start instances'), ('stop_instance', 'Can stop instances'), ('restart_instance', 'Can restart instances'), ('reload_instance', 'Can reload instances'), ('refresh_instance', 'Can refresh what is known of instances'), ('promote_instance', 'Can promote replicas'), ('demote_instance', 'Can demote primaries'), ('rebuild_instance', 'Can rebuild replicas')],
            },
        ),
        migrations.CreateModel(
            name='Operation',
            fields=[
                ('operation_id', models.BigAutoField(primary_key=True, serialize=False, verbose_name='number')),
                ('action', models.CharField(max_length=40)),
                ('headline', models.TextField(verbose_name='what')),
                ('afterwards', models.TextField(blank=True, default='', help_text='What will be true once all has succeeded.')),
                ('state', models.CharField(choices=[('planning', 'planning'), ('planned', 'planned'), ('queued', 'queued'), ('running', 'running'), ('cancelling', 'cancelling'), ('succeeded', 'succeeded'), ('partly', 'partly'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('interrupted', 'interrupted'), ('expired', 'expired')], default=herds.domain.states.OperationState['PLANNED'], max_length=20)),
                ('outcome', models.TextField(blank=True, default='', help_text='One sentence of what is true at the end.')),
                ('requested_by_name', models.CharField(max_length=150, verbose_name='who')),
                ('source', models.CharField(help_text='Where it was asked for: admin or terminal.', max_length=20)),
                ('reason', models.TextField(blank=True, default='', max_length=2000, verbose_name='why')),
                ('parameters', models.JSONField(blank=True, default=dict)),
                ('concurrency', models.IntegerField(default=16, help_text='Herds worked on at the same time, at most.')),
                ('stop_at_first_failure', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='when')),
                ('expires_at', models.DateTimeField(help_text='Until when the plan can be confirmed.')),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('cancel_requested_at', models.DateTimeField(blank=True, null=True)),
                ('cancel_requested_by_name', models.CharField(blank=True, default='', max_length=150)),
            ],
            options={
                'db_table': 'ele_operation',
                'ordering': ['-operation_id'],
                'permissions': [('cancel_operation', 'Can cancel operations of other people')],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='OperationJob',
            fields=[
                ('job_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('herd_key', models.CharField(max_length=40)),
                ('queue_id', models.BigIntegerField(help_text='Number in the queue.', null=True)),
                ('is_done', models.BooleanField(default=False)),
            ],
            options={
                'db_table': 'ele_operation_job',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='OperationOutput',
            fields=[
                ('output_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('number', models.IntegerField()),
                ('stream', models.CharField(max_length=6)),
                ('text', models.TextField()),
            ],
            options={
                'db_table': 'ele_operation_output',
                'ordering': ['step', 'number'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='OperationStep',
            fields=[
                ('step_id', models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ('attempt', models.IntegerField(default=1)),
                ('number', models.IntegerField()),
                ('name', models.CharField(max_length=60)),
                ('words', models.TextField(help_text='What the step does, for people.')),
                ('state', models.CharField(choices=[('running', 'running'), ('succeeded', 'succeeded'), ('skipped', 'skipped'), ('failed', 'failed'), ('unknown', 'unknown'), ('interrupted', 'interrupted')], default=herds.domain.states.StepState['RUNNING'], max_length=20)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('command', models.TextField(blank=True, default='')),
                ('exit_status', models.IntegerField(blank=True, null=True)),
                ('evidence', models.JSONField(default=dict)),
                ('progress', models.JSONField(default=dict, help_text='Of long work: words, done, total (bytes), rate (B/s).')),
                ('message', models.TextField(blank=True, default='')),
            ],
            options={
                'db_table': 'ele_operation_step',
                'ordering': ['target', 'attempt', 'number'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='OperationTarget',
            fields=[
                ('target_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('position', models.IntegerField(help_text='Order on the page.')),
                ('wave', models.IntegerField(default=0, help_text='Targets of a herd run wave after wave, a wave at once.')),
                ('herd_key', models.CharField(help_text='What is locked while this target runs.', max_length=40)),
                ('herd_name', models.CharField(max_length=100)),
                ('environment_name', models.CharField(blank=True, default='', max_length=40)),
                ('hostname', models.CharField(blank=True, default='', max_length=253)),
                ('plan', models.JSONField(default=dict, help_text='The planned target as shown before the yes.')),
                ('state', models.CharField(choices=[('planned', 'planned'), ('queued', 'queued'), ('running', 'running'), ('cancelling', 'cancelling'), ('succeeded', 'succeeded'), ('follow-ups', 'follow-ups'), ('failed', 'failed'), ('rolled back', 'rolled back'), ('cancelled', 'cancelled'), ('interrupted', 'interrupted'), ('refused', 'refused')], default=herds.domain.states.TargetState['PLANNED'], max_length=20)),
                ('outcome', models.TextField(blank=True, default='')),
                ('detail', models.TextField(blank=True, default='', help_text='Technical detail, one unfold away.')),
                ('current_step', models.TextField(blank=True, default='')),
                ('attempt', models.IntegerField(default=0, help_text='Counts claims, so that a worker once lost cannot write.')),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'ele_operation_target',
                'ordering': ['operation', 'position'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Server',
            fields=[
                ('created_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('modified_dt', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='modified')),
                ('server_id', models.AutoField(primary_key=True, serialize=False)),
                ('hostname', models.CharField(help_text='As this service resolves it. Example: ele01.', max_length=253, validators=[herds.models.validators.dns_name], verbose_name='Host Name')),
                ('host_key', models.TextField(blank=True, db_default='', default='', editable=False, help_text='The accepted SSH host key: type and base64, as in known_hosts.', verbose_name='Host Key')),
                ('host_key_accepted_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('host_key_accepted_by', models.CharField(blank=True, db_default='', default='', editable=False, max_length=150)),
            ],
            options={
                'verbose_name': 'Server',
                'db_table': 'ele_server',
                'ordering': ['hostname'],
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('worker_id', models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ('hostname', models.CharField(max_length=253)),
                ('pid', models.IntegerField()),
                ('concurrency', models.IntegerField()),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('heartbeat_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('stopped_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'ele_worker',
                'ordering': ['-heartbeat_at'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='DisasterRecovery',
            fields=[
                ('herd', models.OneToOneField(on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='+', serialize=False, to='herds.herd')),
                ('mb_lag', models.DecimalField(blank=True, decimal_places=1, max_digits=20, null=True, verbose_name='MB Lag')),
                ('vhost', models.CharField(max_length=253, verbose_name='Virtual Host')),
            ],
            options={
                'verbose_name': 'Disaster Recovery Pair',
                'db_table': 'v_dr_pairs',
                'ordering': ['herd__herd_name'],
                'managed': False,
                'default_permissions': ('view',),
            },
        ),
        migrations.AddField(
            model_name='herd',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='herds', to='herds.environment'),
        ),
        migrations.AddConstraint(
            model_name='environment',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('env_name'), name='ele_environment_name_key', violation_error_message='An environment of this name exists already.'),
        ),
        migrations.AddConstraint(
            model_name='environment',
            constraint=models.CheckConstraint(condition=models.Q(('env_name__regex', '[[:cntrl:]]'), _negated=True), name='ele_environment_name_check', violation_error_message='Line breaks and control characters cannot stand in a name, nor can invisible ones.'),
        ),
        migrations.AddField(
            model_name='instance',
            name='herd',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='instances', to='herds.herd'),
        ),
        migrations.AddField(
            model_name='instance',
            name='master',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='followers', to='herds.instance', verbose_name='Upstream'),
        ),
        migrations.AddField(
            model_name='operation',
            name='requested_by',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='operation',
            name='retry_of',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='retries', to='herds.operation'),
        ),
        migrations.AddField(
            model_name='operationjob',
            name='operation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='herds.operation'),
        ),
        migrations.AddField(
            model_name='operationoutput',
            name='step',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='output', to='herds.operationstep'),
        ),
        migrations.AddField(
            model_name='operationtarget',
            name='herd',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='herds.herd'),
        ),
        migrations.AddField(
            model_name='operationtarget',
            name='instance',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='herds.instance'),
        ),
        migrations.AddField(
            model_name='operationtarget',
            name='operation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='targets', to='herds.operation'),
        ),
        migrations.AddField(
            model_name='operationstep',
            name='target',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='herds.operationtarget'),
        ),
        migrations.AddField(
            model_name='server',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='servers', to='herds.environment'),
        ),
        migrations.AddField(
            model_name='instance',
            name='server',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='instances', to='herds.server', verbose_name='Container'),
        ),
        migrations.AddField(
            model_name='operationtarget',
            name='worker',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='herds.worker'),
        ),
        migrations.AddField(
            model_name='operationjob',
            name='worker',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='herds.worker'),
        ),
        migrations.AddConstraint(
            model_name='herd',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('herd_name'), models.F('environment'), name='ele_herd_name_key', violation_error_message='This environment has a herd of this name already.'),
        ),
        migrations.AddConstraint(
            model_name='herd',
            constraint=models.CheckConstraint(condition=models.Q(('db_port__gte', 1), ('db_port__lte', 65535)), name='ele_herd_port_check', violation_error_message='A port is a number from 1 to 65535.'),
        ),
        migrations.AddConstraint(
            model_name='herd',
            constraint=models.CheckConstraint(condition=models.Q(('pgdata__startswith', '/'), models.Q(('pgdata__regex', '[[:cntrl:]"$`\\\\]'), _negated=True)), name='ele_herd_pgdata_check', violation_error_message="A data root is an absolute path: it begins with '/' and has no line breaks, control characters, double quotation marks, '$', backticks or backslashes."),
        ),
        migrations.AddConstraint(
            model_name='herd',
            constraint=models.CheckConstraint(condition=models.Q(('base_name__regex', '^[A-Za-z0-9_][A-Za-z0-9_.-]*$')), name='ele_herd_base_name_check', violation_error_message="A cluster name is made of letters, digits, '_', '.' and '-', and does not begin with '.' or '-'."),
        ),
        migrations.AddConstraint(
            model_name='herd',
            constraint=models.CheckConstraint(condition=models.Q(('herd_name__regex', '[[:cntrl:]]'), _negated=True), name='ele_herd_name_check', violation_error_message='Line breaks and control characters cannot stand in a name, nor can invisible ones.'),
        ),
        migrations.AddConstraint(
            model_name='herd',
            constraint=models.CheckConstraint(condition=models.Q(('vhost__regex', '[^A-Za-z0-9._-]'), _negated=True), name='ele_herd_vhost_check', violation_error_message="A host name is made of labels of letters, digits and '-' (1 to 63 characters each) with dots between them."),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['state'], name='ele_operation_state_idx'),
        ),
        migrations.AddConstraint(
            model_name='operationoutput',
            constraint=models.UniqueConstraint(fields=('step', 'number'), name='ele_operation_output_key'),
        ),
        migrations.AddConstraint(
            model_name='operationstep',
            constraint=models.UniqueConstraint(fields=('target', 'attempt', 'number'), name='ele_operation_step_key'),
        ),
        migrations.AddConstraint(
            model_name='server',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('hostname'), name='ele_server_hostname_key', violation_error_message='A server of this name exists already.'),
        ),
        migrations.AddConstraint(
            model_name='server',
            constraint=models.CheckConstraint(condition=models.Q(('hostname', django.db.models.functions.text.Lower('hostname'))), name='ele_server_hostname_check', violation_error_message='Host names are kept in lower case.'),
        ),
        migrations.AddConstraint(
            model_name='server',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('hostname', ''), _negated=True), models.Q(('hostname__regex', '[^A-Za-z0-9._-]'), _negated=True)), name='ele_server_hostname_chars_check', violation_error_message="A host name is made of labels of letters, digits and '-' (1 to 63 characters each) with dots between them."),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.UniqueConstraint(fields=('herd', 'server'), name='ele_instance_herd_server_key', violation_error_message='This server carries this herd already.'),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(('master__isnull', True), models.Q(('master', models.F('instance_id')), _negated=True), _connector='OR'), name='ele_instance_master_check', violation_error_message='An instance cannot be its own upstream.'),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.CheckConstraint(condition=models.Q(('local_pgdata', ''), models.Q(('local_pgdata__startswith', '/'), models.Q(('local_pgdata__regex', '[[:cntrl:]"$`\\\\]'), _negated=True)), _connector='OR'), name='ele_instance_pgdata_check', violation_error_message="A data root is an absolute path: it begins with '/' and has no line breaks, control characters, double quotation marks, '$', backticks or backslashes."),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.UniqueConstraint(fields=('herd', 'instance_id'), name='ele_instance_herd_member_key'),
        ),
        migrations.AddIndex(
            model_name='operationtarget',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'running', 'cancelling'])), fields=['state'], name='ele_target_active_idx'),
        ),
        migrations.AddIndex(
            model_name='operationtarget',
            index=models.Index(fields=['operation', 'herd_key', 'wave'], name='ele_target_herd_idx'),
        ),
        migrations.AddConstraint(
            model_name='operationtarget',
            constraint=models.UniqueConstraint(fields=('operation', 'position'), name='ele_operation_target_key'),
        ),
        migrations.AddConstraint(
            model_name='operationjob',
            constraint=models.UniqueConstraint(fields=('operation', 'herd_key'), name='ele_operation_job_key'),
        ),
    ]
