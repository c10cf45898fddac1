# Tells the last record in a stopped cluster's pg_wal.
# $1 data directory, $2 timeline, $3 where to begin.
directory=$1 timeline=$2 start=$3

need any
# pg_waldump always ends with an error here: it reads on until no record follows.
"$bin/pg_waldump" -p "$directory/pg_wal" -t "$timeline" -s "$start" | tail -n 1
