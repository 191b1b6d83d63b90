#!/usr/bin/env bash
# The same drill as scenarios/smoke/restore-tar-gzip, as an experienced DBA would script it: the other side of a
# comparison of times. Needs only PostgreSQL's programs, tar, gzip and coreutils.
#
#   ci/baseline-drill.sh COPY_DIR [WORK_DIR]
#
# COPY_DIR holds one binary COPY file per table: User.copy, Strategy.copy, Order.copy, Position.copy, AuditLog.copy.
# WORK_DIR is made and removed; by default it is a new directory under TMPDIR. Prints a line per phase with its
# seconds, and a total. Exit code: 0 when everything agrees.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
fixtures=$(dirname "$here")/fixtures/trading
copy_dir=$(cd "${1:?usage: ci/baseline-drill.sh COPY_DIR [WORK_DIR]}" && pwd)
work=$(realpath -m "${2:-$(mktemp -d "${TMPDIR:-/tmp}/baseline.XXXXXX")}")
tables=(User Strategy Order Position AuditLog)
bin=${PGDRILL_PG_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV | head -n 1)}

# PostgreSQL refuses root, so root hands every command to an unprivileged account.
if [ "$(id -u)" -eq 0 ]; then
    account=${PGDRILL_USER:-postgres}
    drop=(setpriv --reuid "$account" --regid "$account" --init-groups)
else
    account=$(id -un)
    drop=()
fi
as() {
    "${drop[@]}" env -i PATH="$bin:/usr/bin:/bin" LC_ALL=C TZ=UTC PGHOST="$work/socket" PGUSER=postgres "$@"
}

primary=$work/primary
restored=$work/restored
archive=$work/archive
backup=$work/backup

query() {
    as psql -X -q -A -t -v ON_ERROR_STOP=1 -d trading "$@"
}

fail() {
    printf 'baseline: %s\n' "$*" >&2
    exit 1
}

# One line per phase; the phase before ends where the next one begins.
total=0
phase=
begun=
next_phase() {
    local now seconds
    now=$(date +%s%N)
    if [ -n "$phase" ]; then
        seconds=$(((now - begun) / 1000000))
        total=$((total + seconds))
        printf '%-12s %4d.%03d s\n' "$phase" $((seconds / 1000)) $((seconds % 1000))
    fi
    phase=${1:-}
    begun=$now
}

stop_servers() {
    local data pid
    for data in "$primary" "$restored"; do
        if [ -f "$data/postmaster.pid" ]; then
            pid=$(head -n 1 "$data/postmaster.pid")
            kill -QUIT "$pid" 2>/dev/null || true
            wait_gone "$pid" || true
        fi
    done
}

wait_gone() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    return 1
}

clean_up() {
    stop_servers
    cd /
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Rows and fingerprint of every table, and what the tables say about each other.
measure() {
    local table
    for table in "${tables[@]}"; do
        printf '%s|' "$table"
        query -c "SELECT count(*),
                         sum(hashtextextended(line COLLATE \"C\", 1)),
                         sum(hashtextextended(line COLLATE \"C\", 2))
                    FROM ONLY public.\"$table\" AS t, LATERAL unnest(ARRAY[t::text]) AS line" </dev/null
    done
}

next_phase initdb
mkdir -p "$work"
chmod 755 "$work"
cd "$work"
install -d -o "$account" -m 700 "$primary" "$restored" "$archive" "$backup" "$work/socket" "$work/log"
as initdb -D "$primary" --username=postgres --data-checksums --encoding=UTF8 --locale=C --auth=trust >/dev/null
common="listen_addresses = ''
unix_socket_directories = '$work/socket'
log_timezone = 'UTC'
timezone = 'UTC'
max_wal_size = '4GB'"
# Whole or not at all, on disk before it says so, and never over another file.
archive_command="test ! -f $archive/%f && dd if=%p of=$archive/.%f.part bs=1M conv=fsync status=none && mv $archive/.%f.part $archive/%f && sync $archive"
printf '%s\nwal_level = replica\narchive_mode = on\narchive_command = '"'%s'"'\n' "$common" "$archive_command" |
    as tee -a "$primary/postgresql.conf" >/dev/null

next_phase start
as pg_ctl -D "$primary" -l "$work/log/primary.log" -w -s start

next_phase load
as createdb trading
query -f - <"$fixtures/schema.sql"
for table in "${tables[@]}"; do
    query -c "\\copy \"$table\" FROM pstdin (FORMAT binary)" <"$copy_dir/$table.copy"
done
query -f - <"$fixtures/constraints.sql" >/dev/null
query -f - <"$fixtures/grants.sql"

next_phase backup
as pg_basebackup -D "$backup" -Ft -z --checkpoint=fast --manifest-checksums=SHA256 --wal-method=stream

next_phase change
query -c "UPDATE \"Order\" SET \"status\" = 'CANCELED' WHERE \"filledQuantity\" = 0 AND \"id\" % 7 = 0" \
    -c "UPDATE \"Order\" SET \"fee\" = \"fee\" + 0.01 WHERE \"id\" % 97 = 0"

next_phase switch-wal
segment=$(query -c 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())')
query -c 'SELECT pg_switch_wal()' >/dev/null
for ((tries = 0; ; tries++)); do
    if [ -f "$archive/$segment" ]; then
        break
    elif [ "$tries" -ge 1200 ]; then
        fail "segment $segment did not reach the archive: $(tail -n 1 "$work/log/primary.log")"
    fi
    sleep 0.05
done

next_phase capture
before=$(measure)

next_phase disaster
pid=$(head -n 1 "$primary/postmaster.pid")
kill -9 "$pid"
wait_gone "$pid" || fail "the primary survived SIGKILL"
rm -rf "$primary"
# What dies with SIGKILL leaves its socket behind.
rm -f "$work/socket"/.s.PGSQL.*

next_phase unpack
as tar -xzf "$backup/base.tar.gz" -C "$restored"
as tar -xzf "$backup/pg_wal.tar.gz" -C "$restored/pg_wal"

next_phase recover
printf '%s\narchive_mode = off\narchive_command = '"''"'\nrestore_command = '"'cp $archive/%%f %%p'"'\nrecovery_target_timeline = '"'latest'"'\nrecovery_target_action = '"'promote'"'\n' "$common" |
    as tee "$restored/postgresql.conf" >/dev/null
as touch "$restored/recovery.signal"
as pg_ctl -D "$restored" -l "$work/log/restored.log" -w -s -t 600 start
for ((tries = 0; ; tries++)); do
    if [ "$(query -c 'SELECT pg_is_in_recovery()')" = f ]; then
        break
    elif [ "$tries" -ge 12000 ]; then
        fail "the restored server was not promoted: $(tail -n 1 "$work/log/restored.log")"
    fi
    sleep 0.05
done

next_phase compare
after=$(measure)
if [ "$before" != "$after" ]; then
    diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") >&2 || true
    fail "the restored data differs"
fi

# Afterwards, because this script has no snapshot from before the write to compare under.
next_phase first-write
query -U trading_app -c "
    WITH placed AS (
        INSERT INTO \"Order\" (\"clientOrderId\", \"userId\", \"strategyId\", \"symbol\", \"side\", \"type\", \"quantity\", \"updatedAt\")
        SELECT gen_random_uuid(), \"userId\", \"id\", 'DRILL-USD', 'BUY', 'MARKET', 1, now() FROM \"Strategy\" LIMIT 1
        RETURNING \"id\", \"userId\"
    )
    INSERT INTO \"AuditLog\" (\"orderId\", \"userId\", \"action\", \"detail\")
    SELECT \"id\", \"userId\", 'ORDER_PLACED', '{}' FROM placed"

next_phase checksums
as pg_ctl -D "$restored" -m fast -w -s stop
as pg_checksums --check -D "$restored" >/dev/null || fail "a page does not match its checksum"

next_phase clean-up
clean_up
trap - EXIT
next_phase
printf '%-12s %4d.%03d s\n' total $((total / 1000)) $((total % 1000))
