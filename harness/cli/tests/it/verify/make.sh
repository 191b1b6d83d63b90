# shellcheck shell=sh
# Makes the backups that the tests of `pgdrill verify` damage, with the programs of whatever major is first in PATH, on
# this host or in a container.
#
#   sh make.sh DIR
#
# Run as an account that PostgreSQL lets start servers. All of it lies below DIR, which is there and empty:
#
#   plain/     SHA-256, with a tablespace
#   crc/       CRC32C, without a tablespace; crc.tar the same on standard output, its manifest last
#   none/      no checksums in its manifest
#   sibling/   taken after plain/, of the same cluster; foreign/ is one of another cluster
#   turned/    taken on the timeline after a promotion
#   increment/ incremental to plain/, and second/ to increment/, from 17 on
#   tar/ gz/ lz4/ zst/   tar of the same as plain/: base.tar, OID.tar, pg_wal.tar (lz4 and zst from 15 on)
#   archive/   the WAL from before plain/ on to after sibling/, in segments of 1 MB
#   facts      NAME=VALUE: what the tests need to know of it
#
# A plain backup lies in NAME/data, and the files of its tablespace beside it in NAME/space.
set -eu
umask 077
dir=$1
major=$(postgres --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
export LC_ALL=C PGUSER=postgres PGHOST="$dir/socket" PGDATABASE=postgres
mkdir "$dir/socket" "$dir/archive" "$dir/live"

# A server that is left running would outlive the test that asked for it.
end() {
    for cluster in primary stranger; do
        if [ -f "$dir/$cluster/postmaster.pid" ]; then
            stop "$cluster" immediate || true
        fi
    done
}
trap end EXIT

start() {
    pg_ctl -D "$dir/$1" -l "$dir/log" -w -t 120 -s start
}

stop() {
    pg_ctl -D "$dir/$1" -m "${2:-fast}" -w -t 120 -s stop
}

query() {
    psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1" </dev/null
}

plain() {
    name=$1
    shift
    mkdir "$dir/$name"
    pg_basebackup -D "$dir/$name/data" --checkpoint=fast --no-sync --tablespace-mapping="$dir/live=$dir/$name/space" "$@"
}

packed() {
    name=$1
    shift
    pg_basebackup -D "$dir/$name" -Ft --checkpoint=fast --no-sync --manifest-checksums=SHA256 "$@"
}

cluster() {
    initdb -D "$dir/$1" --username=postgres --data-checksums --encoding=UTF8 --locale=C --auth=trust --no-sync \
        --wal-segsize=1 >/dev/null
    cat >>"$dir/$1/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$dir/socket'
fsync = off
autovacuum = off
max_connections = 10
max_wal_size = '16MB'
min_wal_size = '2MB'
shared_buffers = '16MB'
archive_mode = on
archive_command = 'cp %p $dir/archive/%f'
END
    if [ "$major" -ge 17 ]; then
        echo "summarize_wal = on" >>"$dir/$1/postgresql.conf"
    fi
}

# Another cluster, of which only a backup is wanted.
cluster stranger
sed -i '/^archive_/d' "$dir/stranger/postgresql.conf"
start stranger
plain foreign
stop stranger

cluster primary
start primary
query 'UPDATE pg_database SET datistemplate = false'
query 'DROP DATABASE template0'
query 'DROP DATABASE template1'
query "CREATE TABLE item (id int PRIMARY KEY, text text);
       INSERT INTO item SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 500) AS n;
       CREATE UNLOGGED TABLE scratch AS SELECT n FROM generate_series(1, 2000) AS n"
plain crc
pg_basebackup -D - -Ft --wal-method=fetch --checkpoint=fast --no-sync >"$dir/crc.tar"

query "CREATE TABLESPACE space LOCATION '$dir/live'"
query "CREATE TABLE history TABLESPACE space AS SELECT n, md5(n::text) AS text FROM generate_series(1, 1000) AS n"
query 'VACUUM item, history'
plain plain --manifest-checksums=SHA256
packed tar
packed gz -z
if [ "$major" -ge 15 ]; then
    packed lz4 --compress=lz4
    packed zst --compress=zstd
fi
plain none --manifest-checksums=NONE
for batch in 1 2 3 4; do
    query "INSERT INTO item SELECT n, repeat(md5(n::text), 4) FROM generate_series($batch * 1000, $batch * 1000 + 500) AS n"
    query 'SELECT pg_switch_wal()' >/dev/null
done
plain sibling --manifest-checksums=SHA256
if [ "$major" -ge 17 ]; then
    plain increment --manifest-checksums=SHA256 --incremental="$dir/plain/data/backup_manifest"
    query 'UPDATE item SET text = reverse(text) WHERE id <= 100'
    plain second --manifest-checksums=SHA256 --incremental="$dir/increment/data/backup_manifest"
fi
query 'SELECT pg_switch_wal()' >/dev/null
{
    echo "item=$(query "SELECT pg_relation_filepath('item')")"
    echo "history=$(query "SELECT pg_relation_filepath('history')")"
    echo "scratch=$(query "SELECT pg_relation_filepath('scratch')")"
    echo "space=$(query "SELECT oid FROM pg_tablespace WHERE spcname = 'space'")"
    echo "database=$(query "SELECT oid FROM pg_database WHERE datname = 'postgres'")"
} >"$dir/facts"
stop primary
# Onto the next timeline: as a standby that has nobody to follow, and is promoted.
sed -i '/^archive_/d' "$dir/primary/postgresql.conf"
touch "$dir/primary/standby.signal"
start primary
pg_ctl -D "$dir/primary" -w -t 120 -s promote
plain turned --manifest-checksums=SHA256
stop primary
rm -rf "$dir/primary" "$dir/stranger" "$dir/socket" "$dir/live" "$dir/log"
