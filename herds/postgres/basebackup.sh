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
# Asked to end, this waits for the copying to have ended, and tidies up after it.
trap 'kill "$copying" 2>/dev/null; wait "$copying"' TERM
# Nothing may lie there until pg_basebackup has seen that nothing does. From then on
# the directory is an incomplete standby: never a primary, and never a stranger's.
holds_something() { [ -n "$(ls -A "$directory")" ]; }
mark() {
  printf '%s\n' "$words" >"$directory/elephaas.incomplete"
  [ -s "$directory/PG_VERSION" ] || printf '%s\n' "$version" >"$directory/PG_VERSION"
  : >"$directory/standby.signal"
}
# pg_control is there some time before the copy is whole and on disk. The lock names this
# shell: as long as it lives, PostgreSQL takes it for another server and does not start.
lock=$directory/postmaster.pid
while kill -0 "$copying" 2>/dev/null; do
  if holds_something; then
    mark
    printf '%s\n%s\n' $$ "$directory" >"$lock"
    break
  fi
  sleep 0.02
done
wait "$copying"
status=$?
if [ "$status" -eq 0 ]; then
  # It is given its control file by enable.sh, once it is told whom to follow.
  control=$directory/global/pg_control
  mark
  mv -fT -- "$control" "$control.elephaas" && sync -- "$directory/global" || exit
elif holds_something; then
  # pg_control may have come before what failed, and on a full disk the marks may not
  # have been written: the WAL makes room for them.
  rm -f -- "$directory/global/pg_control"
  rm -rf -- "$directory/pg_wal/"*
  mark
fi
rm -f -- "$lock"
exit "$status"
