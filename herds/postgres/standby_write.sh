# Writes a standby's postgresql.auto.conf, which comes on standard input. A stopped
# cluster is made a standby before: it starts as one, whatever happens from here on.
# $1 data directory, $2 the number of bytes to come, $3 "stopped" or "running".
directory=$1 bytes=$2 state=$3

need "$state"
umask 077
cd "$directory" || exit 71
if [ "$state" = stopped ]; then
  : >standby.signal && chmod --reference=PG_VERSION standby.signal || exit 71
  rm -f recovery.signal && sync standby.signal || exit 71
fi
# The name is one that PostgreSQL itself uses for this: no copy takes it along.
cat >postgresql.auto.conf.tmp
[ "$(wc -c <postgresql.auto.conf.tmp)" -eq "$bytes" ] || exit 71
chmod --reference=PG_VERSION postgresql.auto.conf.tmp \
  && sync postgresql.auto.conf.tmp \
  && mv -f postgresql.auto.conf.tmp postgresql.auto.conf && sync .
