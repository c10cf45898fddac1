# What a running server tells of itself and of those that follow it.
# How far a follower is behind is told by its upstream, at one moment: what it has
# flushed of what is written here. Of the slots that nobody uses, the one that holds most.
SELECT jsonb_build_object(
    'version', current_setting('server_version'),
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
        ORDER BY restart_lsn LIMIT 1))
FROM (SELECT recovery, CASE WHEN recovery
        THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END AS here
    FROM (SELECT pg_is_in_recovery() AS recovery OFFSET 0) r OFFSET 0) s
