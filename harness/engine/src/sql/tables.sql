-- The tables of one database: name for people, name for SQL, size, what of their content survives a restore, and of a partition
-- the table that it is of in the end.
SELECT n.nspname || '.' || c.relname AS name,
       format('%I.%I', n.nspname, c.relname) AS quoted,
       CASE WHEN c.relispartition THEN (
           SELECT rn.nspname || '.' || r.relname
             FROM pg_class AS r JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
            WHERE r.oid = pg_partition_root(c.oid)
       ) END AS partitioned,
       pg_table_size(c.oid) AS bytes,
       n.nspname IN ('pg_catalog', 'information_schema') AND c.relname NOT IN ('pg_largeobject') AS system
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm')
       -- Unlogged tables are empty after a restore, as they should be; temporary ones are not in a backup.
   AND c.relpersistence = 'p'
   AND (c.relkind = 'r' OR c.relispopulated)
   AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
 ORDER BY bytes DESC, name
