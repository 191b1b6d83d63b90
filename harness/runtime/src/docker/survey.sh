# Says what of PostgreSQL there is: a line for each directory that holds a `postgres`, then one for what that says of
# its version, and one for each program of "$@" that it lacks. $1 is a directory shared with the host, or nothing: a
# file is written into it, and a server that the host pretends to run is called through its socket.
probe=$1
shift
needed="$*"
command -v env >/dev/null || echo "lacks env"
seen=:
client=

look() {
    [ -f "$1/postgres" ] && [ -x "$1/postgres" ] || return
    case $seen in *":$1:"*) return ;; esac
    seen=$seen$1:
    echo "dir $1"
    echo "version $("$1/postgres" --version 2>&1)"
    for name in $needed; do
        [ -x "$1/$name" ] || echo "missing $name"
    done
    [ -z "$client" ] && [ -x "$1/pg_basebackup" ] && client=$1/pg_basebackup
}

rest=$PATH:
while [ -n "$rest" ]; do
    look "${rest%%:*}"
    rest=${rest#*:}
done
for dir in /usr/local/bin /usr/local/pgsql*/bin /usr/lib/postgresql*/bin /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    /usr/libexec/postgresql* /opt/*/bin /opt/*/*/bin; do
    look "$dir"
done

[ -n "$probe" ] || exit 0
umask 077
{ echo "from the container" >"$probe/file"; } 2>&1
[ -n "$client" ] || exit 0
PGCONNECT_TIMEOUT=5 "$client" -h "$probe" -p 5432 -U probe -w -D - -F t -X none >/dev/null 2>&1
echo "called"
