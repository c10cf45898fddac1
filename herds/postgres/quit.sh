# Has a server end by a signal to its postmaster, whatever keeps its command waiting.
# $1 data directory, $2 the signal.
directory=$1 signal=$2

need running
kill -s "$signal" "$pid" || ! postmaster
