#!/bin/sh
# stop-server POSTMASTER GO-ON
#
# Stops all processes of a server as at one moment, says `stopped` once none of them runs any more, and lets them go on as
# soon as the file GO-ON is there, after ten minutes at the latest. First the postmaster, so that nobody is started
# meanwhile; each process counts only when the system says that it has stopped, since one may be in the middle of a write.
postmaster=$1
go_on=$2

# Says of the processes whose parent is $1, and of $1 itself, the number and the state. What stands in brackets before the
# state is a name, which may hold anything (proc_pid_stat(5)).
family() {
    parent=$1
    for file in /proc/[0-9]*/stat; do
        { read -r line <"$file"; } 2>/dev/null || continue
        pid=${line%% *}
        # shellcheck disable=SC2086 # one word each
        set -- ${line##*) }
        if [ "$2" = "$parent" ] || [ "$pid" = "$parent" ]; then
            echo "$pid $1"
        fi
    done
}

# What of the family runs. Nobody waits for one that has ended (Z, X).
running() {
    family "$postmaster" | while read -r pid state; do
        case $state in
            T | t | Z | X) ;;
            *) echo "$pid" ;;
        esac
    done
}

release() {
    # shellcheck disable=SC2046 # one number each
    kill -CONT $(family "$postmaster" | while read -r pid state; do echo "$pid"; done) 2>/dev/null
}

kill -STOP "$postmaster" || exit 1
tries=0
while left=$(running) && [ -n "$left" ]; do
    if [ "$tries" -ge 500 ]; then
        # shellcheck disable=SC2086 # one line for all
        echo "these processes do not stop:" $left >&2
        release
        exit 1
    fi
    # The postmaster may not have stopped yet, and have started another one.
    # shellcheck disable=SC2086 # one number each
    kill -STOP $left 2>/dev/null
    tries=$((tries + 1))
    sleep 0.01
done
echo stopped
tries=0
while [ ! -e "$go_on" ] && [ "$tries" -lt 60000 ]; do
    tries=$((tries + 1))
    sleep 0.01
done
release
