# shellcheck shell=sh
# What ./check runs inside an image: sh -s MAJOR [TOOLS]. The last line that it prints tells the versions.
set -eu
major=$1 tools=${2-}
PGHOST=/data PGDATABASE=postgres PGUSER=pgdrill
export PGHOST PGDATABASE PGUSER

end() {
    status=$?
    trap - EXIT
    if [ "$status" -ne 0 ]; then
        tail -n 5 /data/log || true
        pg_ctl -D /data/primary -m immediate stop >/dev/null || true
    fi 2>/dev/null
    # Sockets have a dot before their name.
    find /data -mindepth 1 -delete
    exit "$status"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

at_least() {
    [ "$major" -ge "$1" ]
}

within_5_s() {
    for _ in $(seq 50); do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "not within 5 s: $*"
    return 1
}

say() {
    echo "--- $*"
}

say programs
programs="postgres initdb pg_ctl psql pg_basebackup pg_receivewal pg_verifybackup pg_waldump pg_checksums
    pg_controldata pg_archivecleanup pg_rewind pgbench sh cat cp mv sync kill sleep ps tar gzip lz4 zstd sha256sum"
at_least 14 && programs="$programs pg_amcheck"
at_least 17 && programs="$programs pg_combinebackup pg_walsummary"
for program in $programs; do
    path=$(command -v "$program") || { echo "no $program" && exit 1; }
    case "$program:$path" in
        pg*:/usr/bin/* | psql:/usr/bin/*) echo "$program is Debian's wrapper, $path" && exit 1 ;;
    esac
done
test -e /usr/share/zoneinfo/Europe/Berlin
year=$(LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) FAKETIME='@2001-02-03 04:05:06' date +%Y)
test "$year" = 2001

say "clusters of several locales"
initdb -N -D /data/de --locale=de_DE.UTF-8
rm -rf /data/de
at_least 15 && initdb -N -D /data/icu --locale=C.UTF-8 --encoding=UTF8 --locale-provider=icu --icu-locale=de-DE
at_least 17 && initdb -N -D /data/builtin --locale-provider=builtin --locale=C.UTF-8
rm -rf /data/icu /data/builtin
initdb -N -D /data/primary --locale=en_US.UTF-8 --data-checksums -A trust

say "a server on a socket"
cat >>/data/primary/postgresql.conf <<CONF
listen_addresses = ''
unix_socket_directories = '/data'
timezone = 'Europe/Berlin'
wal_level = replica
wal_compression = $(at_least 15 && echo zstd || echo on)
$(at_least 17 && echo "summarize_wal = on")
CONF
pg_ctl -D /data/primary -l /data/log -w start
psql -X -v ON_ERROR_STOP=1 <<SQL
CREATE EXTENSION amcheck;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION pg_stat_statements;
CREATE COLLATION german (provider = icu, locale = 'de-DE');
CREATE TABLE t AS SELECT i, md5(i::text) COLLATE german AS word FROM generate_series(1, 10000) AS i;
CREATE INDEX t_word ON t (word);
SELECT bt_index_check('t_word', true);
SQL
at_least 14 && pg_amcheck --install-missing

# A backup must also come out of its archive again, by the tools of the image.
backup() {
    name=$1
    unpack=$2
    shift 2
    say "backup: $*"
    pg_basebackup -D "/data/$name" --checkpoint=fast --no-sync -X none "$@"
    if [ -n "$unpack" ]; then
        mkdir "/data/$name/out"
        "$unpack" -dc "/data/$name"/base.tar.* | tar -x -C "/data/$name/out"
        cp "/data/$name/backup_manifest" "/data/$name/out"
        pg_verifybackup -n "/data/$name/out"
    else
        pg_verifybackup -n "/data/$name"
    fi
}

backup plain ''
backup gzip gzip -F tar -z
if at_least 15; then
    for by in gzip lz4 zstd; do
        backup "client-$by" "$by" -F tar --compress="client-$by"
        backup "server-$by" "$by" -F tar --compress="server-$by"
    done
fi
if at_least 17; then
    backup incremental '' --incremental=/data/plain/backup_manifest
    pg_combinebackup -o /data/combined /data/plain /data/incremental
    pg_verifybackup -n /data/combined
fi
say "a pool"
cat >/data/pgbouncer.ini <<INI
[databases]
postgres = host=/data
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = /data
auth_type = scram-sha-256
auth_file = /data/users
stats_users = watcher
pool_mode = transaction
logfile = /data/pgbouncer.log
pidfile = /data/pgbouncer.pid
INI
printf '"%s" "%s"\n' pgdrill swordfish watcher secret >/data/users
pgbouncer -d /data/pgbouncer.ini
within_5_s pg_isready -q -p 6432
PGPASSWORD=swordfish psql -X -p 6432 -c "SELECT 'through PgBouncer'"
if PGPASSWORD=wrong psql -X -p 6432 -c "SELECT 'in spite of the password'"; then exit 1; fi
PGPASSWORD=secret psql -XAt -p 6432 -U watcher -c "SHOW POOLS" pgbouncer | grep '^postgres|pgdrill|.*|transaction'
kill "$(cat /data/pgbouncer.pid)"
within_5_s [ ! -e /data/pgbouncer.pid ]
versions="; $(pgbouncer --version | head -n 1)"
say "a pgBackRest repository"
export PGBACKREST_STANZA=check PGBACKREST_PG1_PATH=/data/primary PGBACKREST_PG1_SOCKET_PATH=/data \
    PGBACKREST_PG1_USER=pgdrill PGBACKREST_REPO1_PATH=/data/repo PGBACKREST_SPOOL_PATH=/data/spool \
    PGBACKREST_LOCK_PATH=/tmp PGBACKREST_LOG_LEVEL_FILE=off PGBACKREST_LOG_LEVEL_CONSOLE=error
pgbackrest --no-online stanza-create
pgbackrest --no-archive-check --start-fast --compress-type=zst backup
mkdir /data/restored
pgbackrest --pg1-path=/data/restored --type=none restore
test -e /data/restored/global/pg_control
versions="$versions, $(pgbackrest version)"
if [ -n "$tools" ]; then
    say tools
    versions="$versions, Barman $(barman --version | head -n 1 | cut -d' ' -f1)"
fi
version=$(psql -XAt -c "SELECT split_part(version(), ' on ', 1)")
pg_ctl -D /data/primary -w stop
pg_checksums --check -D /data/primary
echo "$version$versions"
