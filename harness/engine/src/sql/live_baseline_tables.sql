-- The tables of one database whose content survives a restore, the largest first by what was last counted: to ask for their sizes
-- would wait for whoever has locked one.
SELECT n.nspname || '.' || c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm')
   AND c.relpersistence = 'p'
   AND (c.relkind = 'r' OR c.relispopulated)
   AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR c.relname = 'pg_largeobject')
   AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
 ORDER BY c.relpages DESC, name
