# Tells everything about one cluster, running or not; changes nothing.
# $1 data directory, $2 port, $3 the line that begins what was seen,
# $4 the SQL that tells about a running server, $5 "sizes" where those are told too.
directory=$1 port=$2 mark=$3 sql=$4 sizes=$5

size() { timeout 20 du -sbD -- "$1" 2>/dev/null | while read -r bytes _; do echo "$bytes"; done; }
free() { df -PB1 -- "$1" 2>/dev/null | { read -r _; read -r _ _ _ bytes _; printf 'free=%s\n' "$bytes"; }; }

printf '\n%s\n' "$mark"
printf 'now=%s\n' "$(date +%s.%N)"
for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
  [ -x "$bin/postgres" ] && printf 'installed=%s\n' "$bin"
done
command -v rsync >/dev/null && echo rsync=yes
command -v perl >/dev/null && echo perl=yes

place=$directory
while [ ! -d "$place" ]; do place=${place%/*}; place=${place:-/}; done
free "$place"
[ -w "$place" ] && echo writable=yes

if [ ! -e "$directory" ]; then
  echo directory=absent
elif ! major; then
  echo directory=foreign
  for entry in "$directory"/* "$directory"/.[!.]*; do
    [ -e "$entry" ] && echo directory=occupied && break
  done
else
  printf 'version=%s\n' "$version"
  tools
  printf 'bin=%s\n' "$bin"
  for name in standby.signal recovery.signal recovery.conf backup_label \
    elephaas.incomplete postgresql.conf pg_hba.conf postgresql.auto.conf; do
    [ -e "$directory/$name" ] && printf 'file=%s\n' "$name"
  done
  [ -L "$directory/pg_wal" ] && printf 'wal_link=%s\n' "$(readlink -f "$directory/pg_wal")"
  [ -r "$directory/postmaster.opts" ] && read -r opts <"$directory/postmaster.opts" \
    && printf 'opts=%s\n' "$opts"
  [ -z "$sizes" ] || printf 'data_bytes=%s\nwal_bytes=%s\n' \
    "$(size "$directory")" "$(size "$directory/pg_wal")"
  for link in "$directory"/pg_tblspc/*; do
    [ -L "$link" ] && printf 'tablespace=%s %s %s\n' \
      "${link##*/}" "${sizes:+$(size "$link")}" "$(readlink -f "$link")"
  done
  "$bin/pg_controldata" -D "$directory" 2>&1 | while read -r line; do
    printf 'control=%s\n' "$line"
  done
  if postmaster; then
    printf 'pid=%s\nstarted=%s\nphase=%s\n' "$pid" "$started" "$phase"
    ask "$sql" && printf 'sql=%s\n' "$answer" || printf 'trouble=%s\n' "$answer"
  fi
fi
echo end=yes
