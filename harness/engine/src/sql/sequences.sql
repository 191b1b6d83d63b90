-- The sequences of one database whose values WAL brings back. Temporary ones are gone after a restore, and unlogged
-- ones begin anew, as they should.
SELECT n.nspname || '.' || c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted,
       s.seqincrement AS increment, s.seqcycle AS cycle
  FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 ORDER BY 1
