# Waits on its host for the word "go", then runs a command and tells what comes of it.
# Every event is a line that begins with the mark. The end of the input before a cluster
# is down ends the watch, and the command goes on by itself.
# $1 data directory, $2 the mark, $3 the command, $4 "stop" where the end of the cluster
# is watched, $5 the longest to watch and $6 that WAL senders get, in seconds.
directory=$1 mark=$2 command=$3 watch=$4 seconds=$5 grace=$6

need running
tell() { printf '\n%s %s\n' "$mark" "$*"; }

# What a fast shutdown has come to stands in pg_control, and pg_ctl looks only ten times
# a second. From the moment in which it says "shut down" (1) no WAL is written any more,
# whoever may still keep the process waiting. What is being written is read twice.
# The offsets are those of ControlFileData (src/include/catalog/pg_control.h) in 11 to 18.
# From then on the cluster cannot start as a primary: whoever starts it gets a standby.
# WAL senders whose clients take nothing any more keep it from ending, or even from
# writing its shutdown checkpoint: those that show the same position for a while are
# ended, but for those whose numbers come with the word.
watcher='
  use IO::Handle;
  ($directory, $pid, $seconds, $mark, $grace, $command) = @ARGV;
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
  sub parent {
    open my $file, "<", "/proc/$_[0]/stat" or return 0;
    return (readline($file) // "") =~ /.*\) \S+ (\d+)/s ? $1 : 0;
  }
  sub end_stuck {
    for (glob "/proc/[0-9]*/cmdline") {
      my ($process) = /(\d+)/;
      next if $spared{$process} || parent($process) != $pid;
      open my $file, "<", $_ or next;
      my ($title) = (readline($file) // "") =~ /(walsender [^\0]*)/ or next;
      ($at{$process}, $since{$process}) = ($title, time)
        if $title ne ($at{$process} // "");
      next if time - $since{$process} < $grace;
      tell_of("ended", $title) if !$asked{$process}++ && kill "TERM", $process;
    }
  }
  sub rest {
    my ($seconds) = @_;
    my $inputs = "";
    vec($inputs, fileno(STDIN), 1) = $left ? 0 : 1;
    return if !select $inputs, undef, undef, $seconds;
    $left = 1 if !sysread STDIN, my $words, 512;
  }
  tell_of("ready");
  my $word = "";
  while ($word !~ /\n/) { sysread STDIN, $word, 512, length $word or exit 0 }
  exit 0 if $word !~ /^go/;
  $spared{$_} = 1 for $word =~ /(\d+)/g;
  $child = fork;
  if (!$child) {
    open STDIN, "<", "/dev/null";
    exec "sh", "-c", $command or exit 127;
  }
  $looked = time;
  $until = $looked + $seconds;
  while (time <= $until) {
    if (defined $child && waitpid($child, 1) == $child) {
      tell_of("status", $? & 127 ? 128 + ($? & 127) : $? >> 8);
      undef $child;
    }
    my $lives = -e "/proc/$pid/cwd";
    # Read after the look at the process, so that its last word is not missed.
    see_down() if !$down;
    tell_of($down ? "gone" : "crashed") if !$lives && !$gone++;
    last if $gone && !defined $child;
    if ($left && !$down) { tell_of("left"); last }
    end_stuck() if $lives && time > $looked && ($looked = time);
    rest($down ? 0.02 : 0.002);
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
exec perl -e "$watcher" "$directory" "$pid" "$seconds" "$mark" "$grace" "$command"
