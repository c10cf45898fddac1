-- What an agent found on a server goes with the server, whoever deletes it.

DO $$
DECLARE
    existing text;
BEGIN
    SELECT conname INTO STRICT existing
      FROM pg_catalog.pg_constraint
     WHERE contype = 'f' AND conrelid = 'ele_discovery'::regclass;
    EXECUTE format(
        'ALTER TABLE ele_discovery DROP CONSTRAINT %I, ADD CONSTRAINT %1$I '
        'FOREIGN KEY (server_id) REFERENCES ele_server ON DELETE CASCADE '
        'DEFERRABLE INITIALLY DEFERRED',
        existing
    );
END;
$$;

-- Check-ins write the same rows over and over: with room on its page a new version of
-- a row costs no index entry, and the old one goes without a vacuum.
ALTER TABLE ele_instance SET (fillfactor = 70);
ALTER TABLE ele_server SET (fillfactor = 70);
ALTER TABLE ele_discovery SET (fillfactor = 70);
