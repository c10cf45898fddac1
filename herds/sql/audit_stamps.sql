-- Keeps created_dt and modified_dt of the inventory, also for rows that agents write.

CREATE FUNCTION sp_audit_stamps() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.created_dt := statement_timestamp();
        NEW.modified_dt := NEW.created_dt;
    ELSE
        NEW.created_dt := OLD.created_dt;
        NEW.modified_dt := statement_timestamp();
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER t_environment_audit_stamps
    BEFORE INSERT OR UPDATE ON ele_environment
    FOR EACH ROW EXECUTE FUNCTION sp_audit_stamps();

CREATE TRIGGER t_herd_audit_stamps
    BEFORE INSERT OR UPDATE ON ele_herd
    FOR EACH ROW EXECUTE FUNCTION sp_audit_stamps();

CREATE TRIGGER t_server_audit_stamps
    BEFORE INSERT OR UPDATE ON ele_server
    FOR EACH ROW EXECUTE FUNCTION sp_audit_stamps();

CREATE TRIGGER t_instance_audit_stamps
    BEFORE INSERT OR UPDATE ON ele_instance
    FOR EACH ROW EXECUTE FUNCTION sp_audit_stamps();
