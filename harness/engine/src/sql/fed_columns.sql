-- The number columns of one database that sequences feed: they own the sequence, are its identity columns, or call
-- nextval() on it in their default. A partition or a child that inherits its column counts with its parent.
WITH fed AS (
    SELECT objid AS sequence, refobjid AS relation, refobjsubid AS attnum
      FROM pg_depend
     WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjsubid > 0
       AND objsubid = 0 AND deptype IN ('a', 'i')
    UNION
    SELECT d.refobjid, a.adrelid, a.adnum
      FROM pg_depend AS d JOIN pg_attrdef AS a ON a.oid = d.objid
     WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
)
SELECT sn.nspname || '.' || s.relname AS sequence, tn.nspname || '.' || t.relname AS "table", a.attname::text AS "column",
       format('%I.%I', tn.nspname, t.relname) AS quoted_table, quote_ident(a.attname) AS quoted_column
  FROM fed
  JOIN pg_class AS s ON s.oid = fed.sequence AND s.relkind = 'S' AND s.relpersistence = 'p'
  JOIN pg_namespace AS sn ON sn.oid = s.relnamespace
  JOIN pg_class AS t ON t.oid = fed.relation AND t.relkind IN ('r', 'p') AND t.relpersistence <> 't'
  JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = fed.relation AND a.attnum = fed.attnum AND NOT a.attisdropped
  JOIN pg_type AS y ON y.oid = a.atttypid
 WHERE coalesce(nullif(y.typbasetype, 0), y.oid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
   AND tn.nspname NOT IN ('pg_catalog', 'information_schema')
   -- Of thousands of tables this is looked up in a hash; as NOT EXISTS each would be compared with each.
   AND (fed.relation, fed.sequence) NOT IN (SELECT i.inhrelid, parent.sequence
                                              FROM pg_inherits AS i JOIN fed AS parent ON parent.relation = i.inhparent)
 ORDER BY 1, 2, 3
