# Small changes to one host's files that hold whatever happens meanwhile.
# $1 what to do, $2 the path, then what that needs.
verb=$1 path=$2
case $path in
/*) ;;
*) echo "$path is no absolute path" >&2; exit 64 ;;
esac

refuse() { printf '%s\n' "$1" >&2; exit 65; }

not_running() {
  directory=$path
  ! postmaster || { printf '%s\n' "PostgreSQL runs in $path (process $pid)" >&2; exit 73; }
}

case $verb in
read)
  [ -e "$path" ] || exit 44
  cat <"$path"
  ;;
write)
  mode=$3 size=$4
  [ -L "$path" ] && path=$(readlink -f -- "$path")
  new=$path.elephaas-new
  umask 077
  trap 'rm -f -- "$new"' EXIT
  cat >"$new" || exit
  # The end of the input may be the end of the connection.
  [ "$(wc -c <"$new")" -eq "$size" ] || refuse "only a part of $path arrived"
  chmod -- "$mode" "$new" && sync -- "$new" && mv -f -- "$new" "$path" &&
    sync -- "${path%/*}/"
  ;;
remove)
  [ -e "$path" ] || [ -L "$path" ] || exit 0
  rm -f -- "$path" && sync -- "${path%/*}/"
  ;;
remove-control)
  not_running
  [ -d "$path/global" ] || exit 0
  rm -f -- "$path/global/pg_control" && sync -- "$path/global"
  ;;
obstacles)
  me=$(id -u)
  cd -- "$path" || exit
  find . -name lost+found -prune -o \
    \( -type l ! -path './pg_tblspc/*' ! -path ./pg_wal -printf 'link %P\n' \) -o \
    \( ! -type l ! -writable -user "$me" -printf 'unwritable %P\n' \) -o \
    \( ! -type l ! -writable -printf 'foreign %P\n' \) -o \
    \( -type d -path './pg_wal/*' ! -path ./pg_wal/archive_status \
      ! -path ./pg_wal/summaries -prune -printf 'stranger %P\n' \)
  for place in pg_wal pg_tblspc/*; do
    [ -L "$place" ] && find "$place/" \
      \( ! -type l ! -writable -user "$me" -printf 'unwritable %p\n' \) -o \
      \( ! -type l ! -writable -printf 'foreign %p\n' \)
  done
  true
  ;;
make)
  if [ ! -e "$path" ]; then
    mkdir -p -- "${path%/*}/" && mkdir -m 0700 -- "$path" && sync -- "${path%/*}/"
    exit
  fi
  [ -d "$path" ] || refuse "$path is no directory"
  first=$(ls -A -- "$path" | head -n 1)
  [ -z "$first" ] || refuse "$path is not empty: it holds $first"
  chmod 0700 -- "$path"
  ;;
clear)
  identifier=$3 words=$4
  [ -d "$path" ] || refuse "$path is no directory"
  [ "$(readlink -f -- "$path")" != / ] || refuse "$path is the root of the file system"
  not_running
  major || [ -e "$path/elephaas.incomplete" ] ||
    refuse "$path is no data directory: it has no PG_VERSION"
  [ "$(stat -c %d -- "$path")" = "$(stat -c %d -- "$path/..")" ] ||
    refuse "$path is the root of a mounted file system"
  if [ -f "$path/global/pg_control" ]; then
    tools
    is=$("$bin/pg_controldata" -D "$path" | sed -n 's/^Database system identifier: *//p')
    [ "$is" = "$identifier" ] ||
      refuse "$path belongs to another cluster (${is:-unknown}, not $identifier)"
  fi
  # First what it cannot start without, last what it is recognised by. On a full disk
  # the marker may not be written: what is deleted makes room for what comes.
  printf '%s\n' "$words" >"$path/elephaas.incomplete"
  rm -f -- "$path/global/pg_control" && sync -- "$path" || exit
  for place in "$path"/pg_tblspc/*; do
    [ -n "$version" ] && [ -L "$place" ] || continue
    find "$place/" -mindepth 1 -maxdepth 1 -name "PG_${version}_*" \
      -exec rm -rf --one-file-system -- {} + || exit
  done
  if [ -L "$path/pg_wal" ]; then
    find "$path/pg_wal/" -mindepth 1 -delete || exit
  fi
  find "$path" -mindepth 1 -maxdepth 1 ! -name PG_VERSION ! -name elephaas.incomplete \
    -exec rm -rf --one-file-system -- {} + || exit
  rm -f -- "$path/PG_VERSION" "$path/elephaas.incomplete"
  ;;
esac
