-- Which server an agent speaks for; a host that is not known is registered.

-- Refuses to hear one host's agent about another, where that is forbidden.
--
-- Called once the names are known to differ and the login to be a member of
-- util_exec_host; a superuser is a member of everything, and is believed.
CREATE FUNCTION sp_refuse_other_host(sHost text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user) THEN
        RAISE EXCEPTION 'The agent % reports for its own host only, not for %.',
            session_user, left(sHost, 253)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Members of util_exec_host speak for the host that their '
                         'login is named after. Nothing was recorded.';
    END IF;
END;
$$;

-- Gives the id of a server by its name, of any case, with or without a final dot.
--
-- An unknown one is inserted without an environment: a person chooses that.
CREATE FUNCTION sp_discover_server(sHost text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    MOST_WAITING CONSTANT integer := 10000;
    host CONSTANT text := lower(
        CASE WHEN right(sHost, 1) = '.' THEN left(sHost, -1) ELSE sHost END);
    server record;
    waiting integer;
BEGIN
    IF lower(session_user) <> host
       AND pg_has_role(session_user, to_regrole('util_exec_host'), 'MEMBER') THEN
        PERFORM sp_refuse_other_host(host);
    END IF;

    -- The second turn is for a host that another report registers at the same moment.
    FOR turn IN 1..2 LOOP
        SELECT server_id, reported_at INTO server
          FROM ele_server WHERE lower(hostname) = host;
        IF FOUND THEN
            UPDATE ele_server SET reported_at = statement_timestamp()
             WHERE server_id = server.server_id
               AND (reported_at IS NULL OR reported_at NOT BETWEEN
                    statement_timestamp() - interval '10 s' AND statement_timestamp());
            RETURN server.server_id;
        END IF;

        IF host IS NULL OR length(host) > 253
           OR host !~ '^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$'
           OR host ~ '(^|\.)-|-(\.|$)' THEN
            RAISE EXCEPTION '% is no host name.', coalesce(
                quote_literal(regexp_replace(left(host, 60), '[^ -~]', '?', 'g')),
                'NULL')
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'It is made of labels of letters, digits and "-" (1 to '
                             '63 characters each) with dots between them. Nothing '
                             'was recorded.';
        END IF;
        SELECT count(*) INTO waiting FROM (
            SELECT FROM ele_server
             WHERE environment_id IS NULL AND discovered_at IS NOT NULL
             LIMIT MOST_WAITING) AS unplaced;
        IF waiting >= MOST_WAITING THEN
            RAISE EXCEPTION '% hosts wait for an environment already; % was not '
                'registered.', waiting, host
                USING ERRCODE = 'program_limit_exceeded',
                      HINT = 'Choose environments for them in the menu Servers, or '
                             'delete them.';
        END IF;
        INSERT INTO ele_server (hostname, discovered_at, reported_at)
             VALUES (host, statement_timestamp(), statement_timestamp())
        ON CONFLICT DO NOTHING
          RETURNING server_id INTO server;
        IF FOUND THEN
            RETURN server.server_id;
        END IF;
    END LOOP;
    RAISE EXCEPTION '% was deleted while it was reported.', host
        USING ERRCODE = 'serialization_failure', HINT = 'Report it again.';
END;
$$;
