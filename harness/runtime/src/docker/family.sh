# Ends a command with everything that it started: what carries the command's number ($1) in its environment, what is in
# the session of the command's first process ($2), and what descends from these. All are stopped before any is killed:
# a process that is killed while its parent runs may be replaced, and one whose parent is killed first can no longer be
# told. Prints what would not end.
number=$1 session=$2
own=$$

# The numbers of the family, by one pass over the process table that knows those found so far.
look() {
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        case $family in *" $pid "*) continue ;; esac
        [ "$pid" = 1 ] || [ "$pid" = "$own" ] && continue
        { read -r stat <"$process/stat"; } 2>/dev/null || continue
        # The name comes second, in parentheses, and may hold anything.
        set -- ${stat##*) }
        case $1 in Z | X | x) continue ;; esac
        mine=
        [ "$4" = "$session" ] && mine=1
        case $family in *" $2 "*) mine=1 ;; esac
        [ -n "$mine" ] || while read -r line || [ -n "$line" ]; do
            case $line in *"PGDRILL_COMMAND=$number/"*) mine=1 ;; esac
        done 2>/dev/null <"$process/environ"
        [ -n "$mine" ] || continue
        family="$family$pid "
        kill -s STOP "$pid"
        found=1
    done
} 2>/dev/null

family=" "
rounds=0
found=1
while [ -n "$found" ] && [ $rounds -lt 50 ]; do
    found=
    look
    rounds=$((rounds + 1))
done
for pid in $family; do kill -s KILL "$pid" 2>/dev/null; done

# Hundredths of a second: a killed process only takes long to go where the disk does not answer.
tries=0
while [ $tries -lt 300 ]; do
    left=
    for pid in $family; do
        { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || continue
        case ${stat##*) } in Z* | X* | x*) continue ;; esac
        name=${stat#*(}
        left="process $pid (${name%)*})"
    done
    [ -n "$left" ] || exit 0
    sleep 0.01 2>/dev/null || { sleep 1; tries=$((tries + 99)); }
    tries=$((tries + 1))
done
echo "$left"
