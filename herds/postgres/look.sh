# Looks at one cluster, after running a command on it if one is given.
# $1 data directory, $2 port, $3 the line that begins and ends what was seen,
# $4 what must hold before the command is run ("" or "running"),
# $5 the major version the command was written for, $6 the command,
# $7 the SQL that tells about a running server.
directory=$1 port=$2 mark=$3 need=$4 written_for=$5 command=$6 sql=$7

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
    ask "$sql" && printf 'sql=%s\n' "$answer" || printf 'trouble=%s\n' "$answer"
  else
    "$bin/pg_controldata" -D "$directory" 2>&1 | while read -r line; do
      case $line in
      'Database cluster state:'*) printf 'control=%s\n' "${line#*:}" ;;
      'Database system identifier:'*) printf 'system=%s\n' "${line#*:}" ;;
      esac
    done
  fi
fi
printf '%s\n' "$mark"
