-- When a host is looked at next goes with the host, whoever deletes it.

DO $$
DECLARE
    found name;
BEGIN
    SELECT conname INTO STRICT found
      FROM pg_catalog.pg_constraint
     WHERE contype = 'f' AND conrelid = 'ele_host_refresh'::regclass;
    EXECUTE format(
        'ALTER TABLE ele_host_refresh DROP CONSTRAINT %I, ADD CONSTRAINT %1$I '
        'FOREIGN KEY (server_id) REFERENCES ele_server ON DELETE CASCADE '
        'DEFERRABLE INITIALLY DEFERRED', found
    );
END;
$$;
