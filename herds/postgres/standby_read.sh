# Tells settings of a stopped cluster as its next start would see them, and then its
# postgresql.auto.conf as it is.
# $1 data directory, $2 the cluster's name for Debian's tools, $3 "stopped" or
# "running", then the names of settings.
directory=$1 base=$2 state=$3
shift 3

need "$state"
config=$directory/postgresql.conf
[ -r "$config" ] || config=/etc/postgresql/$version/$base/postgresql.conf
if [ -r "$directory/postmaster.opts" ] && read -r opts <"$directory/postmaster.opts"; then
  case $opts in *'"config_file='*)
    started=${opts#*'"config_file='} started=${started%%'"'*}
    [ -r "$started" ] && config=$started
    ;;
  esac
fi
tell() { "$bin/postgres" -C "$1" -D "$directory" -c "config_file=$config"; }
for name in "$@"; do
  value=$(tell "$name" 2>/dev/null) || { tell "$name" >&2; exit 71; }
  printf '%s=%s\n' "$name" "$value"
done
echo
[ ! -r "$directory/postgresql.auto.conf" ] || base64 "$directory/postgresql.auto.conf"
