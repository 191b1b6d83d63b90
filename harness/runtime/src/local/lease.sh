# The lease of a local place, as the leader of its process group. Standard input is a pipe that pgdrill holds
# open and never writes to: `cat` returns when pgdrill is gone, however it went, and then everything in the
# place ends. Arguments: the run, the server, the holder, the program `postgres`, and the directories of the
# server's own. Nothing but `cat` and `sleep` is started, so that little can be missing where it matters.

# A signal from a stranger does not end the lease without its duty done: `cat` dies of it, and the rest
# follows.
trap : HUP INT QUIT TERM
cat >/dev/null
trap '' HUP INT QUIT TERM

mark="PGDRILL_PLACE=$1/$2/$3/"
postgres=$4
shift 4

# The processes that were started here, wherever they have gone since. `read` drops the null bytes between the
# variables, and a value may hold line breaks.
marked() {
    for process in /proc/[0-9]*; do
        while read -r line || [ -n "$line" ]; do
            case $line in *"$mark"*) echo "${process#/proc/}" ;; esac
        done <"$process/environ"
    done
}

# SIGQUIT is the immediate shutdown of a postmaster, which then ends its backends; they are in sessions of
# their own. It takes no notice of the SIGTERM that follows, unlike what a shell has put in the background,
# which ignores SIGQUIT. SIGCONT wakes what was stopped.
others=$(marked)
for signal in QUIT TERM CONT; do
    kill -$signal 0
    [ -n "$others" ] && kill -$signal $others
done

# A postmaster kills stubborn backends after five seconds; killed before that, it would leave them behind.
# Where there is no process table to look at, nothing tells that it has ended earlier.
[ -r /proc/self/environ ] || { sleep 7; kill -KILL 0; }

server() {
    for process in $(marked); do
        [ "/proc/$process/exe" -ef "$postgres" ] && return
    done
    return 1
}
# Twentieths of a second: one second for everybody, seven for a server.
tries=0
while [ -n "$(marked)" ] && [ $tries -lt 140 ]; do
    [ $tries -lt 20 ] || server || break
    sleep 0.05 || { sleep 1; tries=$((tries + 19)); }
    tries=$((tries + 1))
done
others=$(marked)
[ -n "$others" ] && kill -KILL $others

# Backends whose postmaster had been killed earlier: they have overwritten their environment with their title.
for process in /proc/[0-9]*; do
    [ "$process/exe" -ef "$postgres" ] || continue
    at=$(cd -P "$process/cwd" && pwd -P)
    for directory; do
        case $at/ in "$directory"/*) kill -KILL "${process#/proc/}" ;; esac
    done
done
kill -KILL 0
