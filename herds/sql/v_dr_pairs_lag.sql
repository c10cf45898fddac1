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

CREATE OR REPLACE VIEW v_dr_pairs AS
WITH RECURSIVE hop AS MATERIALIZED (
    SELECT standby.instance_id,
           standby.herd_id,
           standby.server_id,
           standby.is_online,
           standby.unreachable_since IS NOT NULL AS is_silent,
           CASE WHEN standby.is_streaming THEN 0
                WHEN standby.is_streaming IS NULL THEN 1 ELSE 2 END AS stillness,
           standby.lag_octets,
           standby.lag_seen_at,
           standby.xlog_pos,
           standby.observed_at,
           standby.timeline,
           upstream.instance_id AS upstream_id,
           upstream.master_id AS further_id,
           upstream.xlog_pos AS upstream_pos,
           upstream.observed_at AS upstream_at,
           upstream.timeline AS upstream_timeline
      FROM ele_instance standby
      JOIN ele_instance upstream ON upstream.instance_id = standby.master_id
), chain AS (
    SELECT *, 1 AS length
      FROM hop
     WHERE is_online
    UNION ALL
    SELECT chain.instance_id, chain.herd_id, chain.server_id, chain.is_online,
           chain.is_silent, chain.stillness,
           chain.lag_octets + hop.lag_octets,
           least(chain.lag_seen_at, hop.lag_seen_at),
           chain.xlog_pos, chain.observed_at, chain.timeline,
           hop.upstream_id, hop.further_id, hop.upstream_pos, hop.upstream_at,
           hop.upstream_timeline, chain.length + 1
      FROM chain
      JOIN hop ON hop.instance_id = chain.upstream_id
     -- Upstreams may go round in a circle.
     WHERE chain.length < 10
), judged AS (
    SELECT *, least(observed_at, upstream_at) AS both_at,
           upstream_at - observed_at BETWEEN interval '-5 s' AND interval '5 s'
           AND coalesce(upstream_timeline = timeline, true)
           AND coalesce(
               lag_octets IS NULL OR least(observed_at, upstream_at) > lag_seen_at, true)
           AS is_newer
      FROM chain
     WHERE further_id IS NULL
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
