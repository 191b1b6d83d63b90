#!/bin/sh
# restore_command: fetch-wal NAME PATH
#
# Gives one WAL file from the archive. Only "certainly not there" is 1, which ends recovery; everything else is over
# 125, which stops the server (src/backend/access/transam/xlogarchive.c). Every call is logged with its time.
archive='@ARCHIVE@'
log='@LOG@'
name=$1
to=$2
answer() {
    echo "$(date +%s.%N) $name $1" >>"$log"
    exit "$1"
}
if [ ! -e "$archive/.pgdrill" ] || [ ! -r "$archive" ] || [ ! -x "$archive" ]; then
    echo "fetch-wal: $archive is not the archive of this drill (not mounted, or not readable)" >&2
    answer 200
fi
if [ ! -e "$archive/$name" ]; then
    answer 1
fi
if ! cp -- "$archive/$name" "$to"; then
    echo "fetch-wal: cannot copy $archive/$name to $to" >&2
    answer 201
fi
answer 0
