SELECT CASE WHEN pg_is_in_recovery()
        THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE pid IS NOT NULL),
                      (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)
                         FROM pg_control_checkpoint() c, pg_control_recovery() r))
        ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END,
    CASE WHEN pg_is_in_recovery()
        THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END
