"""Keeps where virtual hosts were seen to point; adds the permission to move them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0007_fences'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='instance',
            options={'ordering': ['herd__herd_name', 'server__hostname'], 'permissions': [('start_instance', 'Can start instances'), ('stop_instance', 'Can stop instances'), ('restart_instance', 'Can restart instances'), ('reload_instance', 'Can reload instances'), ('refresh_instance', 'Can refresh what is known of instances'), ('promote_instance', 'Can promote replicas'), ('demote_instance', 'Can demote primaries'), ('rebuild_instance', 'Can rebuild replicas'), ('switchover_instance', 'Can switch herds over to a replica'), ('failover_instance', 'Can fail herds over to a replica'), ('refresh_dns_instance', 'Can make virtual hosts follow the primary')], 'verbose_name': 'Instance'},
        ),
        migrations.AddField(
            model_name='herd',
            name='vhost_seen_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='herd',
            name='vhost_target',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='Where the virtual host pointed when DNS was asked last.', max_length=253),
        ),
        migrations.AddField(
            model_name='herd',
            name='vhost_trouble',
            field=models.TextField(blank=True, db_default='', default='', editable=False, help_text='Which name servers said otherwise, or nothing.'),
        ),
    ]
