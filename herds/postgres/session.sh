# Opens psql on the running server of a data directory, at its own socket, for a
# conversation on standard input. $1 data directory.
directory=$1

need running
export PGCONNECT_TIMEOUT=5 PGAPPNAME=elephaas
exec "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -h "${sockets:-/tmp}" -p "${bound:-5432}" \
  -d postgres -f -
