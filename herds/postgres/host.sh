# Looks at several clusters of one host, one after the other.
# $1 the line that begins and ends what was seen of each, $2 the SQL that tells about a
# running server, then of each cluster its data directory and port.
mark=$1 sql=$2 status=
shift 2
while [ $# -gt 1 ]; do
  directory=$1 port=$2
  shift 2
  see
done
