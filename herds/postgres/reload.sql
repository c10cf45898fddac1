# What a reload changes, for half of what a whole look costs: only where the files have
# errors, which a setting that waits for a restart is among, is there more to ask.
SELECT jsonb_build_object(
    'version', current_setting('server_version'),
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'loaded_ago', extract(epoch FROM clock_timestamp() - pg_conf_load_time()),
    'recovery', pg_is_in_recovery(),
    'position', CASE WHEN pg_is_in_recovery()
        THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END,
    'has_errors', EXISTS (SELECT FROM pg_file_settings WHERE error IS NOT NULL))
