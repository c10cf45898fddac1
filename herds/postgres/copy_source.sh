# Runs one statement on a server elsewhere. $1 where PostgreSQL's programs are, $2 the
# connection string, whose password is the one line of standard input, $3 the statement.
read_password
exec "$1/psql" -XAtqw -v VERBOSITY=terse -d "$2" -c "$3" </dev/null
