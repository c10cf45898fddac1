-- Records what an agent reports of one instance.
--
-- sHerd is its cluster name. NULL says that something is not known, and what is
-- recorded stays; sMasterHost '' says that it follows nobody. nAge is how many seconds
-- ago the agent looked: what was seen later is never overwritten.
--
-- Gives the instance's id; NULL when it has no place yet and was listed among the
-- discovered instances, with the reason.
CREATE FUNCTION sp_instance_checkin(
    sHerd text,
    sHost text,
    nPort integer,
    sVer text DEFAULT NULL,
    bOnline boolean DEFAULT NULL,
    sDataDir text DEFAULT NULL,
    sMasterHost text DEFAULT NULL,
    nXlog bigint DEFAULT NULL,
    sSystemId text DEFAULT NULL,
    nTimeline bigint DEFAULT NULL,
    bStreaming boolean DEFAULT NULL,
    nAge double precision DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    -- Readings of two hosts that lie this far apart can still be compared.
    COMPARABLE CONSTANT interval := '5 s';
    -- Changes are recorded at once; that nothing changed, at most this often.
    PAUSE CONSTANT interval := '1 s';
    HOST_PAUSE CONSTANT interval := '10 s';

    host CONSTANT text := lower(
        CASE WHEN right(sHost, 1) = '.' THEN left(sHost, -1) ELSE sHost END);
    upstream CONSTANT text := lower(
        CASE WHEN right(sMasterHost, 1) = '.' THEN left(sMasterHost, -1)
             ELSE sMasterHost END);
    -- Like '15.4', '17beta2'; distributions add words behind it.
    release CONSTANT text := substring(sVer FROM
        '^\d{1,3}(?:\.\d{1,4}){0,2}(?:devel|(?:alpha|beta|rc)\d{1,2})?(?!\d)');
    data_dir CONSTANT text := nullif(rtrim(sDataDir, '/'), '');
    system_id CONSTANT text := nullif(sSystemId, '');
    moment CONSTANT timestamptz := statement_timestamp();

    refusal text;
    seen timestamptz;
    known_as text;
    place record;
    kept record;
    new record;
    leader record;
BEGIN
    refusal := CASE
        WHEN sHerd IS NULL OR sHerd !~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$'
        THEN 'A cluster name is made of 1 to 63 letters, digits, "_", "." and "-", '
             'and does not begin with "." or "-".'
        WHEN nPort IS NULL OR nPort NOT BETWEEN 1 AND 65535
        THEN format('A port is a number from 1 to 65535, not %s.', nPort)
        WHEN sVer <> '' AND release IS NULL
        THEN 'A version begins with a number, such as 15.4.'
        WHEN data_dir !~ '^/' OR length(data_dir) > 1000
             OR data_dir ~ '[[:cntrl:]"$`\\]' OR data_dir ~ '/\.\.?(/|$)'
        THEN 'A data directory is an absolute path of at most 1000 characters, without '
             '".", "..", control characters, double quotation marks, "$", backticks '
             'and backslashes.'
        WHEN length(upstream) > 253 OR upstream ~ '[^a-z0-9._:%-]'
        THEN 'An upstream is named by a host name or an address.'
        WHEN nXlog NOT BETWEEN 0 AND 1::bigint << 60
        THEN 'A WAL position is a number of bytes from 0 to 2^60; no server has '
             'written more.'
        WHEN system_id !~ '^[0-9]{1,20}$'
        THEN 'A system identifier is a number of up to 20 digits.'
        WHEN nTimeline NOT BETWEEN 1 AND 4294967295
        THEN 'A timeline is a number from 1 to 4294967295.'
        -- NaN is greater than every number.
        WHEN nAge NOT BETWEEN 0 AND 86400
        THEN 'An observation is between 0 and 86400 seconds old.'
    END;
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION '%', refusal
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Nothing was recorded.';
    END IF;
    IF lower(session_user) <> host
       AND pg_has_role(session_user, to_regrole('util_exec_host'), 'MEMBER') THEN
        PERFORM sp_refuse_other_host(host);
    END IF;
    seen := moment - make_interval(secs => coalesce(nAge, 0));

    -- Once more where the instance is new, or another report comes in between.
    FOR turn IN 1..20 LOOP
        SELECT i.*, h.pgdata AS herd_pgdata, h.herd_name,
               coalesce(nullif(i.local_pgdata, ''), h.pgdata) AS directory,
               s.reported_at AS host_reported_at,
               l_server.hostname AS leader_host,
               l.xlog_pos AS leader_pos, l.observed_at AS leader_seen_at,
               l.unreachable_since AS leader_lost_at,
               f.instance_id IS NOT NULL AS is_fenced
          INTO kept
          FROM ele_instance i
          JOIN ele_herd h ON h.herd_id = i.herd_id
          JOIN ele_server s ON s.server_id = i.server_id
          LEFT JOIN ele_instance l ON l.instance_id = i.master_id
          LEFT JOIN ele_server l_server ON l_server.server_id = l.server_id
          LEFT JOIN ele_fence f ON f.instance_id = i.instance_id
         WHERE lower(s.hostname) = host AND h.db_port = nPort
           AND h.base_name = coalesce(known_as, sHerd)
         LIMIT 1;
        IF NOT FOUND AND known_as IS NOT NULL THEN
            RETURN NULL;  -- Deleted just now.
        END IF;
        IF NOT FOUND THEN
            SELECT d.server_id, t.* INTO place
              FROM sp_discover_server(host) AS d (server_id)
             CROSS JOIN LATERAL sp_take_in(
                   d.server_id, sHerd, nPort, data_dir, upstream, system_id) AS t;
            IF place.sKnownAs IS NULL THEN
                PERFORM sp_file_discovery(
                    place.server_id, sHerd, nPort, release, bOnline, data_dir, upstream,
                    nXlog, system_id, nTimeline, seen, place.sWhy);
                RETURN NULL;
            END IF;
            known_as := place.sKnownAs;
            CONTINUE;
        END IF;

        IF kept.host_reported_at IS NULL
           OR kept.host_reported_at NOT BETWEEN moment - HOST_PAUSE AND moment THEN
            UPDATE ele_server SET reported_at = moment
             WHERE server_id = kept.server_id
               AND (reported_at IS NULL
                    OR reported_at NOT BETWEEN moment - HOST_PAUSE AND moment);
        END IF;

        -- What is dated in the future was dated by a clock that is ahead.
        IF seen < kept.observed_at AND seen < moment THEN
            RETURN kept.instance_id;
        END IF;

        new := kept;
        IF data_dir <> rtrim(kept.directory, '/') THEN
            -- Of two clusters with one name and port, that which runs is recorded.
            IF bOnline IS NOT TRUE AND kept.observed_at IS NOT NULL THEN
                PERFORM sp_file_discovery(
                    kept.server_id, sHerd, nPort, release, bOnline, data_dir, upstream,
                    nXlog, system_id, nTimeline, seen,
                    format('%s carries herd %s with this cluster name and port in %s '
                           'already.', host, kept.herd_name, kept.directory));
                RETURN NULL;
            END IF;
            new.local_pgdata := CASE
                WHEN data_dir = rtrim(kept.herd_pgdata, '/') THEN '' ELSE data_dir END;
        END IF;

        -- A stopped cluster tells its major version only: a fuller one stays.
        IF NOT starts_with(kept.version, release || '.') THEN
            new.version := release;
        END IF;
        new.is_online := coalesce(bOnline, kept.is_online);
        new.xlog_pos := coalesce(nXlog, kept.xlog_pos);
        new.system_identifier := coalesce(system_id, kept.system_identifier);
        new.timeline := coalesce(nTimeline, kept.timeline);

        IF upstream = '' THEN
            -- A former primary that was failed over from says so of itself while it is
            -- down: it is fenced, and not the primary until it is seen to take writes.
            IF new.is_online OR NOT kept.is_fenced THEN
                new.master_id := NULL;
                new.upstream_host := '';
            END IF;
        ELSIF upstream = kept.leader_host THEN
            new.upstream_host := '';
        ELSIF upstream IS NOT NULL THEN
            new.upstream_host := '';
            new.master_id := sp_find_upstream(kept.herd_id, kept.instance_id, upstream);
            IF new.master_id IS NULL THEN
                new.upstream_host := upstream;
                new.master_id := coalesce(
                    kept.master_id, sp_sole_primary(kept.herd_id, kept.instance_id));
            END IF;
        END IF;
        new.is_streaming := CASE
            WHEN new.master_id IS NULL AND new.upstream_host = '' THEN NULL
            WHEN NOT new.is_online THEN false
            ELSE coalesce(bStreaming, kept.is_streaming) END;

        IF seen >= coalesce(least(kept.unreachable_since, moment), seen) THEN
            new.unreachable_since := NULL;
            new.unreachable_why := '';
        END IF;

        IF kept.observed_at BETWEEN moment - PAUSE AND moment
           AND new.is_online = kept.is_online
           AND new.version = kept.version
           AND new.local_pgdata = kept.local_pgdata
           AND new.master_id IS NOT DISTINCT FROM kept.master_id
           AND new.upstream_host = kept.upstream_host
           AND new.is_streaming IS NOT DISTINCT FROM kept.is_streaming
           AND new.timeline IS NOT DISTINCT FROM kept.timeline
           AND new.system_identifier = kept.system_identifier
           AND new.unreachable_since IS NOT DISTINCT FROM kept.unreachable_since THEN
            RETURN kept.instance_id;
        END IF;

        -- Whoever does not know whether it runs has not seen what would be dated.
        IF kept.observed_at IS NOT NULL OR bOnline IS NOT NULL THEN
            new.observed_at := seen;
        END IF;
        IF new.master_id IS NULL THEN
            new.lag_octets := NULL;
            new.lag_seen_at := NULL;
        ELSE
            IF new.master_id IS DISTINCT FROM kept.master_id THEN
                new.lag_octets := NULL;
                new.lag_seen_at := NULL;
                SELECT xlog_pos AS leader_pos, observed_at AS leader_seen_at,
                       unreachable_since AS leader_lost_at
                  INTO leader FROM ele_instance WHERE instance_id = new.master_id;
                new.leader_pos := leader.leader_pos;
                new.leader_seen_at := leader.leader_seen_at;
                new.leader_lost_at := leader.leader_lost_at;
            END IF;
            IF nXlog IS NOT NULL AND new.leader_pos IS NOT NULL
               AND new.leader_lost_at IS NULL
               AND new.leader_seen_at BETWEEN seen - COMPARABLE AND seen + COMPARABLE
            THEN
                new.lag_octets := greatest(new.leader_pos - nXlog, 0);
                new.lag_seen_at := least(seen, new.leader_seen_at);
            END IF;
        END IF;

        UPDATE ele_instance
           SET version = new.version,
               local_pgdata = new.local_pgdata,
               xlog_pos = new.xlog_pos,
               is_online = new.is_online,
               master_id = new.master_id,
               upstream_host = new.upstream_host,
               observed_at = new.observed_at,
               observed_by = 'agent',
               unreachable_since = new.unreachable_since,
               unreachable_why = new.unreachable_why,
               system_identifier = new.system_identifier,
               timeline = new.timeline,
               is_streaming = new.is_streaming,
               lag_octets = new.lag_octets,
               lag_seen_at = new.lag_seen_at
         WHERE instance_id = kept.instance_id
           -- Another report may have come in between.
           AND observed_at IS NOT DISTINCT FROM kept.observed_at;
        CONTINUE WHEN NOT FOUND;
        IF kept.is_fenced AND new.master_id IS NULL AND bOnline THEN
            UPDATE ele_fence SET seen_writable_at = seen
             WHERE instance_id = kept.instance_id;
        END IF;
        RETURN kept.instance_id;
    END LOOP;
    RAISE EXCEPTION 'Others report % at port % of % at the same moment, over and over.',
        sHerd, nPort, host
        USING ERRCODE = 'serialization_failure', HINT = 'Nothing was recorded.';
END;
$$;
