#!/bin/sh
# Around the scenario's own archive_command: witness-wal hold PATH NAME before it, witness-wal keep PATH NAME after it.
#
# What the server gave to be archived is taken down beside the scenario's own archive, in which it may be packed or
# ciphered; and it counts as archived from the moment on at which the command said so.
set -eu
witness='@ARCHIVE@'
from=$2
name=$3
held="$witness/.$name.held"
if [ "$1" = keep ]; then
    if [ ! -e "$witness/$name" ]; then
        mv -- "$held" "$witness/$name"
    fi
    rm -f -- "$held"
    exit 0
fi
if [ ! -e "$witness/.pgdrill" ]; then
    echo "witness-wal: $witness is not of this drill (not mounted?)" >&2
    exit 1
fi
if [ -e "$witness/.stopped" ]; then
    echo "witness-wal: archiving has stopped, as the drill wants it" >&2
    exit 1
fi
if [ -e "$witness/$name" ]; then
    cmp -s -- "$from" "$witness/$name" && exit 0
    echo "witness-wal: $name was archived before, with another content" >&2
    exit 1
fi
cp -- "$from" "$held"
