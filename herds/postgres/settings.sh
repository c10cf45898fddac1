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
# PostgreSQL takes 10 ms of a processor to read its files anew for each name. That of a
# recovery target is rarely in any of them, and then it has none: its default is empty.
# Where files are included that are not looked into here, PostgreSQL is asked.
target='^[[:space:]]*recovery_target(_lsn|_name|_time|_xid)?([^[:alnum:]_]|$)'
targets_named() {
  set -- "$config" "$directory/postgresql.auto.conf" "${config%/*}"/conf.d/*.conf
  grep -hsiE '^[[:space:]]*include' "$@" |
    grep -qviE "^[[:space:]]*include_dir[[:space:]=]+'conf\.d'[[:space:]]*(#.*)?\$" ||
    grep -qsiE "$target" "$@"
}
tell() { "$bin/postgres" -C "$1" -D "$directory" -c "config_file=$config"; }
targets=
for name in "$@"; do
  case $name in
  recovery_target | recovery_target_lsn | recovery_target_name | recovery_target_time | \
    recovery_target_xid)
    [ -n "$targets" ] || if targets_named; then targets=named; else targets=none; fi
    [ "$targets" = named ] || { printf '%s=\n' "$name"; continue; }
    ;;
  esac
  value=$(tell "$name" 2>/dev/null) || { tell "$name" >&2; exit 71; }
  printf '%s=%s\n' "$name" "$value"
done
