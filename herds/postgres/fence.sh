# Has a stopped cluster that was a primary start as a standby only.
# $1 data directory.
directory=$1

need stopped
cd "$directory" || exit 71
: >standby.signal && chmod --reference=PG_VERSION standby.signal || exit 71
sync standby.signal && sync .
