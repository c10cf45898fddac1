# Looks at one cluster, after running a command on it if one is given.
# $1 data directory, $2 port, $3 the line that begins what was seen,
# $4 what must hold before the command is run ("" or "running"),
# $5 the major version the command was written for, $6 the command,
# $7 the SQL that tells about a running server.
# Shell builtins do what they can: on a busy host a process is the dearest thing.
directory=$1 port=$2 mark=$3 need=$4 written_for=$5 command=$6 sql=$7
export LC_ALL=C

major() {
  version=
  [ -r "$directory/PG_VERSION" ] && read -r version <"$directory/PG_VERSION"
  [ -n "$version" ]
}

# A postmaster is the process named in its lock file that also works in the data
# directory: a number alone may belong to another process after a crash.
postmaster() {
  pid= started= bound= sockets= phase=
  [ -r "$directory/postmaster.pid" ] || return 1
  {
    read -r pid; read -r _; read -r started; read -r bound
    read -r sockets; read -r _; read -r _; read -r phase
  } <"$directory/postmaster.pid"
  pid=${pid#-}
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  [ "/proc/$pid/cwd" -ef "$directory" ]
}

tools() {
  for bin in "/usr/lib/postgresql/$version/bin" "/usr/pgsql-$version/bin"; do
    [ -x "$bin/pg_controldata" ] && return
  done
  bin=$(command -v pg_controldata) && bin=${bin%/*}
}

status=
if [ -n "$command" ]; then
  if [ "$need" = running ] && ! postmaster; then
    status=not-running
  elif [ -n "$written_for" ] && major && [ "$version" != "$written_for" ]; then
    status=other-version
  else
    sh -c "$command" </dev/null
    status=$?
  fi
fi

printf '\n%s\nstatus=%s\n' "$mark" "$status"
if [ ! -e "$directory" ]; then
  echo directory=absent
elif ! major; then
  echo directory=foreign
else
  printf 'version=%s\n' "$version"
  tools
  if postmaster; then
    printf 'pid=%s\nstarted=%s\nphase=%s\n' "$pid" "$started" "$phase"
    seen=$(PGCONNECT_TIMEOUT=5 PGOPTIONS='-c statement_timeout=5s' \
      "$bin/psql" -XAtqw -h "${sockets:-/tmp}" -p "${bound:-$port}" \
      -d postgres -c "$sql" 2>&1) \
      && printf 'sql=%s\n' "$seen" || printf 'trouble=%s\n' "$seen"
  else
    "$bin/pg_controldata" -D "$directory" 2>&1 | while read -r line; do
      case $line in
      'Database cluster state:'*) printf 'control=%s\n' "${line#*:}" ;;
      'Database system identifier:'*) printf 'system=%s\n' "${line#*:}" ;;
      esac
    done
  fi
fi
