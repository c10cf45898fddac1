"""Adds the permissions to move the primaries of herds."""
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('herds', '0003_follow_ups'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='instance',
            options={'ordering': ['herd__herd_name', 'server__hostname'], 'permissions': [('start_instance', 'Can start instances'), ('stop_instance', 'Can stop instances'), ('restart_instance', 'Can restart instances'), ('reload_instance', 'Can reload instances'), ('refresh_instance', 'Can refresh what is known of instances'), ('promote_instance', 'Can promote replicas'), ('demote_instance', 'Can demote primaries'), ('rebuild_instance', 'Can rebuild replicas'), ('switchover_instance', 'Can switch herds over to a replica'), ('failover_instance', 'Can fail herds over to a replica')], 'verbose_name': 'Instance'},
        ),
    ]
