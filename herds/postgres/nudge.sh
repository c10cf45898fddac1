# Has a running standby connect to its upstream at once, whatever it waits for: its WAL
# receiver ends, and the reload wakes the process that begins another one.
# $1 data directory.
directory=$1

need running
for status in /proc/[0-9]*/status; do
  process=${status%/status}
  parent=
  while read -r name value; do
    [ "$name" = PPid: ] && parent=$value && break
  done 2>/dev/null <"$status"
  [ "$parent" = "$pid" ] || continue
  case $(tr '\0' ' ' <"$process/cmdline") in
  *walreceiver*) kill -s TERM "${process#/proc/}" ;;
  esac
done
kill -s HUP "$pid"
