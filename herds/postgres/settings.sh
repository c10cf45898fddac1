# Tells settings of a stopped cluster as its next start would see them.
# $1 data directory, $2 the cluster's name for Debian's tools, then names of settings.
directory=$1 base=$2
shift 2

need stopped
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
