-- Keeps the audit log as it was written, whoever has a connection to the metadata.
--
-- Only the retention command deletes: it says so in its own transaction, and takes
-- nothing that is younger than a day.

CREATE FUNCTION sp_audit_lock() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'DELETE'
       AND coalesce(current_setting('elephaas.retention', true), '') = 'on'
       AND OLD.at < now() - interval '1 day'
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'The audit log is not changed.'
        USING ERRCODE = 'restrict_violation',
              HINT = 'manage.py prune deletes what is too old.';
END;
$$;

CREATE TRIGGER t_audit_lock
    BEFORE UPDATE OR DELETE ON ele_audit
    FOR EACH ROW EXECUTE FUNCTION sp_audit_lock();
