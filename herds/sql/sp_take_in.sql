-- Where an instance that is reported for the first time belongs; what has no place.

-- Gives the one primary that a herd has beside a member, NULL if there is not just one.
CREATE FUNCTION sp_sole_primary(nHerd integer, nSelf integer) RETURNS integer
LANGUAGE sql STABLE
SET search_path FROM CURRENT
AS $$
    SELECT min(instance_id) FROM ele_instance
     WHERE herd_id = nHerd AND master_id IS NULL AND instance_id IS DISTINCT FROM nSelf
    HAVING count(*) = 1;
$$;

-- Gives the member of a herd that an upstream's host name means, NULL if none does.
--
-- It is the name of its server, the herd's virtual host, or a name that is longer or
-- shorter than the server's by a domain.
CREATE FUNCTION sp_find_upstream(nHerd integer, nSelf integer, sUpstream text)
RETURNS integer
LANGUAGE sql STABLE
SET search_path FROM CURRENT
AS $$
    WITH member AS (
        SELECT i.instance_id, s.hostname
          FROM ele_instance i
          JOIN ele_server s ON s.server_id = i.server_id
         WHERE i.herd_id = nHerd AND i.instance_id IS DISTINCT FROM nSelf
    ), herd AS (
        SELECT lower(vhost) AS vhost, lower(vhost_target) AS target
          FROM ele_herd WHERE herd_id = nHerd
    )
    SELECT coalesce(
        (SELECT instance_id FROM member WHERE hostname = sUpstream),
        (SELECT coalesce(
                    (SELECT min(instance_id) FROM member
                      WHERE rtrim(target, '.') = hostname
                         OR starts_with(target, hostname || '.')
                     HAVING count(*) = 1),
                    sp_sole_primary(nHerd, nSelf))
           FROM herd WHERE rtrim(vhost, '.') = sUpstream),
        (SELECT min(instance_id) FROM member
          WHERE starts_with(hostname, sUpstream || '.')
             OR starts_with(sUpstream, hostname || '.')
         HAVING count(*) = 1)
    );
$$;

-- Finds or makes the row of an instance that (name, port, server) do not lead to.
--
-- Gives the cluster name of its herd, which leads to it from then on.
--
-- Its herd is its upstream's, else that of (cluster name, port, server's environment).
-- What would break a herd is left to a person: sWhy says what is missing.
CREATE FUNCTION sp_take_in(
    nServer integer, sName text, nPort integer, sDataDir text, sUpstream text,
    sSystemId text, OUT sKnownAs text, OUT sWhy text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    here record;
    herd record;
    other record;
BEGIN
    SELECT s.hostname, s.environment_id, e.env_name INTO STRICT here
      FROM ele_server s
      LEFT JOIN ele_environment e ON e.environment_id = s.environment_id
     WHERE s.server_id = nServer;

    -- The same directory at the same port is the same instance, whatever its name.
    SELECT h.base_name INTO sKnownAs
      FROM ele_instance i JOIN ele_herd h ON h.herd_id = i.herd_id
     WHERE i.server_id = nServer AND h.db_port = nPort
       AND rtrim(coalesce(nullif(i.local_pgdata, ''), h.pgdata), '/') = sDataDir
     ORDER BY i.instance_id LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT h.herd_id, h.herd_name, h.base_name, h.pgdata, h.environment_id, e.env_name
      INTO herd
      FROM ele_herd h
      LEFT JOIN ele_environment e ON e.environment_id = h.environment_id
     WHERE h.db_port = nPort
       AND (rtrim(lower(h.vhost), '.') = sUpstream OR EXISTS (
            SELECT FROM ele_instance i JOIN ele_server s ON s.server_id = i.server_id
             WHERE i.herd_id = h.herd_id AND lower(s.hostname) = sUpstream
               AND s.server_id <> nServer))
     ORDER BY h.base_name <> sName, h.herd_id LIMIT 1;
    IF NOT FOUND THEN
        SELECT h.herd_id, h.herd_name, h.base_name, h.pgdata, h.environment_id,
               e.env_name
          INTO herd
          FROM ele_herd h
          JOIN ele_environment e ON e.environment_id = h.environment_id
         WHERE h.herd_id = sp_get_herd(sName, nPort, here.environment_id);
    END IF;
    IF NOT FOUND THEN
        sWhy := CASE
            WHEN here.environment_id IS NULL THEN format(
                '%s has no environment yet. Choose one.', here.hostname)
            WHEN (SELECT count(*) > 1 FROM ele_herd
                   WHERE base_name = sName AND db_port = nPort
                     AND environment_id = here.environment_id) THEN format(
                'More than one herd of %s has the cluster name %s and port %s. Choose '
                'one.', here.env_name, sName, nPort)
            ELSE format(
                'No herd of %s has the cluster name %s and port %s.',
                here.env_name, sName, nPort)
            END
            || CASE WHEN sUpstream <> '' THEN format(
                ' Its upstream %s carries no known instance at this port.', sUpstream)
               ELSE '' END;
        RETURN;
    END IF;

    IF here.environment_id <> herd.environment_id THEN
        sWhy := format('It follows a member of herd %s, which belongs to %s, but %s '
            'belongs to %s.', herd.herd_name, herd.env_name, here.hostname,
            here.env_name);
        RETURN;
    END IF;
    SELECT s.hostname INTO other
      FROM ele_instance i JOIN ele_server s ON s.server_id = i.server_id
     WHERE i.herd_id = herd.herd_id AND i.server_id <> nServer
       AND i.system_identifier NOT IN ('', sSystemId)
     ORDER BY s.hostname LIMIT 1;
    IF FOUND THEN
        sWhy := format('Herd %s has this cluster name and port, but its member on %s '
            'carries another database (its system identifier differs).',
            herd.herd_name, other.hostname);
        RETURN;
    END IF;
    SELECT h.herd_name, h.db_port INTO other
      FROM ele_instance i JOIN ele_herd h ON h.herd_id = i.herd_id
     WHERE i.server_id = nServer AND h.herd_id <> herd.herd_id
       AND (h.db_port = nPort
            OR rtrim(coalesce(nullif(i.local_pgdata, ''), h.pgdata), '/')
               = coalesce(sDataDir, rtrim(herd.pgdata, '/')))
     ORDER BY h.herd_id LIMIT 1;
    IF FOUND THEN
        sWhy := format('It would join herd %s, but %s carries herd %s %s already.',
            herd.herd_name, here.hostname, other.herd_name,
            CASE WHEN other.db_port = nPort THEN 'at the same port'
                 ELSE 'in the same data directory' END);
        RETURN;
    END IF;
    -- Without an upstream it would stand there as a second primary.
    IF sUpstream <> '' AND sp_find_upstream(herd.herd_id, NULL, sUpstream) IS NULL
       AND sp_sole_primary(herd.herd_id, NULL) IS NULL THEN
        sWhy := format('It would join herd %s and follows %s, which carries no known '
            'member of that herd.', herd.herd_name, sUpstream);
        RETURN;
    END IF;

    INSERT INTO ele_instance (herd_id, server_id, local_pgdata, master_id)
         VALUES (herd.herd_id, nServer,
                 CASE WHEN sDataDir <> rtrim(herd.pgdata, '/')
                      THEN sDataDir ELSE '' END,
                 -- Nobody knows its role yet: a herd keeps the primary it has.
                 CASE WHEN sUpstream IS NULL
                      THEN sp_sole_primary(herd.herd_id, NULL) END)
    ON CONFLICT DO NOTHING;
    sKnownAs := herd.base_name;
    DELETE FROM ele_discovery
     WHERE server_id = nServer AND db_port = nPort AND base_name = sName;
END;
$$;

-- Lists an instance that has no place, for a person to give it one.
CREATE FUNCTION sp_file_discovery(
    nServer integer, sName text, nPort integer, sVersion text, bOnline boolean,
    sDataDir text, sUpstream text, nXlog bigint, sSystemId text, nTimeline bigint,
    tSeen timestamptz, sReason text)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    MOST_OF_A_HOST CONSTANT integer := 200;
    kept record;
BEGIN
    SELECT * INTO kept FROM ele_discovery
     WHERE server_id = nServer AND db_port = nPort AND base_name = sName;
    IF FOUND THEN
        UPDATE ele_discovery
           SET version = coalesce(sVersion, version),
               is_online = coalesce(bOnline, is_online),
               pgdata = coalesce(sDataDir, pgdata),
               master_host = coalesce(sUpstream, master_host),
               xlog_pos = coalesce(nXlog, xlog_pos),
               system_identifier = coalesce(sSystemId, system_identifier),
               timeline = coalesce(nTimeline, timeline),
               why = sReason,
               last_seen_at = tSeen
         WHERE discovery_id = kept.discovery_id
           AND last_seen_at <= tSeen
           AND (last_seen_at <= tSeen - interval '1 s'
                OR (coalesce(sVersion, version), coalesce(bOnline, is_online),
                    coalesce(sDataDir, pgdata), coalesce(sUpstream, master_host),
                    coalesce(sSystemId, system_identifier), sReason)
                   <> (version, is_online, pgdata, master_host, system_identifier,
                       why));
        RETURN;
    END IF;
    IF (SELECT count(*) FROM ele_discovery WHERE server_id = nServer)
       >= MOST_OF_A_HOST THEN
        RAISE EXCEPTION '% instances of this host wait for a place already; % at port '
            '% was not listed.', MOST_OF_A_HOST, sName, nPort
            USING ERRCODE = 'program_limit_exceeded',
                  HINT = 'Place or delete them in the menu Discovered Instances.';
    END IF;
    INSERT INTO ele_discovery (
        server_id, base_name, db_port, version, is_online, pgdata, master_host,
        xlog_pos, system_identifier, timeline, why, first_seen_at, last_seen_at)
    VALUES (
        nServer, sName, nPort, coalesce(sVersion, ''), coalesce(bOnline, false),
        coalesce(sDataDir, ''), coalesce(sUpstream, ''), nXlog,
        coalesce(sSystemId, ''), nTimeline, sReason, tSeen, tSeen)
    ON CONFLICT DO NOTHING;
END;
$$;
