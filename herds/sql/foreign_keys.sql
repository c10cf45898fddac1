-- Makes the database itself do on a delete what the models say.
--
-- Django empties or deletes the referring rows before it deletes one, and gives its
-- foreign keys no action of their own. Other programs delete from these tables too.

DO $$
DECLARE
    wanted record;
    existing text;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('ele_herd', 'environment_id', 'ele_environment', 'SET NULL'),
            ('ele_server', 'environment_id', 'ele_environment', 'SET NULL'),
            ('ele_instance', 'herd_id', 'ele_herd', 'CASCADE'),
            ('ele_instance', 'server_id', 'ele_server', 'CASCADE'),
            ('ele_instance', 'master_id', 'ele_instance', 'SET NULL'),
            ('ele_operation', 'requested_by_id', 'auth_user', 'SET NULL'),
            ('ele_operation', 'retry_of_id', 'ele_operation', 'SET NULL'),
            ('ele_operation_target', 'operation_id', 'ele_operation', 'CASCADE'),
            ('ele_operation_target', 'herd_id', 'ele_herd', 'SET NULL'),
            ('ele_operation_target', 'instance_id', 'ele_instance', 'SET NULL'),
            ('ele_operation_target', 'worker_id', 'ele_worker', 'SET NULL'),
            ('ele_operation_job', 'operation_id', 'ele_operation', 'CASCADE'),
            ('ele_operation_job', 'worker_id', 'ele_worker', 'SET NULL'),
            ('ele_operation_step', 'target_id', 'ele_operation_target', 'CASCADE'),
            ('ele_operation_output', 'step_id', 'ele_operation_step', 'CASCADE')
        ) AS rules (table_name, column_name, refers_to, action)
    LOOP
        SELECT c.conname INTO STRICT existing
          FROM pg_catalog.pg_constraint c
          JOIN pg_catalog.pg_attribute a
            ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
         WHERE c.contype = 'f'
           AND c.conrelid = wanted.table_name::regclass
           AND a.attname = wanted.column_name;
        EXECUTE format(
            'ALTER TABLE %I DROP CONSTRAINT %I, ADD CONSTRAINT %2$I FOREIGN KEY (%I) '
            'REFERENCES %I ON DELETE %s DEFERRABLE INITIALLY DEFERRED',
            wanted.table_name, existing,
            wanted.column_name, wanted.refers_to, wanted.action
        );
    END LOOP;
END;
$$;

-- An upstream is a member of the same herd. Checked at the end of the transaction:
-- the key above empties master_id first when an upstream is deleted.
ALTER TABLE ele_instance ADD CONSTRAINT ele_instance_master_herd_fkey
    FOREIGN KEY (herd_id, master_id) REFERENCES ele_instance (herd_id, instance_id)
    DEFERRABLE INITIALLY DEFERRED;
