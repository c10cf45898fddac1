# Runs pg_basebackup so that what an interruption leaves is known for what it is.
# $1 data directory, $2 major version, $3 words for the marker, then the command; the
# password of its connection is the one line of standard input.
directory=$1 version=$2 words=$3
shift 3

read_password

# The lock belongs to the directory: it outlives whoever started this, not the copying.
exec 9<"$directory" && flock -n -E 75 9 || exit
[ -z "$(ls -A "$directory")" ] || exit 66

"$@" &
copying=$!
# Nothing may lie there until pg_basebackup has seen that nothing does. From then on
# the directory is an incomplete standby: never a primary, and never a stranger's.
mark() {
  printf '%s\n' "$words" >"$directory/elephaas.incomplete"
  [ -s "$directory/PG_VERSION" ] || printf '%s\n' "$version" >"$directory/PG_VERSION"
  : >"$directory/standby.signal"
  marked=yes
}
marked=
while kill -0 "$copying" 2>/dev/null; do
  if [ -n "$(ls -A "$directory")" ]; then
    mark
    break
  fi
  sleep 0.02
done
wait "$copying"
status=$?
if [ "$status" -ne 0 ]; then
  # pg_control may have come before what failed, and on a full disk the marks may not
  # have been written: the WAL makes room for them.
  rm -f -- "$directory/global/pg_control"
  if [ -n "$marked" ]; then rm -rf -- "$directory/pg_wal/"*; mark; fi
elif [ -z "$marked" ]; then
  mark
fi
exit "$status"
