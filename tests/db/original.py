"""The database of an ElepHaaS 1.2, made from its description, with rows and faults."""

ROLES = "CREATE ROLE dashboard; CREATE ROLE util_exec; CREATE ROLE clerk LOGIN"

SQL = """
CREATE SCHEMA IF NOT EXISTS utility;
SET search_path TO utility;

CREATE TABLE ele_environment (
    environment_id serial PRIMARY KEY,
    env_name varchar(40) NOT NULL,
    env_descr text,
    created_dt timestamp with time zone NOT NULL,
    modified_dt timestamp with time zone NOT NULL
);
CREATE TABLE ele_herd (
    herd_id serial PRIMARY KEY,
    environment_id int REFERENCES ele_environment ON DELETE SET NULL,
    base_name varchar(40) NOT NULL,
    herd_name varchar(40) NOT NULL,
    herd_descr text,
    db_port int NOT NULL DEFAULT 5432,
    pgdata varchar(100) NOT NULL,
    vhost varchar(40),
    created_dt timestamp with time zone NOT NULL,
    modified_dt timestamp with time zone NOT NULL
);
CREATE TABLE ele_server (
    server_id serial PRIMARY KEY,
    environment_id int REFERENCES ele_environment ON DELETE SET NULL,
    hostname varchar(40) NOT NULL,
    created_dt timestamp with time zone NOT NULL,
    modified_dt timestamp with time zone NOT NULL
);
CREATE TABLE ele_instance (
    instance_id serial PRIMARY KEY,
    herd_id int NOT NULL REFERENCES ele_herd ON DELETE CASCADE,
    server_id int NOT NULL REFERENCES ele_server ON DELETE CASCADE,
    version varchar(10),
    local_pgdata varchar(100),
    xlog_pos bigint,
    is_online boolean NOT NULL,
    master_id int REFERENCES ele_instance ON DELETE SET NULL,
    created_dt timestamp with time zone NOT NULL,
    modified_dt timestamp with time zone NOT NULL
);

CREATE FUNCTION sp_audit_stamps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN NEW.created_dt = now(); END IF;
    NEW.modified_dt = now();
    RETURN NEW;
END $$;
CREATE TRIGGER t_stamps BEFORE INSERT OR UPDATE ON ele_herd
    FOR EACH ROW EXECUTE PROCEDURE sp_audit_stamps();
CREATE FUNCTION sp_discover_server(sHost varchar) RETURNS int LANGUAGE sql AS
    'SELECT server_id FROM ele_server WHERE hostname = sHost';

CREATE VIEW v_dr_pairs AS SELECT herd_id, instance_id, master_id, server_id,
    0.0 AS mb_lag, NULL::varchar AS vhost FROM ele_instance;
CREATE VIEW v_flat_instance AS SELECT i.*, herd_name FROM ele_instance i
    JOIN ele_herd USING (herd_id);
CREATE VIEW board AS SELECT hostname FROM ele_server;
GRANT USAGE ON SCHEMA utility TO dashboard;
GRANT SELECT ON ele_herd, v_flat_instance TO dashboard;
GRANT SELECT, INSERT ON ele_instance TO util_exec;

ALTER TABLE ele_herd DISABLE TRIGGER USER;
INSERT INTO ele_environment VALUES
    (3, 'prod', 'customers', '2016-01-01', '2016-02-01'),
    (4, 'dev', NULL, '2016-01-01', '2016-02-01');
INSERT INTO ele_herd VALUES
    (7, 3, 'trade', 'trade', 'of trades', 5432, '/db/trade', 'trade.example.com',
     '2016-01-01', '2016-02-01'),
    (8, NULL, 'lonely', 'lonely', NULL, 5433, '/db/lonely', NULL,
     '2016-01-01', '2016-02-01'),
    (9, 4, 'broken', 'broken', '', 5434, 'not/absolute', '',
     '2016-01-01', '2016-02-01');
INSERT INTO ele_server VALUES
    (11, 3, 'ELE01', '2016-01-01', '2016-02-01'),
    (12, 3, 'ele02', '2016-01-01', '2016-02-01'),
    (13, 3, 'ele01', '2016-01-01', '2016-02-01'),
    (14, NULL, 'ele04', '2016-01-01', '2016-02-01');
INSERT INTO ele_instance VALUES
    (23, 7, 12, '9.4.5', '', 4711, true, NULL, '2016-01-01', '2016-02-01'),
    (21, 7, 11, '9.4.5', NULL, 4712, true, NULL, '2016-01-01', '2016-02-01'),
    (22, 7, 13, '9.4.5', '', NULL, false, 21, '2016-01-01', '2016-02-01'),
    (24, 9, 12, '9.4.5', '', NULL, false, NULL, '2016-01-01', '2016-02-01'),
    (25, 8, 14, NULL, '/db/own', NULL, false, NULL, '2016-01-01', '2016-02-01');
UPDATE ele_instance SET master_id = 21 WHERE instance_id = 23;
ALTER TABLE ele_herd ENABLE TRIGGER USER;
RESET search_path;
"""
