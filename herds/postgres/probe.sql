# A setting that waits for a restart is among the errors too; it is none.
SELECT jsonb_build_object(
    'version', current_setting('server_version'),
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'loaded_ago', extract(epoch FROM clock_timestamp() - pg_conf_load_time()),
    'recovery', pg_is_in_recovery(),
    'position', CASE WHEN pg_is_in_recovery()
        THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END,
    'received', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END,
    'replayed', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END,
    'replay_paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
    'replayed_ago', CASE WHEN pg_is_in_recovery() THEN
        extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
    'timeline', CASE WHEN NOT pg_is_in_recovery() THEN
        ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END,
    'wal_timeline', CASE WHEN pg_is_in_recovery() THEN
        (SELECT max(('x' || left(f.name, 8))::bit(32)::int)
           FROM pg_ls_waldir() f,
                (SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                         - '0/1'::pg_lsn)::bigint AS byte,
                        setting::bigint AS size
                   FROM pg_settings WHERE name = 'wal_segment_size') s
          WHERE right(f.name, 16) = upper(
                lpad(to_hex(s.byte / 4294967296), 8, '0')
                || lpad(to_hex(s.byte % 4294967296 / s.size), 8, '0'))) END,
    'system', (SELECT system_identifier::text FROM pg_control_system()),
    'receiver', (SELECT row_to_json(r) FROM pg_stat_wal_receiver r
        WHERE r.pid IS NOT NULL),
    'senders', (SELECT json_agg(s) FROM pg_stat_replication s),
    'slots', (SELECT json_agg(s) FROM pg_replication_slots s),
    'settings', (SELECT json_object_agg(name, setting) FROM pg_settings
        WHERE name IN ('archive_command', 'archive_mode', 'config_file',
            'data_checksums', 'data_directory', 'full_page_writes', 'hba_file',
            'hot_standby', 'ident_file', 'max_connections', 'max_locks_per_transaction',
            'max_prepared_transactions', 'max_replication_slots', 'max_wal_senders',
            'max_worker_processes', 'port', 'primary_conninfo', 'primary_slot_name',
            'recovery_min_apply_delay', 'recovery_target_timeline',
            'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time',
            'recovery_target_xid', 'recovery_target', 'restore_command',
            'synchronous_standby_names', 'wal_keep_size', 'wal_level',
            'wal_log_hints', 'wal_segment_size')),
    'clients', (SELECT json_agg(c) FROM (
        SELECT usename, datname, application_name, host(client_addr) AS address,
               count(*) AS sessions
          FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
         GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 20) c),
    'archiver', (SELECT row_to_json(a) FROM pg_stat_archiver a),
    'errors', (SELECT json_agg(concat_ws(': ',
            concat(sourcefile, ':', sourceline), name, error) ORDER BY seqno)
        FROM pg_file_settings f
        WHERE error IS NOT NULL AND sourcefile IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_settings s
            WHERE s.name = lower(f.name) AND s.pending_restart)),
    'pending', (SELECT json_agg(name ORDER BY name)
        FROM pg_settings WHERE pending_restart))
