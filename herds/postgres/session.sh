# Opens psql on the running server of a data directory, at its own socket, for a
# conversation on standard input. $1 data directory, $2 the session's name.
directory=$1 name=$2

need running
# One of the same name belongs to a worker that was cut off: this one takes its place.
for each in $(grep -lzsxF "PGAPPNAME=$name" /proc/[0-9]*/environ); do
  each=${each#/proc/}
  kill "${each%/environ}"
done
export GNUTLS_NO_IMPLICIT_INIT=1 PGCONNECT_TIMEOUT=5 PGAPPNAME="$name"
exec "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -h "${sockets:-/tmp}" -p "${bound:-5432}" \
  -d postgres -f -
