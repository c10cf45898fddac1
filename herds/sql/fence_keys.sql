-- A fence goes with its instance, and outlives the operation that asked for it, whoever
-- deletes them.

DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.conname AS name, a.attname AS field, c.confrelid::regclass AS refers_to,
               CASE a.attname WHEN 'instance_id' THEN 'CASCADE' ELSE 'SET NULL' END
                   AS action
          FROM pg_catalog.pg_constraint c
          JOIN pg_catalog.pg_attribute a
            ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
         WHERE c.contype = 'f' AND c.conrelid = 'ele_fence'::regclass
    LOOP
        EXECUTE format(
            'ALTER TABLE ele_fence DROP CONSTRAINT %I, ADD CONSTRAINT %1$I '
            'FOREIGN KEY (%I) REFERENCES %s ON DELETE %s '
            'DEFERRABLE INITIALLY DEFERRED',
            found.name, found.field, found.refers_to, found.action
        );
    END LOOP;
END;
$$;
