-- Who may call the agents' functions: members of util_exec, and nobody else.
--
-- The functions that act as their owner look for nothing in a caller's temporary
-- schema before their own. The parts they are made of can be called by nobody.

DO $$
DECLARE
    entry CONSTANT text[] := ARRAY[
        'sp_discover_server', 'sp_get_herd', 'sp_instance_checkin'];
    part CONSTANT text[] := ARRAY[
        'sp_refuse_other_host', 'sp_sole_primary', 'sp_find_upstream',
        'sp_take_in', 'sp_file_discovery'];
    found record;
BEGIN
    FOR found IN
        SELECT p.oid::regprocedure AS signature, p.proname = ANY (entry) AS is_entry
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.proname = ANY (entry || part)
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
                       found.signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', found.signature);
        IF found.is_entry AND to_regrole('util_exec') IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO util_exec',
                           found.signature);
        END IF;
    END LOOP;
    IF to_regrole('util_exec') IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO util_exec', current_schema());
    END IF;
END;
$$;
