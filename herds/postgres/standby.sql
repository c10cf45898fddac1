SELECT jsonb_build_object(
    'recovery', pg_is_in_recovery(),
    'status', (SELECT status FROM pg_stat_wal_receiver),
    'timeline', (SELECT received_tli FROM pg_stat_wal_receiver),
    'received', pg_last_wal_receive_lsn(),
    'replayed', pg_last_wal_replay_lsn(),
    'held', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused()
        OR current_setting('recovery_min_apply_delay') <> '0' END)
