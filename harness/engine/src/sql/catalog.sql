-- Every definition of one database as (kind, name, table, definition), without object numbers, so that two servers
-- with the same definitions give the same rows.
WITH mine AS (
    SELECT oid, nspname FROM pg_namespace
     WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp_|toast_temp_)'
)
SELECT 'schema' AS kind, n.nspname::text AS name, '' AS on_table,
       concat_ws(' ', 'owner', pg_get_userbyid(n.nspowner), 'grants', n.nspacl::text) AS definition
  FROM pg_namespace AS n JOIN mine USING (oid)
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                      WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' ELSE 'table' END,
       mine.nspname || '.' || c.relname, '',
       concat_ws(' ', 'persistence', c.relpersistence, 'kind', c.relkind, 'owner', pg_get_userbyid(c.relowner),
                 'grants', c.relacl::text, 'options', c.reloptions::text, 'row security', c.relrowsecurity,
                 c.relforcerowsecurity, 'replica identity', c.relreplident, 'partition', c.relispartition,
                 pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),
                 CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
  FROM pg_class AS c JOIN mine ON mine.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relpersistence <> 't'
UNION ALL
SELECT 'sequence range', mine.nspname || '.' || c.relname, '',
       concat_ws(' ', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'min', s.seqmin, 'max', s.seqmax,
                 'by', s.seqincrement, 'cycle', s.seqcycle, 'cache', s.seqcache)
  FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid JOIN mine ON mine.oid = c.relnamespace
UNION ALL
SELECT 'inheritance', mine.nspname || '.' || c.relname, '', 'from ' || i.inhparent::regclass::text || ' ' || i.inhseqno
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN mine ON mine.oid = c.relnamespace
UNION ALL
SELECT 'column', mine.nspname || '.' || c.relname || '.' || a.attname, mine.nspname || '.' || c.relname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
                 'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
                 'collation', (SELECT collname FROM pg_collation WHERE oid = a.attcollation), 'storage', a.attstorage,
                 'grants', a.attacl::text, 'options', a.attoptions::text)
  FROM pg_attribute AS a
  JOIN pg_class AS c ON c.oid = a.attrelid
  JOIN mine ON mine.oid = c.relnamespace
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't'
UNION ALL
SELECT 'index', mine.nspname || '.' || i.relname, mine.nspname || '.' || t.relname,
       concat_ws(' ', pg_get_indexdef(x.indexrelid), 'valid', x.indisvalid, 'ready', x.indisready,
                 'clustered', x.indisclustered, 'replica identity', x.indisreplident)
  FROM pg_index AS x
  JOIN pg_class AS i ON i.oid = x.indexrelid
  JOIN pg_class AS t ON t.oid = x.indrelid
  JOIN mine ON mine.oid = i.relnamespace
 WHERE i.relpersistence <> 't'
UNION ALL
SELECT 'constraint', CASE WHEN k.conrelid = 0 THEN mine.nspname ELSE k.conrelid::regclass::text END || '.' || k.conname,
       CASE WHEN k.conrelid = 0 THEN '' ELSE k.conrelid::regclass::text END,
       concat_ws(' ', pg_get_constraintdef(k.oid), 'validated', k.convalidated, 'deferrable', k.condeferrable)
  FROM pg_constraint AS k JOIN mine ON mine.oid = k.connamespace
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
       mine.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', '',
       concat_ws(' ', CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END,
                 'owner', pg_get_userbyid(p.proowner), 'grants', p.proacl::text)
  FROM pg_proc AS p JOIN mine ON mine.oid = p.pronamespace
UNION ALL
SELECT 'trigger', t.tgname::text || ' on ' || t.tgrelid::regclass::text, t.tgrelid::regclass::text,
       concat_ws(' ', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
  FROM pg_trigger AS t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy', p.polname::text || ' on ' || p.polrelid::regclass::text, p.polrelid::regclass::text,
       concat_ws(' ', p.polcmd, 'permissive', p.polpermissive,
                 'roles', ARRAY(SELECT pg_get_userbyid(r) FROM unnest(p.polroles) AS r ORDER BY 1)::text,
                 'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_policy AS p
UNION ALL
SELECT 'rule', r.rulename::text || ' on ' || r.ev_class::regclass::text, r.ev_class::regclass::text,
       pg_get_ruledef(r.oid)
  FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class JOIN mine ON mine.oid = c.relnamespace
 WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'type', mine.nspname || '.' || t.typname, '',
       concat_ws(' ', 'kind', t.typtype, 'owner', pg_get_userbyid(t.typowner), 'grants', t.typacl::text,
                 'labels', ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)::text,
                 'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
                 'default', t.typdefault, 'not null', t.typnotnull)
  FROM pg_type AS t JOIN mine ON mine.oid = t.typnamespace
 WHERE t.typtype IN ('e', 'd', 'r')
UNION ALL
SELECT 'extension', e.extname::text, '', concat_ws(' ', 'version', e.extversion) FROM pg_extension AS e
UNION ALL
SELECT 'publication', p.pubname::text, '',
       concat_ws(' ', 'all tables', p.puballtables, 'tables',
                 ARRAY(SELECT prrelid::regclass::text FROM pg_publication_rel WHERE prpubid = p.oid ORDER BY 1)::text)
  FROM pg_publication AS p
UNION ALL
SELECT 'default grants', pg_get_userbyid(d.defaclrole) || ' ' || d.defaclobjtype::text,
       coalesce((SELECT nspname::text FROM pg_namespace WHERE oid = d.defaclnamespace), ''), d.defaclacl::text
  FROM pg_default_acl AS d
UNION ALL
SELECT 'role', r.rolname::text, '',
       concat_ws(' ', 'super', r.rolsuper, 'inherit', r.rolinherit, 'create role', r.rolcreaterole,
                 'create db', r.rolcreatedb, 'login', r.rolcanlogin, 'replication', r.rolreplication,
                 'bypass rls', r.rolbypassrls, 'limit', r.rolconnlimit,
                 'member of', ARRAY(SELECT pg_get_userbyid(m.roleid) FROM pg_auth_members AS m
                                     WHERE m.member = r.oid ORDER BY 1)::text)
  FROM pg_roles AS r WHERE r.rolname !~ '^pg_'
UNION ALL
SELECT 'database', d.datname::text, '',
       concat_ws(' ', 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
                 'collate', d.datcollate, 'ctype', d.datctype, 'grants', d.datacl::text)
  FROM pg_database AS d WHERE d.datname = current_database()
