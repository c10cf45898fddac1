# Runs the SQL of standard input on a running server.
# $1 data directory, $2 port, $3 database, $4 the longest a statement may take,
# $5 how much of a statement an error may repeat ("terse": nothing).
directory=$1 port=$2 database=$3 limit=$4 verbosity=$5

need running
# Psql needs none of what this library of its readies at every start.
export GNUTLS_NO_IMPLICIT_INIT=1 PGCONNECT_TIMEOUT=5 PGOPTIONS="-c statement_timeout=$limit"
exec "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -v "VERBOSITY=$verbosity" \
  -h "${sockets:-/tmp}" -p "${bound:-$port}" -d "$database"
