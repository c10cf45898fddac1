# Ends a server that does not stop: it gives up at once, and recovers when it is started.
# $1 data directory.
directory=$1

need running
kill -s QUIT "$pid"
