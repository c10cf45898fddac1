-- One row a herd: its primary, and the standby to fail over to.
--
-- The best standby is online and has the least lag, then the lowest number. One whose
-- state is unknown comes after all others, because online is only what it was last.
-- A standby may follow another one: its primary is where the chain of upstreams ends.

CREATE VIEW v_dr_pairs AS
WITH RECURSIVE chain (instance_id, upstream_id) AS (
    SELECT instance_id, master_id
      FROM ele_instance
     WHERE master_id IS NOT NULL
    -- UNION, not UNION ALL: it also ends where upstreams go round in a circle.
    UNION
    SELECT chain.instance_id, upstream.master_id
      FROM chain
      JOIN ele_instance upstream ON upstream.instance_id = chain.upstream_id
     WHERE upstream.master_id IS NOT NULL
), best AS (
    SELECT DISTINCT ON (standby.herd_id)
           standby.herd_id,
           standby.instance_id,
           leader.instance_id AS master_id,
           standby.server_id,
           lag.bytes AS lag_bytes
      FROM chain
      JOIN ele_instance standby ON standby.instance_id = chain.instance_id
      JOIN ele_instance leader ON leader.instance_id = chain.upstream_id
     CROSS JOIN LATERAL (SELECT leader.xlog_pos - standby.xlog_pos) AS lag (bytes)
     WHERE leader.master_id IS NULL
       AND standby.is_online
     ORDER BY standby.herd_id,
           standby.unreachable_since IS NOT NULL,
           lag.bytes NULLS LAST,
           standby.instance_id
)
SELECT herd.herd_id,
       best.instance_id,
       best.master_id,
       best.server_id,
       -- Positions are read one after the other; a standby is never ahead.
       round(
           CASE WHEN best.lag_bytes < 0 THEN 0 ELSE best.lag_bytes END
           / (1024.0 * 1024.0), 1
       ) AS mb_lag,
       herd.vhost
  FROM best
  JOIN ele_herd herd ON herd.herd_id = best.herd_id;
