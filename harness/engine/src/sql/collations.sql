-- Every collation of one database with its version as recorded and as the library has it, and how many columns,
-- indexes, partition keys and ranges of the user's use it. The first row is the database's default.
WITH mine AS MATERIALIZED (
    SELECT c.oid, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
), used AS (
    SELECT orders, count(*) AS uses
      FROM (SELECT a.attcollation AS orders FROM pg_attribute AS a JOIN mine ON mine.oid = a.attrelid
             WHERE a.attnum > 0 AND NOT a.attisdropped AND mine.relkind IN ('r', 'p', 'm')
            UNION ALL
            SELECT unnest(x.indcollation) FROM pg_index AS x JOIN mine ON mine.oid = x.indexrelid
            UNION ALL
            SELECT unnest(p.partcollation) FROM pg_partitioned_table AS p JOIN mine ON mine.oid = p.partrelid
            UNION ALL
            SELECT rngcollation FROM pg_range WHERE rngtypid >= 16384) AS every
     WHERE orders <> 0
     GROUP BY 1
), library AS (
    -- Before 15 the default's version is nowhere recorded; but every libc collation has that of the whole library.
    SELECT collversion AS recorded, pg_collation_actual_version(oid) AS actual
      FROM pg_collation
     WHERE collprovider = 'c' AND collversion IS NOT NULL AND lower(replace(collcollate, '-', ''))
           = (SELECT lower(replace(datcollate, '-', '')) FROM pg_database WHERE datname = current_database())
     ORDER BY oid
     LIMIT 1
)
SELECT NULL AS name,
       'c' AS provider, d.datcollate::text AS locale, -- until 14
       (SELECT recorded FROM library) AS recorded, (SELECT actual FROM library) AS actual, -- until 14
       d.datlocprovider::text AS provider, -- from 15
       coalesce(d.daticulocale, d.datcollate)::text AS locale, -- from 15 until 16
       coalesce(d.datlocale, d.datcollate)::text AS locale, -- from 17
       d.datcollversion AS recorded, pg_database_collation_actual_version(d.oid) AS actual, -- from 15
       coalesce((SELECT uses FROM used WHERE orders = 100), 0) AS uses
  FROM pg_database AS d WHERE d.datname = current_database()
UNION ALL
SELECT n.nspname || '.' || c.collname, c.collprovider::text,
       c.collcollate::text, -- until 14
       coalesce(c.colliculocale, c.collcollate)::text, -- from 15 until 16
       coalesce(c.colllocale, c.collcollate)::text, -- from 17
       c.collversion, pg_collation_actual_version(c.oid), coalesce(u.uses, 0)
  FROM pg_collation AS c
  JOIN pg_namespace AS n ON n.oid = c.collnamespace
  LEFT JOIN used AS u ON u.orders = c.oid
 WHERE c.collprovider <> 'd'
   AND (c.collencoding = -1
        OR c.collencoding = (SELECT encoding FROM pg_database WHERE datname = current_database()))
