-- The rows of a table whose version was written by this transaction or a later one, each with its two hashes; and last,
-- without a row, how many rows there are in all. Both come of one pass over the table. The number of a transaction that was
-- frozen is infinitely old; numbers are compared by age, since they come round again.
-- $1: the transaction. $2, $3: the seeds of the hashes.
WITH looked AS MATERIALIZED (
    SELECT count(*) AS rows, array_agg(r.ctid) FILTER (WHERE age(r.xmin) <= (SELECT age($1::text::xid))) AS new
      FROM ONLY public.@TABLE@ AS r
)
SELECT r."id" AS id, hashtextextended(line COLLATE "C", $2::bigint) AS first,
       hashtextextended(line COLLATE "C", $3::bigint) AS second, NULL::bigint AS rows
  FROM ONLY public.@TABLE@ AS r, LATERAL unnest(ARRAY[r::text]) AS line
 WHERE r.ctid = ANY ((SELECT new FROM looked)::tid[])
UNION ALL
SELECT NULL, NULL, NULL, rows
  FROM looked
