# Gives a cluster that was copied its control file: from now on it can start, as a
# standby. $1 data directory.
directory=$1

need stopped
control=$directory/global/pg_control
[ -e "$directory/elephaas.incomplete" ] && [ -e "$control.elephaas" ] || exit 0
[ -e "$directory/standby.signal" ] || { echo "it has no standby.signal" >&2; exit 1; }
mv -fT -- "$control.elephaas" "$control" && sync -- "$directory/global"
