# What a running server tells of its configuration; it reads its files for that.
# A setting that waits for a restart is among the errors too; it is none.
SELECT jsonb_build_object(
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'loaded_ago', extract(epoch FROM clock_timestamp() - pg_conf_load_time()),
    'errors', (SELECT json_agg(concat_ws(': ',
            concat(sourcefile, ':', sourceline), name, error) ORDER BY seqno)
        FROM pg_file_settings f
        WHERE error IS NOT NULL AND sourcefile IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_settings s
            WHERE s.name = lower(f.name) AND s.pending_restart)),
    'refused', (SELECT NOT bool_or(applied) FROM pg_file_settings),
    'pending', (SELECT json_agg(name ORDER BY name)
        FROM pg_settings WHERE pending_restart))
