# A setting that waits for a restart is among the errors too; it is none.
SELECT jsonb_build_object(
    'version', current_setting('server_version'),
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'loaded_ago', extract(epoch FROM clock_timestamp() - pg_conf_load_time()),
    'recovery', pg_is_in_recovery(),
    'position', CASE WHEN pg_is_in_recovery()
        THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END,
    'system', (SELECT system_identifier::text FROM pg_control_system()),
    'followers', (SELECT json_agg(json_build_object(
            'name', application_name, 'address', host(client_addr), 'state', state))
        FROM pg_stat_replication),
    'errors', (SELECT json_agg(concat_ws(': ',
            concat(sourcefile, ':', sourceline), name, error) ORDER BY seqno)
        FROM pg_file_settings f
        WHERE error IS NOT NULL AND sourcefile IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_settings s
            WHERE s.name = lower(f.name) AND s.pending_restart)),
    'refused', (SELECT NOT bool_or(applied) FROM pg_file_settings),
    'pending', (SELECT json_agg(name ORDER BY name)
        FROM pg_settings WHERE pending_restart))
