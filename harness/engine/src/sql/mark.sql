-- A restore point, the end of its record, its timeline, and the time just after it.
WITH made AS MATERIALIZED (
    SELECT pg_create_restore_point($1) AS lsn
)
SELECT lsn::text AS lsn,
       ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int AS timeline,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS unix_us
  FROM made
