# Ends the WAL receiver of a running standby, which then connects anew.
# $1 data directory
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
  *walreceiver*) kill -s TERM "${process#/proc/}" && echo ended ;;
  esac
done
:
