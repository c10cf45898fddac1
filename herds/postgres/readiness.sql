SELECT jsonb_build_object(
    'recovery', pg_is_in_recovery(),
    'ready_files', CASE WHEN current_setting('archive_mode') <> 'off' THEN
        (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') END,
    'archiver', CASE WHEN current_setting('archive_mode') <> 'off' THEN
        (SELECT jsonb_build_object(
            'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
            'failed_wal', last_failed_wal) FROM pg_stat_archiver) END,
    'senders', (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'name', application_name, 'state', state, 'sync_state', sync_state,
            'kind', CASE WHEN EXISTS (SELECT FROM pg_replication_slots l
                WHERE l.active_pid = s.pid AND l.slot_type = 'logical') THEN 'logical'
                ELSE 'physical' END,
            'behind', CASE WHEN NOT pg_is_in_recovery() THEN
                pg_current_wal_flush_lsn() - flush_lsn END,
            'silent', extract(epoch FROM clock_timestamp() - reply_time))), '[]')
        FROM pg_stat_replication s),
    'logical_slots', (SELECT coalesce(jsonb_agg(jsonb_build_object(
            'name', slot_name,
            'failover', coalesce((to_jsonb(s) ->> 'failover')::boolean, false),
            'synced', coalesce((to_jsonb(s) ->> 'synced')::boolean, false))), '[]')
        FROM pg_replication_slots s WHERE slot_type = 'logical' AND NOT temporary),
    'free_slots', current_setting('max_replication_slots')::int
        - (SELECT count(*) FROM pg_replication_slots),
    'free_senders', current_setting('max_wal_senders')::int
        - (SELECT count(*) FROM pg_stat_replication),
    'backups', (SELECT count(*) FROM pg_stat_progress_basebackup),
    'prepared', (SELECT count(*) FROM pg_prepared_xacts),
    'clients', (SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
    'longest', (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))
        FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
    'unlogged', (SELECT count(*) FROM pg_class
        WHERE relpersistence = 'u' AND relkind = 'r'),
    'paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
    'preload', current_setting('shared_preload_libraries'),
    'sync_names', current_setting('synchronous_standby_names'),
    'sync_commit', current_setting('synchronous_commit'))
