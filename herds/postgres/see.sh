# Tells what one cluster is doing, between two lines that are $mark.
# Needs $directory and $port, $sql to ask a running server, and $status of a command.
see() {
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
        "Latest checkpoint's TimeLineID:"*) printf 'timeline=%s\n' "${line#*:}" ;;
        esac
      done
    fi
  fi
  printf '%s\n' "$mark"
}
