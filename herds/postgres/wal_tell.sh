# Tells how a cluster came to a timeline, and a digest of one stretch of its WAL.
# $1 data directory, $2 timeline, $3 what follows the timeline in the segment's name,
# $4 bytes to skip in the segment, $5 bytes to read.
directory=$1 timeline=$2 segment=$3 skip=$4 length=$5

need any
parents=
history=$(printf '%s/pg_wal/%08X.history' "$directory" "$timeline")
if [ -r "$history" ]; then
  while read -r parent rest; do
    case $parent in '' | *[!0-9]*) continue ;; esac
    printf 'history=%s %s\n' "$parent" "$rest"
    parents="$parent $parents"
  done <"$history"
fi
# A segment in which the timeline changed stands under both, the younger one's whole.
for each in $timeline $parents; do
  file=$(printf '%s/pg_wal/%08X%s' "$directory" "$each" "$segment")
  [ -r "$file" ] || continue
  sum=$(tail -c "+$((skip + 1))" "$file" | head -c "$length" | sha256sum)
  printf 'digest=%s\n' "${sum%% *}"
  break
done
