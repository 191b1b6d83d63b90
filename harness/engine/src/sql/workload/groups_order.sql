-- Rows of "Order" and the sums of their hashes, by the transaction that placed them, which "clientOrderId" holds: the
-- run's tag in the first four bytes, the writer in the next two, the sequence number in the last eight without the two
-- bits of the variant. $1: the tag. $2: a writer, or null for all. $3, $4: sequence numbers, from and below. $5: how many
-- make a group. $6, $7: the seeds of the two hashes. A row of nobody's has no writer.
SELECT o.writer, CASE WHEN o.writer IS NOT NULL THEN o.seq - o.seq % $5::bigint END AS seq, count(*) AS rows,
       sum(hashtextextended(o.line COLLATE "C", $6::bigint))::text AS first,
       sum(hashtextextended(o.line COLLATE "C", $7::bigint))::text AS second
  FROM (SELECT CASE WHEN i.id LIKE $1::text || '%' THEN ('x' || substr(i.id, 9, 4))::bit(16)::integer END AS writer,
               ('x' || substr(i.id, 17, 16))::bit(64)::bigint & 4611686018427387903 AS seq,
               r::text AS line
          FROM public."Order" AS r,
               LATERAL (SELECT replace(r."clientOrderId"::text, '-', '') AS id) AS i) AS o
 WHERE o.writer IS NULL AND $2::integer IS NULL
    OR o.seq >= $3::bigint AND o.seq < $4::bigint AND (o.writer = $2::integer OR $2::integer IS NULL)
 GROUP BY 1, 2
