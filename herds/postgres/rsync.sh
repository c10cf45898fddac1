# What has to be done on the target beside rsync. $1 what, $2 the data directory.
verb=$1 directory=$2
shift 2

# What cannot be written cannot be brought up to date in place.
writable() { find "$1" ! -type l ! -perm -u=w -exec chmod u+w -- {} + 2>/dev/null; }

refuse() { printf '%s\n' "$1" >&2; exit 65; }

case $verb in
existing)
  for name in "$@"; do
    [ -e "$directory/$name" ] || [ -L "$directory/$name" ] || continue
    printf '%s\n' "$name"
  done
  ;;
prepare)
  postmaster && refuse "PostgreSQL runs in $directory (process $pid)"
  rm -f -- "$directory/global/pg_control"
  writable "$directory"
  [ -d "$directory/pg_wal" ] || mkdir -m 0700 -- "$directory/pg_wal" || exit
  find "$directory/pg_wal/" -mindepth 1 -delete
  ;;
tablespace)
  link=$directory/pg_tblspc/$1 path=$2 catalog=$3
  mkdir -p -- "$path" && chmod 0700 -- "$path" && mkdir -p -m 0700 -- "$path/$catalog" &&
    mkdir -p -m 0700 -- "$directory/pg_tblspc" && ln -sfnT -- "$path" "$link" || exit
  writable "$path/$catalog"
  true
  ;;
flush)
  for name in backup_label standby.signal; do
    [ -e "$directory/$name" ] || refuse "the copy in $directory has no $name"
  done
  sync -f -- "$directory" "$directory/pg_wal/" || exit
  for place in "$directory"/pg_tblspc/*; do
    [ ! -L "$place" ] || sync -f -- "$place/" || exit
  done
  ;;
esac
