-- A fleet of 10,000 instances whose agents check in, and the function that 1.2.1 did
-- it by, re-created from its description.

CREATE ROLE bench_agent LOGIN IN ROLE util_exec;

SET search_path = utility;

INSERT INTO ele_environment (env_name) VALUES ('prod');
INSERT INTO ele_server (environment_id, hostname)
SELECT environment_id, 'ele' || number
  FROM ele_environment, generate_series(0, :herds - 1) AS number;
INSERT INTO ele_herd (environment_id, base_name, herd_name, db_port, pgdata)
SELECT environment_id, 'herd' || number, 'herd' || number, 6000 + number,
       '/var/lib/postgresql/15/herd' || number
  FROM ele_environment, generate_series(0, :herds - 1) AS number;
INSERT INTO ele_instance (herd_id, server_id, version, is_online, master_id)
SELECT h.herd_id, s.server_id, '15.18', true, NULL
  FROM ele_herd h JOIN ele_server s ON s.hostname = 'ele' || (h.db_port - 6000);
INSERT INTO ele_instance (herd_id, server_id, version, is_online, master_id)
SELECT h.herd_id, s.server_id, '15.18', true, leader.instance_id
  FROM ele_herd h
 CROSS JOIN generate_series(1, :members - 1) AS member
  JOIN ele_server s
    ON s.hostname = 'ele' || (h.db_port - 6000 + member * 97) % :herds
  JOIN ele_instance leader ON leader.herd_id = h.herd_id AND leader.master_id IS NULL;

-- Looks the server up and registers it, looks instance and upstream up by their hosts'
-- names, then updates or inserts; what is not given keeps its value.
CREATE SCHEMA original;
CREATE FUNCTION original.sp_discover_server(sHost text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = utility AS $$
DECLARE
    server integer;
BEGIN
    SELECT server_id INTO server FROM ele_server WHERE hostname = sHost;
    IF NOT FOUND THEN
        INSERT INTO ele_server (hostname) VALUES (sHost) RETURNING server_id INTO server;
    END IF;
    RETURN server;
END;
$$;
CREATE FUNCTION original.sp_instance_checkin(
    sHerd text, sHost text, nPort integer, sVer text DEFAULT NULL,
    bOnline boolean DEFAULT NULL, sDataDir text DEFAULT NULL,
    sMasterHost text DEFAULT NULL, nXlog bigint DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = utility AS $$
DECLARE
    server integer := original.sp_discover_server(sHost);
    environment integer;
    herd integer;
    leader integer;
    instance integer;
BEGIN
    SELECT i.instance_id, i.herd_id INTO leader, herd
      FROM ele_instance i
      JOIN ele_server s ON s.server_id = i.server_id
      JOIN ele_herd h ON h.herd_id = i.herd_id
     WHERE s.hostname = sMasterHost AND h.db_port = nPort AND h.base_name = sHerd;
    IF herd IS NULL THEN
        SELECT environment_id INTO environment FROM ele_server WHERE server_id = server;
        SELECT herd_id INTO herd FROM ele_herd
         WHERE base_name = sHerd AND db_port = nPort AND environment_id = environment;
    END IF;
    IF herd IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT instance_id INTO instance FROM ele_instance
     WHERE herd_id = herd AND server_id = server;
    IF FOUND THEN
        UPDATE ele_instance
           SET version = coalesce(sVer, version), is_online = bOnline,
               local_pgdata = coalesce(sDataDir, local_pgdata),
               xlog_pos = coalesce(nXlog, xlog_pos),
               master_id = coalesce(leader, master_id)
         WHERE instance_id = instance;
    ELSE
        INSERT INTO ele_instance (
            herd_id, server_id, version, is_online, local_pgdata, xlog_pos, master_id)
        VALUES (herd, server, sVer, bOnline, coalesce(sDataDir, ''), nXlog, leader)
        RETURNING instance_id INTO instance;
    END IF;
    RETURN instance;
END;
$$;
GRANT USAGE ON SCHEMA original TO bench_agent;

ANALYZE;
