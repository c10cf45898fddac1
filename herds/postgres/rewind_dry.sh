# Foresees a rewind; changes nothing. $1 data directory, $2 where PostgreSQL's programs
# are, $3 the source's connection string; its password is the one line of standard input.
directory=$1 programs=$2 source=$3

read_password
need stopped
exec "$programs/pg_rewind" --dry-run --progress --target-pgdata="$directory" \
  --source-server="$source" 2>&1
