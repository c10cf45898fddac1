# Waits on its host for the word "go", then runs a command and tells what comes of it.
# Every event is a line that begins with the mark.
# $1 data directory, $2 the mark, $3 the command, $4 "stop" where the end of the cluster
# is watched, $5 the longest to watch, in seconds, $6 the address of the one WAL sender
# that is needed until the end, where it is known.
directory=$1 mark=$2 command=$3 watch=$4 seconds=$5 spared=$6

need running
tell() { printf '\n%s %s\n' "$mark" "$*"; }

# What a fast shutdown has come to stands in pg_control, and pg_ctl looks only ten times
# a second. From the moment in which it says "shut down" (1) no WAL is written any more,
# whoever may still keep the process waiting. What is being written is read twice.
# The offsets are those of ControlFileData (src/include/catalog/pg_control.h) in 11 to 18.
# From then on the cluster cannot start as a primary: whoever starts it gets a standby.
watcher='
  use IO::Handle;
  ($directory, $pid, $seconds, $mark, $command, $spared) = @ARGV;
  $| = 1;
  sub tell_of { syswrite STDOUT, "\n$mark @_\n" }
  sub control {
    open my $file, "<:raw", "$directory/global/pg_control" or return -1;
    sysread $file, my $bytes, 56;
    return unpack "x16 L x12 Q x8 L", $bytes;
  }
  sub fence {
    my $signal = "$directory/standby.signal";
    return "standby already" if -e $signal;
    open my $file, ">", $signal or return "failed $!";
    chmod +(stat "$directory/PG_VERSION")[2] & 0777, $signal;
    $file->sync;
    return "yes";
  }
  sub see_down {
    my ($state, $checkpoint, $timeline) = control();
    return if $state != 1 || "$state $checkpoint $timeline" ne join " ", control();
    $down = 1;
    tell_of("down", $checkpoint, $timeline);
    tell_of("fenced", fence());
    system "sync", $directory;
  }
  # A WAL sender whose client takes nothing any more keeps the shutdown waiting, until
  # wal_sender_timeout or for ever.
  sub end_senders {
    for (glob "/proc/[0-9]*") {
      open my $file, "<", "$_/status" or next;
      next if !grep /^PPid:\s+$pid$/, <$file>;
      open $file, "<", "$_/cmdline" or next;
      my $title = <$file> // "";
      next if $title !~ /walsender/ || $title =~ /walsender \S+ \Q$spared\E\(/;
      kill "TERM", substr $_, 6;
    }
  }
  tell_of("ready");
  exit 0 if (<STDIN> // "") !~ /^go/;
  $child = fork;
  if (!$child) {
    open STDIN, "<", "/dev/null";
    exec "sh", "-c", $command or exit 127;
  }
  $until = time + $seconds;
  while (time <= $until) {
    if (defined $child && waitpid($child, 1) == $child) {
      tell_of("status", $? & 127 ? 128 + ($? & 127) : $? >> 8);
      undef $child;
    }
    my $lives = -e "/proc/$pid/cwd";
    # Read after the look at the process, so that its last word is not missed.
    see_down() if !$down;
    if (!$down && $spared ne "" && ++$looks % 500 == 0) { end_senders() }
    tell_of($down ? "gone" : "crashed") if !$lives && !$gone++;
    last if $gone && !defined $child;
    select undef, undef, undef, $down ? 0.02 : 0.002;
  }
'

if [ "$watch" != stop ]; then
  tell ready
  IFS= read -r word
  [ "$word" = go ] || exit 0
  sh -c "$command" </dev/null
  tell status "$?"
  exit
fi
exec perl -e "$watcher" "$directory" "$pid" "$seconds" "$mark" "$command" \
  "$spared"
