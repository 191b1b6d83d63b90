-- Which server it is, and where its replay stands if it is a standby; by any role.
SELECT pg_is_in_recovery() AS in_recovery, current_setting('server_version') AS version,
       (pg_control_system()).system_identifier AS system,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS unix_us,
       pg_is_in_recovery() AND pg_is_wal_replay_paused() AS paused, -- until 13
       CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() = 'paused' ELSE false END AS paused, -- from 14
       coalesce(pg_last_wal_replay_lsn()::text, '0/0') AS replayed,
       (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)::bigint
          FROM pg_control_checkpoint() AS c, pg_control_recovery() AS r) AS timeline
