-- Every instance with what its herd, server and environment say, in one row.
--
-- The environment is the herd's; it may be unknown.

CREATE VIEW v_flat_instance AS
SELECT instance.instance_id,
       instance.version,
       herd.pgdata,
       instance.local_pgdata,
       instance.xlog_pos,
       instance.is_online,
       herd.base_name,
       herd.herd_name,
       herd.db_port,
       herd.vhost,
       server.server_id,
       server.hostname,
       instance.master_id,
       environment.environment_id,
       environment.env_name
  FROM ele_instance instance
  JOIN ele_herd herd ON herd.herd_id = instance.herd_id
  JOIN ele_server server ON server.server_id = instance.server_id
  LEFT JOIN ele_environment environment
    ON environment.environment_id = herd.environment_id;
