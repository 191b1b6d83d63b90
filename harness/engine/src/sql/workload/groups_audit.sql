-- Rows of "AuditLog" and the sums of their hashes, by the transaction that appended them, which "detail" names. The
-- parameters are those of groups_order.sql. A row of nobody's has no writer.
SELECT a.writer, CASE WHEN a.writer IS NOT NULL THEN a.seq - a.seq % $5::bigint END AS seq, count(*) AS rows,
       sum(hashtextextended(a.line COLLATE "C", $6::bigint))::text AS first,
       sum(hashtextextended(a.line COLLATE "C", $7::bigint))::text AS second
  FROM (SELECT CASE WHEN i.own THEN (r."detail" ->> 'writer')::integer END AS writer,
               CASE WHEN i.own THEN (r."detail" ->> 'seq')::bigint ELSE 0 END AS seq,
               r::text AS line
          FROM public."AuditLog" AS r,
               LATERAL (SELECT r."detail" ->> 'run' IS NOT DISTINCT FROM $1::text
                               AND r."detail" ->> 'writer' ~ '^[0-9]{1,5}$'
                               AND r."detail" ->> 'seq' ~ '^[0-9]{1,18}$' AS own) AS i) AS a
 WHERE a.writer IS NULL AND $2::integer IS NULL
    OR a.seq >= $3::bigint AND a.seq < $4::bigint AND (a.writer = $2::integer OR $2::integer IS NULL)
 GROUP BY 1, 2
