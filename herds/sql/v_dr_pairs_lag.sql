-- One row a herd: its primary, and the standby to fail over to.
--
-- The best standby is online. One that streams comes first, one that was seen not to
-- stream last; then the least lag by readings that can be compared and are as fresh as
-- the herd's others; then the lowest number. One whose state is unknown comes after all
-- others, because online is only what it was last.
-- A lag is what was recorded with a look, or the distance of two positions that were read
-- within five seconds on one timeline, whichever is newer: the reading of a primary that
-- was not seen since says nothing of its standbys. Of a standby that follows another one
-- the recorded lags add up; its primary is where the chain of upstreams ends.
-- Five in a chain are looked through, by joins and not by recursion, whose size PostgreSQL
-- takes for so large that it compiles the query for longer than it runs.

CREATE OR REPLACE VIEW v_dr_pairs AS
WITH chain AS (
    SELECT standby.instance_id,
           standby.herd_id,
           standby.server_id,
           standby.unreachable_since IS NOT NULL AS is_silent,
           CASE WHEN standby.is_streaming THEN 0
                WHEN standby.is_streaming IS NULL THEN 1 ELSE 2 END AS stillness,
           standby.xlog_pos,
           standby.observed_at,
           standby.timeline,
           CASE WHEN a.master_id IS NULL THEN a.instance_id
                WHEN b.master_id IS NULL THEN b.instance_id
                WHEN c.master_id IS NULL THEN c.instance_id
                WHEN d.master_id IS NULL THEN d.instance_id
                WHEN e.master_id IS NULL THEN e.instance_id END AS upstream_id,
           -- What follows nobody is behind nobody.
           standby.lag_octets
           + CASE WHEN a.master_id IS NULL THEN 0 ELSE a.lag_octets END
           + CASE WHEN b.master_id IS NULL THEN 0 ELSE b.lag_octets END
           + CASE WHEN c.master_id IS NULL THEN 0 ELSE c.lag_octets END
           + CASE WHEN d.master_id IS NULL THEN 0 ELSE d.lag_octets END AS lag_octets,
           least(standby.lag_seen_at,
                 CASE WHEN a.master_id IS NOT NULL THEN a.lag_seen_at END,
                 CASE WHEN b.master_id IS NOT NULL THEN b.lag_seen_at END,
                 CASE WHEN c.master_id IS NOT NULL THEN c.lag_seen_at END,
                 CASE WHEN d.master_id IS NOT NULL THEN d.lag_seen_at END)
           AS lag_seen_at
      FROM ele_instance standby
      JOIN ele_instance a ON a.instance_id = standby.master_id
      LEFT JOIN ele_instance b ON b.instance_id = a.master_id
      LEFT JOIN ele_instance c ON c.instance_id = b.master_id
      LEFT JOIN ele_instance d ON d.instance_id = c.master_id
      LEFT JOIN ele_instance e ON e.instance_id = d.master_id
     WHERE standby.is_online
), judged AS (
    SELECT chain.*,
           leader.xlog_pos AS upstream_pos,
           least(chain.observed_at, leader.observed_at) AS both_at,
           leader.observed_at - chain.observed_at
               BETWEEN interval '-5 s' AND interval '5 s'
           AND coalesce(leader.timeline = chain.timeline, true)
           AND coalesce(chain.lag_octets IS NULL
                        OR least(chain.observed_at, leader.observed_at)
                           > chain.lag_seen_at, true)
           AS is_newer
      FROM chain
      JOIN ele_instance leader ON leader.instance_id = chain.upstream_id
), told AS (
    SELECT instance_id, herd_id, server_id, upstream_id, is_silent, stillness,
           CASE WHEN is_newer AND upstream_pos >= xlog_pos THEN upstream_pos - xlog_pos
                -- Positions are read one after the other; a standby is never ahead.
                WHEN is_newer AND upstream_pos < xlog_pos THEN 0
                ELSE lag_octets END AS octets,
           CASE WHEN is_newer AND upstream_pos IS NOT NULL AND xlog_pos IS NOT NULL
                THEN both_at ELSE lag_seen_at END AS seen_at
      FROM judged
), best AS (
    SELECT DISTINCT ON (herd_id) *
      FROM (SELECT *, seen_at < max(seen_at) OVER (PARTITION BY herd_id)
                      - interval '90 s' AS is_older
              FROM told) standing
     ORDER BY herd_id, is_silent, stillness, octets IS NULL, is_older, octets,
           instance_id
)
SELECT herd.herd_id,
       best.instance_id,
       best.upstream_id AS master_id,
       best.server_id,
       round(best.octets / (1024.0 * 1024.0), 1) AS mb_lag,
       herd.vhost,
       best.octets AS lag_octets,
       CASE WHEN best.octets IS NOT NULL THEN best.seen_at END AS lag_seen_at
  FROM best
  JOIN ele_herd herd ON herd.herd_id = best.herd_id;
