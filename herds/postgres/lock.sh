# Ends what an earlier run left copying into a directory. $1 the directory.
directory=$1

# Our scripts hold the directory as descriptor 9, and so does what they started.
holders() {
  for each in /proc/[0-9]*; do
    [ "$each/fd/9" -ef "$directory" ] && grep -qzs '^ELEPHAAS_RUN=' "$each/environ" &&
      printf '%s ' "${each#/proc/}"
  done
}

found=$(holders)
[ -n "$found" ] || exit 0
printf '%s\n' "$found"
for signal in TERM KILL; do
  kill -s "$signal" $(holders) 2>/dev/null
  left=50
  while [ -n "$(holders)" ] && [ "$left" -gt 0 ]; do
    left=$((left - 1))
    sleep 0.1
  done
done
[ -z "$(holders)" ]
