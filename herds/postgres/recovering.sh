# Tells which WAL a server replays that accepts no connections yet; nothing where none
# does. $1 data directory.
directory=$1

need running
for each in /proc/[0-9]*; do
  [ "$each/cwd" -ef "$directory" ] || continue
  title=$(tr '\0' ' ' <"$each/cmdline") 2>/dev/null
  case $title in *'startup recovering '*) echo "${title##*startup recovering }" ;; esac
done
:
