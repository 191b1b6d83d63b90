#!/bin/sh
# archive_command: archive-wal PATH NAME
#
# Puts one WAL file into the archive, whole or not at all, on disk before it says so, and never over another file.
# The same file a second time is success: the server asks again when it was stopped before it could take note.
set -eu
archive='@ARCHIVE@'
from=$1
name=$2
if [ ! -e "$archive/.pgdrill" ]; then
    echo "archive-wal: $archive is not the archive of this drill (not mounted?)" >&2
    exit 1
fi
if [ -e "$archive/.stopped" ]; then
    echo "archive-wal: archiving has stopped, as the drill wants it" >&2
    exit 1
fi
if [ -e "$archive/$name" ]; then
    cmp -s -- "$from" "$archive/$name" && exit 0
    echo "archive-wal: $archive/$name exists with another content" >&2
    exit 1
fi
part="$archive/.$name.$$"
trap 'rm -f -- "$part"' EXIT
dd if="$from" of="$part" bs=1048576 conv=fsync 2>/dev/null
ln -- "$part" "$archive/$name"
rm -f -- "$part"
trap - EXIT
sync "$archive" 2>/dev/null || sync
