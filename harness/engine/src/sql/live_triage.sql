-- What triage asks of a server, 13 or later, by any role: one question for each fact, which answers with one JSON value in
-- the shape of the model's `Fact`. `:queries` is whether the texts of queries may be told. Views whose columns came with
-- later majors are read through to_jsonb, which gives NULL where there is no such column.

-- fact: version
SELECT json_build_object('known', current_setting('server_version'));

-- fact: recovery
SELECT json_build_object('known', json_build_object(
           'in_recovery', pg_is_in_recovery(),
           'replay_paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
           'receiving', EXISTS (SELECT FROM pg_stat_wal_receiver),
           'read_only', current_setting('default_transaction_read_only')::bool));

-- fact: connections
-- Who may not see what kind of process others are counts by the databases' own numbers. The one that asks is no client.
SELECT json_build_object('known', json_build_object(
           'used', CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
                        THEN (SELECT count(*) FROM pg_stat_activity
                               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())
                        ELSE (SELECT greatest(sum(numbackends) - 1, 0) FROM pg_stat_database)
                   END,
           'max', current_setting('max_connections')::int8,
           'reserved', current_setting('superuser_reserved_connections')::int8
                       + coalesce(current_setting('reserved_connections', true)::int8, 0)));

-- fact: archiver
SELECT json_build_object('known', json_build_object(
           'mode', current_setting('archive_mode'),
           'no_command', (SELECT bool_and(s.setting = '') FROM pg_settings AS s
                           WHERE s.name IN ('archive_command', 'archive_library')),
           'archived', a.archived_count,
           'failed', a.failed_count,
           'last_archived', a.last_archived_wal,
           'last_archived_age_us',
               abs(extract(epoch FROM clock_timestamp() - a.last_archived_time) * 1000000)::int8,
           'last_failed', a.last_failed_wal,
           'last_failed_age_us', abs(extract(epoch FROM clock_timestamp() - a.last_failed_time) * 1000000)::int8,
           'failing', coalesce(a.last_failed_time > a.last_archived_time, a.last_failed_time IS NOT NULL)))
  FROM pg_stat_archiver AS a;

-- fact: may_see_segments
-- Asked before, so that who may not leaves no error in the server's log.
SELECT CASE WHEN has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE')
            THEN json_build_object('known', true)
            ELSE json_build_object('unknown', format(
                     'role %s may not see them; as a superuser: GRANT pg_monitor TO %I', current_user, current_user))
       END;

-- fact: segments_waiting
SELECT json_build_object('known', count(*)) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready';

-- fact: replication
WITH position AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn
), standbys AS (
    SELECT coalesce(json_agg(json_build_object(
               'name', coalesce(r.application_name, ''),
               'state', coalesce(r.state, ''),
               'sync_state', coalesce(r.sync_state, ''),
               'lag_bytes', greatest(pg_wal_lsn_diff(position.lsn, r.replay_lsn), 0)::int8
                            * CASE WHEN r.replay_lsn IS NULL THEN NULL ELSE 1 END,
               'lag_us', abs(extract(epoch FROM r.replay_lag) * 1000000)::int8)
               ORDER BY r.application_name, r.pid), '[]') AS all, count(*) AS number
      FROM pg_stat_replication AS r, position
)
SELECT CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') OR standbys.number = 0
            THEN json_build_object('known', json_build_object(
                     'standbys', standbys.all,
                     'synchronous', NOT pg_is_in_recovery() AND current_setting('synchronous_standby_names') <> ''
                                    AND current_setting('synchronous_commit') NOT IN ('local', 'off')))
            ELSE json_build_object('unknown', format(
                     'role %s may not see others; as a superuser: GRANT pg_monitor TO %I', current_user, current_user))
       END
  FROM standbys;

-- fact: slots
WITH position AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn
)
SELECT json_build_object('known', coalesce(json_agg(json_build_object(
           'name', s.slot_name,
           'active', s.active,
           'held_bytes', abs(pg_wal_lsn_diff(position.lsn, s.restart_lsn))::int8,
           'wal_status', s.wal_status) ORDER BY s.slot_name), '[]'))
  FROM pg_replication_slots AS s, position;

-- fact: queries
-- Sessions that have been at something for more than five seconds, those that wait for a lock, and those that hold it.
WITH waiting AS (
    SELECT pid, pg_blocking_pids(pid) AS blocked_by
      FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted LIMIT 50) AS l
), sessions AS (
    SELECT s.*, coalesce(w.blocked_by, '{}') AS blocked_by,
           w.pid IS NOT NULL OR EXISTS (SELECT FROM waiting WHERE s.pid = ANY (waiting.blocked_by)) AS in_the_way,
           clock_timestamp() - CASE WHEN s.state = 'active' THEN s.query_start ELSE s.state_change END AS age,
           clock_timestamp() - s.xact_start AS open
      FROM pg_stat_activity AS s LEFT JOIN waiting AS w USING (pid)
     WHERE s.pid <> pg_backend_pid()
), told AS (
    SELECT *
      FROM sessions
     WHERE in_the_way
        OR (backend_type = 'client backend' AND state <> 'idle' AND greatest(age, open) > interval '5 seconds')
     ORDER BY in_the_way DESC, greatest(age, open) DESC NULLS LAST
     LIMIT 50
)
SELECT CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
            THEN json_build_object('known', coalesce((SELECT json_agg(json_build_object(
                     'pid', pid,
                     'database', datname,
                     'role', usename,
                     'application', application_name,
                     'state', coalesce(state, backend_type),
                     'age_us', abs(extract(epoch FROM age) * 1000000)::int8,
                     'transaction_us', abs(extract(epoch FROM open) * 1000000)::int8,
                     'waits_for', wait_event_type || ': ' || wait_event,
                     'blocked_by', blocked_by,
                     'text', CASE WHEN :queries THEN left(query, 200) END)
                     ORDER BY greatest(age, open) DESC NULLS LAST) FROM told), '[]'))
            ELSE json_build_object('unknown', format(
                     'role %s may not see others; as a superuser: GRANT pg_monitor TO %I', current_user, current_user))
       END;

-- fact: locks
-- Since when somebody waits is known from 14 on; before, his query began to.
WITH waits AS (
    SELECT l.pid, l.locktype, l.mode,
           CASE WHEN l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                THEN l.relation::regclass::text END AS relation,
           clock_timestamp() - coalesce((to_jsonb(l) ->> 'waitstart')::timestamptz, s.state_change) AS waited
      FROM pg_locks AS l LEFT JOIN pg_stat_activity AS s USING (pid)
     WHERE NOT l.granted
     ORDER BY 5 DESC NULLS LAST
     LIMIT 50
)
SELECT json_build_object('known', coalesce(json_agg(json_build_object(
           'pid', pid,
           'kind', locktype,
           'relation', relation,
           'mode', mode,
           'waited_us', abs(extract(epoch FROM waited) * 1000000)::int8,
           'blocked_by', pg_blocking_pids(pid)) ORDER BY waited DESC NULLS LAST), '[]'))
  FROM waits;

-- fact: checksums
SELECT json_build_object('known', json_build_object(
           'enabled', current_setting('data_checksums') = 'on',
           'failed', coalesce(json_agg(json_build_object(
               'database', coalesce(d.datname, 'shared by all databases'),
               'failures', d.checksum_failures,
               'last_age_us',
                   abs(extract(epoch FROM clock_timestamp() - d.checksum_last_failure) * 1000000)::int8)
               ORDER BY d.datname) FILTER (WHERE d.checksum_failures > 0), '[]')))
  FROM pg_stat_database AS d;

-- fact: transactions
SELECT json_build_object('known', json_build_object(
           'committed', coalesce(sum(xact_commit), 0),
           'rolled_back', coalesce(sum(xact_rollback), 0),
           'over_us', abs(extract(epoch FROM clock_timestamp() - min(stats_reset)) * 1000000)::int8))
  FROM pg_stat_database;
