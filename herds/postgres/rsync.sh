# What has to be done on the target beside rsync. $1 what, $2 the data directory.
verb=$1 directory=$2
shift 2

# Makes rsync look into every file that could differ, and able to write it.
# rsync passes over what has the same size and time. Two servers may write one file in
# the same tick of one clock, so the time is proof only of an older copy: a file that
# was copied with its time was changed (%C) well after that time (%T).
comparable() {
  find "$@" ! -type l ! -perm -u=w -exec chmod u+w -- {} + 2>/dev/null
  find "$@" -type f -printf '%C@ %T@ %p\n' |
    awk '{ age = $1 - $2 } age < 10 && age > -10 { sub(/^[^ ]+ [^ ]+ /, ""); print }' |
    tr '\n' '\0' | xargs -0 -r touch -c -d @1 --
}

refuse() { printf '%s\n' "$1" >&2; exit 65; }

case $verb in
existing)
  for name in "$@"; do
    [ -e "$directory/$name" ] || [ -L "$directory/$name" ] || continue
    printf '%s\n' "$name"
  done
  ;;
prepare)
  if postmaster; then
    printf '%s\n' "PostgreSQL runs in $directory (process $pid)" >&2
    exit 73
  fi
  rm -f -- "$directory/global/pg_control"
  [ -d "$directory/pg_wal" ] || mkdir -m 0700 -- "$directory/pg_wal" || exit
  find "$directory/pg_wal/" -mindepth 1 -delete || exit
  # The node's own files keep their times.
  cd -- "$directory" && comparable base global pg_[!lw]*/ pg_logical
  ;;
tablespace)
  link=$directory/pg_tblspc/$1 path=$2 catalog=$3
  mkdir -p -- "$path" && chmod 0700 -- "$path" && mkdir -p -m 0700 -- "$path/$catalog" &&
    mkdir -p -m 0700 -- "$directory/pg_tblspc" && ln -sfnT -- "$path" "$link" &&
    comparable "$path/$catalog"
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
