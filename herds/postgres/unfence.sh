# Takes from a stopped cluster that was a primary what keeps it from being one.
# $1 data directory.
directory=$1

need stopped
rm -f -- "$directory/standby.signal" && sync -- "$directory"
