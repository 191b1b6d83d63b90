-- The B-tree indexes of one database that can be verified: those that are valid and in use, of the system's tables and
-- of out-of-line storage too.
SELECT i.oid, n.nspname || '.' || i.relname AS name
  FROM pg_index AS x
  JOIN pg_class AS i ON i.oid = x.indexrelid
  JOIN pg_namespace AS n ON n.oid = i.relnamespace
  JOIN pg_am AS am ON am.oid = i.relam
 WHERE am.amname = 'btree' AND i.relkind = 'i' AND i.relpersistence <> 't' AND x.indisvalid AND x.indisready
 ORDER BY i.relpages DESC, 2
