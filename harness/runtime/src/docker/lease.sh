# The lease of a container, as its first process. $1 is a FIFO that pgdrill holds open for writing. Opening it for
# both ways does not wait for anybody, and dropping that end again leaves only pgdrill to keep it open: when pgdrill
# is gone, however it went and however early, reading ends. Then the first process ends, and the kernel ends
# everything else in the container with it.
#
# Through the FIFO come signals to deliver, a line each: the signal's name and the process.
exec 3<>"$1" 4<"$1" 3>&- || exit 1
trap 'exit 0' HUP INT QUIT TERM
{
    # The shell's $$ is the first process here too.
    read -r own rest </proc/self/stat
    while read -r signal pid <&4; do
        [ "$pid" -gt 1 ] && [ "$pid" != "$own" ] && kill -s "$signal" "$pid"
    done
} </dev/null >/dev/null 2>&1 &
# Waiting reaps what others leave behind too: it comes to the first process when its parent has ended.
wait $!
exit 0
