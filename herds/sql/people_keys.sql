-- Grants and freezes go with their environment, and grants with their group, whoever
-- deletes them.

DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.conrelid::regclass AS owner, c.conname AS name, a.attname AS field,
               c.confrelid::regclass AS refers_to
          FROM pg_catalog.pg_constraint c
          JOIN pg_catalog.pg_attribute a
            ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
         WHERE c.contype = 'f'
           AND c.conrelid IN ('ele_grant'::regclass, 'ele_freeze'::regclass)
    LOOP
        EXECUTE format(
            'ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I '
            'FOREIGN KEY (%I) REFERENCES %s ON DELETE CASCADE '
            'DEFERRABLE INITIALLY DEFERRED',
            found.owner, found.name, found.field, found.refers_to
        );
    END LOOP;
END;
$$;
