# Tells the last record in a stopped cluster's pg_wal.
# $1 data directory, $2 timeline, $3 where to begin, $4 what follows the timeline in the
# name of the segment that holds it.
directory=$1 number=$2 start=$3
timeline=$(printf "%08X" "$number")
first=$timeline$4

need any
# pg_waldump learns the size of segments from whichever it finds first, and gives up at
# one that PostgreSQL has only made in advance: let it see those that were written to.
written=$(mktemp -d) || exit 71
trap 'rm -rf "$written"' EXIT
trap 'exit 71' HUP INT TERM
for file in "$directory/pg_wal/$timeline"????????????????; do
  [ "${file##*/}" '<' "$first" ] && continue
  [ "$(od -An -tx1 -N2 "$file")" = ' 00 00' ] || ln -s "$file" "$written"
done
# It always ends with an error here: it reads on until no record follows.
"$bin/pg_waldump" -p "$written" -t "$number" -s "$start" | tail -n 1
