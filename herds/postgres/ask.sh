# Asks the server itself: its answer of one line, or its words, in $answer.
# Needs $port and what ``postmaster`` and ``tools`` found.

# Psql takes 5 ms of a processor to be loaded with its two dozen libraries, this takes 1:
# enough of the protocol (Message Formats in the manual) to ask once over the socket,
# where the server trusts the remote user. Everything else is left to psql: status 1.
# A server that hangs is not asked again: status 3. The constants are those of Linux.
client='
  ($path, $sql) = @ARGV;
  $SIG{ALRM} = sub { print "timeout expired"; exit 3 };
  alarm 5;
  sub put {
    my ($type, $body) = @_;
    syswrite $server, $type . pack("N", 4 + length $body) . $body;
  }
  sub take {
    my ($size, $bytes) = ($_[0], "");
    while (length $bytes < $size) {
      sysread $server, $bytes, $size - length $bytes, length $bytes or exit 1;
    }
    return $bytes;
  }
  socket $server, 1, 1, 0 and connect $server, pack("S a*", 1, $path) or exit 1;
  @startup = (user => $ENV{PGUSER} || scalar getpwuid $<, database => "postgres");
  push @startup, options => "-c statement_timeout=5s";
  put("", pack("N", 196608) . join "\0", @startup, "", "");
  while (1) {
    my ($type, $size) = unpack "a N", take(5);
    my $body = take($size - 4);
    if ($type eq "Z") { last if $asked++; put("Q", "$sql\0") }
    elsif ($type eq "D") { $answer = substr $body, 6 }
    elsif ($type eq "E" || $type eq "R" && unpack "N", $body) { exit 1 }
  }
  exit 1 if !defined $answer;
  print "$answer\n";
  put("X", "");
'

ask() {
  answer=$(perl -e "$client" "${sockets:-/tmp}/.s.PGSQL.${bound:-$port}" "$1" \
    2>/dev/null) && return
  [ $? != 3 ] || return
  answer=$(GNUTLS_NO_IMPLICIT_INIT=1 PGCONNECT_TIMEOUT=5 \
    PGOPTIONS='-c statement_timeout=5s' \
    "$bin/psql" -XAtqw -h "${sockets:-/tmp}" -p "${bound:-$port}" \
    -d postgres -c "$1" 2>&1) || return
  # A warning at the connection stands before the answer and is no part of it.
  answer=${answer##*
}
}
