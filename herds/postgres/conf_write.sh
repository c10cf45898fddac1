# Makes a configuration directory, unless a main file is there already.
# $1 the directory; standard input is what conf_read.sh gave elsewhere.
[ ! -e "$1/postgresql.conf" ] || { echo present; exit 0; }
mkdir -p "$1" && base64 -d | tar -xzp -C "$1"
