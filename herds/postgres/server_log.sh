# Tells how long a server's log is, and what it complains about after some point of it.
# $1 data directory, $2 the cluster's name for Debian's tools, $3 bytes to skip, empty
# for the length alone.
directory=$1 base=$2 skip=$3

need any
log=/var/log/postgresql/postgresql-$version-$base.log
if [ -r "$directory/current_logfiles" ]; then
  while read -r kind name; do
    [ "$kind" = stderr ] || continue
    case $name in /*) log=$name ;; *) log=$directory/$name ;; esac
  done <"$directory/current_logfiles"
elif postmaster; then
  # pg_ctl's option -l: the postmaster's own standard error.
  written=$(readlink -f "/proc/$pid/fd/2")
  [ -f "$written" ] && log=$written
fi
[ -r "$log" ] || exit 0
wc -c <"$log"
[ -n "$skip" ] || exit 0
# Those who ask too early, we among them, are told so: that is no complaint.
tail -c "+$((skip + 1))" "$log" | tail -n 500 | grep -E \
  'FATAL:|PANIC:|ERROR:|could not|forked off|not in this server|already been removed' \
  | grep -v 'FATAL:  the database system is ' | tail -n 3
:
