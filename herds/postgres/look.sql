# A setting that waits for a restart is among the errors too; it is none.
# How far a follower is behind is told by its upstream, at one moment: what it has
# flushed of what is written here. Of the slots that nobody uses, the one that holds most.
SELECT jsonb_build_object(
    'version', current_setting('server_version'),
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'loaded_ago', extract(epoch FROM clock_timestamp() - pg_conf_load_time()),
    'recovery', recovery,
    'position', here,
    'timeline', CASE WHEN recovery THEN coalesce(
        (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'),
        (SELECT greatest(timeline_id, min_recovery_end_timeline)
            FROM pg_control_checkpoint(), pg_control_recovery()))::bigint
        ELSE ('x' || left(pg_walfile_name(here), 8))::bit(32)::bigint END,
    'streaming', CASE WHEN recovery THEN
        EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') END,
    'system', (SELECT system_identifier::text FROM pg_control_system()),
    'followers', (SELECT json_agg(json_build_object(
            'name', application_name, 'address', host(client_addr), 'state', state,
            'behind', pg_wal_lsn_diff(here, flush_lsn)))
        FROM pg_stat_replication),
    'slot', (SELECT json_build_object(
            'name', slot_name, 'behind', pg_wal_lsn_diff(here, restart_lsn))
        FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL
        ORDER BY restart_lsn LIMIT 1),
    'errors', (SELECT json_agg(concat_ws(': ',
            concat(sourcefile, ':', sourceline), name, error) ORDER BY seqno)
        FROM pg_file_settings f
        WHERE error IS NOT NULL AND sourcefile IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_settings s
            WHERE s.name = lower(f.name) AND s.pending_restart)),
    'refused', (SELECT NOT bool_or(applied) FROM pg_file_settings),
    'pending', (SELECT json_agg(name ORDER BY name)
        FROM pg_settings WHERE pending_restart))
FROM (SELECT recovery, CASE WHEN recovery
        THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END AS here
    FROM (SELECT pg_is_in_recovery() AS recovery OFFSET 0) r OFFSET 0) s
