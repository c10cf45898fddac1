# Foresees a rewind; changes nothing. $1 data directory, $2 where PostgreSQL's programs
# are, $3 the source's connection string; its password is the one line of standard input.
directory=$1 programs=$2 source=$3

read_password
need stopped
# A dry run fetches all that a rewind would, only to throw it away: it is ended as soon
# as it has told how much that is.
pipe=$(mktemp -d) && mkfifo "$pipe/out" || exit
"$programs/pg_rewind" --dry-run --progress --target-pgdata="$directory" \
  --source-server="$source" >"$pipe/out" 2>&1 &
foreseeing=$!
exec 6<"$pipe/out"
rm -r -- "$pipe"
told=
while IFS= read -r line <&6; do
  printf '%s\n' "$line"
  case $line in
  *'need to copy '*)
    told=yes
    kill "$foreseeing"
    break
    ;;
  esac
done
exec 6<&-
wait "$foreseeing"
status=$?
[ -z "$told" ] || exit 0
exit "$status"
