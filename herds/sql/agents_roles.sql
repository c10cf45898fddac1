-- The roles that agents log in as members of, where this user may make roles.
--
-- util_exec may call the agents' functions. A member of util_exec_host as well speaks
-- only for the host that its login is named after. Roles belong to the whole server:
-- they stay when the functions go.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['util_exec', 'util_exec_host'] LOOP
        CONTINUE WHEN to_regrole(wanted) IS NOT NULL;
        IF (SELECT rolsuper OR rolcreaterole
              FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        ELSE
            RAISE WARNING 'Role % was not made: % may not make roles.',
                wanted, current_user
                USING HINT = 'See "Roles of agents" in docs/discovery.md.';
        END IF;
    END LOOP;
END;
$$;
