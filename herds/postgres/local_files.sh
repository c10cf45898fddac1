# Sets a node's own files aside, on its own host, and puts them back.
# $1 what, $2 the data directory, $3 the archive's name, then the files' names.
verb=$1 directory=$2 name=$3
shift 3
place=$HOME/.elephaas
archive=$place/$name

case $verb in
keep)
  # What lies in a directory whose copy did not end may be another node's.
  if [ -e "$archive" ] && { [ -e "$directory/elephaas.incomplete" ] ||
    [ ! -f "$directory/global/pg_control" ]; }; then
    exit 0
  fi
  for file in "$@"; do
    shift
    [ ! -e "$directory/$file" ] && [ ! -L "$directory/$file" ] || set -- "$@" "$file"
  done
  mkdir -p -m 0700 -- "$place" && umask 077 &&
    tar -cf "$archive.new" -C "$directory" --files-from=/dev/null -- "$@" &&
    sync -- "$archive.new" && mv -f -- "$archive.new" "$archive" && sync -- "$place"
  ;;
restore)
  [ -e "$archive" ] || exit 0
  tar -tf "$archive" | while IFS= read -r file; do
    file=${file%%/*}
    [ -z "$file" ] || rm -rf -- "${directory:?}/$file"
  done
  tar -xpf "$archive" -C "$directory" && sync -f -- "$directory" && rm -f -- "$archive"
  ;;
esac
