# Tells the processes that work in a data directory.
# $1 data directory
directory=$1

[ -d "$directory" ] || exit 0
for each in /proc/[0-9]*; do
  [ "$each/cwd" -ef "$directory" ] && echo "${each#/proc/}"
done
:
