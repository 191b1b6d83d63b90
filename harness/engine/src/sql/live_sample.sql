-- What a watch asks of a server, in one go, by any role: what others do and how large their databases are is told to a
-- superuser, and to who has pg_read_all_stats.
WITH role AS (
    SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all
), databases AS (
    SELECT sum(pg_database_size(d.oid)) AS bytes
      FROM pg_database AS d, role
     WHERE role.sees_all OR has_database_privilege(d.oid, 'CONNECT')
), queries AS (
    SELECT max(extract(epoch FROM clock_timestamp() - s.query_start)) AS longest
      FROM pg_stat_activity AS s
     WHERE s.state = 'active' AND s.backend_type = 'client backend' AND s.pid <> pg_backend_pid()
), transactions AS (
    SELECT sum(xact_commit) AS commits, sum(xact_rollback) AS rollbacks
      FROM pg_stat_database
)
SELECT a.failed_count AS archive_failures, coalesce(databases.bytes, 0)::int8 AS bytes, queries.longest::float8 AS longest,
       role.sees_all, coalesce(transactions.commits, 0)::int8 AS commits,
       coalesce(transactions.rollbacks, 0)::int8 AS rollbacks
  FROM pg_stat_archiver AS a, role, databases, queries, transactions
