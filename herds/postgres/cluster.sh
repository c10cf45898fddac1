# What both the look and the probe know of a data directory: $directory, $port.
# Shell builtins do what they can: on a busy host a process is the dearest thing.
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

# Ends a script that needs what is not there, by a status that Cluster.run_script knows.
need() {
  major || exit 65
  tools
  case $1 in
  running) postmaster || exit 69 ;;
  stopped) ! postmaster || exit 73 ;;
  esac
}

# Takes a connection's password, which may be empty, from the one line of input.
read_password() {
  IFS= read -r PGPASSWORD
  if [ -n "$PGPASSWORD" ]; then export PGPASSWORD; else unset PGPASSWORD; fi
}
