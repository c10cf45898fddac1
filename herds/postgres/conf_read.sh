# Tells a configuration directory outside the data directory, without its main file.
# $1 the directory
cd "$1" || exit 71
tar -cz --exclude=./postgresql.conf . | base64
