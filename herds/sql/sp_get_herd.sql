-- Gives the id of a herd by cluster name, port and environment.
--
-- NULL where there is none, and where two fit: nobody knows then which is meant.
CREATE FUNCTION sp_get_herd(sName text, nPort integer, nEnv integer) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
    SELECT min(herd_id) FROM ele_herd
     WHERE base_name = sName AND db_port = nPort AND environment_id = nEnv
    HAVING count(*) = 1;
$$;
