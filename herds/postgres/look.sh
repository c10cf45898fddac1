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

see
