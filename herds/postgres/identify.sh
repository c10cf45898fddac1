# Opens a replication connection from this host and asks who answers there, and whether
# that is a standby.
# $1 data directory, $2 where PostgreSQL's programs are (empty: those of the data
# directory), $3 the connection without its password, which is the one line of
# standard input.
directory=$1 bin=$2 connection=$3

[ -n "$bin" ] || need any
IFS= read -r PGPASSWORD
if [ -n "$PGPASSWORD" ]; then export PGPASSWORD; else unset PGPASSWORD; fi
exec "$bin/psql" -XAtqw -d "$connection" -c IDENTIFY_SYSTEM -c 'SHOW in_hot_standby' </dev/null
