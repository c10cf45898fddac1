# Runs pg_rewind so that a directory whose rewind was interrupted cannot start.
# $1 data directory, $2 where PostgreSQL's programs are, $3 the configuration file if it
# lies elsewhere, $4 the source's connection string, $5 words for the marker. The
# password of that connection is the one line of standard input.
directory=$1 programs=$2 config=$3 source=$4 words=$5

read_password
need stopped
bin=$programs
exec 9<"$directory" && flock -n -E 75 9 || exit
control=$directory/global/pg_control
marker=$directory/elephaas.incomplete
lock=$directory/postmaster.pid
[ ! -e "$marker" ] || exit 66

# While this runs, pg_control is a link to a descriptor that this shell holds. Whatever
# ends this shell, the link then leads nowhere, and no server starts without pg_control.
# pg_rewind writes it last, through the link.
exec 8<>"$control" || exit
ln -sfT "/proc/$$/fd/7" "$control.link" && mv -fT -- "$control.link" "$control" || exit
exec 7<&8 8<&-
sync -- "$directory/global"

signals=
set_aside() {
  for name in $signals; do : >"$directory/$name"; done
  cat <"/proc/$$/fd/7" >"$control.$1" && chmod 0600 -- "$control.$1" &&
    sync -- "$control.$1" "$directory"
}
put_back() {
  set_aside file && mv -fT -- "$control.file" "$control" && sync -- "$directory/global"
}
begins='need to copy '
mark() { printf '%s\n' "$words" >"$marker"; }
# Asked to end before anything was changed, this leaves the cluster what it was. What
# pg_rewind said last tells whether it had begun.
line= rewinding=
end_early() {
  if [ -n "$rewinding" ]; then
    kill "$rewinding" 2>/dev/null
    wait "$rewinding"
    case $line$(cat <&6) in *"$begins"*) mark ;; esac
  fi
  [ -e "$marker" ] || put_back
  exit 143
}
trap end_early TERM

case $("$bin/pg_controldata" -D "$directory" | sed -n 's/^Database cluster state: *//p') in
'shut down' | 'shut down in recovery') ;;
*)
  # As pg_rewind itself does it; but before 15 it cannot be told of a configuration that
  # lies elsewhere, and a single-user server refuses to be a standby.
  for name in standby.signal recovery.signal; do
    [ ! -e "$directory/$name" ] || signals="$signals $name"
    rm -f -- "$directory/$name"
  done
  "$bin/postgres" --single -F -D "$directory" ${config:+-c "config_file=$config"} \
    template1 </dev/null >&2 || { put_back; exit 67; }
  ;;
esac
[ "$version" -ge 15 ] || config=

# pg_rewind deletes what its source has not, so the marker and the lock are written when
# it has made its list, and before it changes anything. The lock names this shell: as
# long as it lives, PostgreSQL takes it for another server and does not start.
pipe=$(mktemp -d) && mkfifo "$pipe/out" || { put_back; exit 1; }
"$bin/pg_rewind" --progress --target-pgdata="$directory" --source-server="$source" \
  ${config:+--config-file="$config"} >"$pipe/out" 2>&1 &
rewinding=$!
exec 6<"$pipe/out"
rm -r -- "$pipe"
while IFS= read -r line <&6; do
  case $line in
  *"$begins"*)
    if (set -C; printf '%s\n%s\n' $$ "$directory" >"$lock") 2>/dev/null; then
      mark
    else
      kill "$rewinding"
    fi
    ;;
  esac
  printf '%s\n' "$line"
done
wait "$rewinding"
status=$?
if [ ! -e "$marker" ]; then
  # Nothing was changed: the cluster is what it was.
  put_back || exit
  postmaster && exit 73
elif [ "$status" -eq 0 ]; then
  # It is given its control file by enable.sh, once it is told whom to follow.
  signals=standby.signal
  set_aside elephaas && rm -f -- "$control" && sync -- "$directory/global" || exit
fi
[ ! -e "$marker" ] || rm -f -- "$lock"
exit "$status"
