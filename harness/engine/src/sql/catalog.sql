-- Every definition of one database as (kind, name, table, definition), without object numbers, so that two servers
-- with the same definitions give the same rows. What belongs to the whole cluster is in cluster.sql. A line that
-- ends with `-- from N` is only for servers of major N and later. Versions of collations are for the check that
-- compares them with the library; options of user mappings hold passwords, so only their names are here.
WITH mine AS MATERIALIZED (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
     WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp_|toast_temp_)'
), fired AS MATERIALIZED (
    -- Triggers that keep constraints: their names hold object numbers, so they are told by what they call.
    SELECT t.tgconstraint, string_agg(p.proname || ' ' || t.tgenabled::text, ', ' ORDER BY p.proname, t.tgtype, t.tgenabled) AS state
      FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
     WHERE t.tgisinternal AND t.tgconstraint <> 0
     GROUP BY 1
)
SELECT 'schema' AS kind, nspname::text AS name, '' AS on_table,
       concat_ws(' ', 'owner', pg_get_userbyid(nspowner), 'grants', nspacl::text) AS definition
  FROM mine
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                      WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' ELSE 'table' END,
       mine.nspname || '.' || c.relname, '',
       concat_ws(' ', 'persistence', c.relpersistence, 'kind', c.relkind, 'owner', pg_get_userbyid(c.relowner),
                 'grants', c.relacl::text, 'options', c.reloptions::text, 'row security', c.relrowsecurity,
                 c.relforcerowsecurity, 'replica identity', c.relreplident, 'populated', c.relispopulated,
                 'partition', c.relispartition, pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),
                 'access method', (SELECT amname FROM pg_am WHERE oid = c.relam),
                 'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
                 'of', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
                 CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
  FROM pg_class AS c JOIN mine ON mine.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relpersistence <> 't'
UNION ALL
SELECT 'sequence range', mine.nspname || '.' || c.relname, '',
       concat_ws(' ', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'min', s.seqmin, 'max', s.seqmax,
                 'by', s.seqincrement, 'cycle', s.seqcycle, 'cache', s.seqcache,
                 'owned by', d.refobjid::regclass::text || '.' || a.attname)
  FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid
  JOIN mine ON mine.oid = c.relnamespace
  LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.objsubid = 0
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
UNION ALL
SELECT 'inheritance', mine.nspname || '.' || c.relname || ' from ' || i.inhparent::regclass::text,
       mine.nspname || '.' || c.relname,
       concat_ws(' ', 'as number', i.inhseqno
                 , 'detach pending', i.inhdetachpending -- from 14
                 )
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN mine ON mine.oid = c.relnamespace
UNION ALL
SELECT 'column', mine.nspname || '.' || c.relname || '.' || a.attname, mine.nspname || '.' || c.relname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
                 'default', pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
                 'collation', (SELECT collname FROM pg_collation WHERE oid = a.attcollation), 'storage', a.attstorage,
                 'compression', a.attcompression, -- from 14
                 'grants', a.attacl::text,
                 -- Minor releases of the end of 2026 keep a mark of their own there, another in each cluster.
                 'options', nullif(ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_attver='), '{}')::text,
                 a.attfdwoptions::text,
                 'statistics', coalesce(a.attstattarget, -1), 'inherited', a.attinhcount, a.attislocal)
  FROM pg_attribute AS a
  JOIN pg_class AS c ON c.oid = a.attrelid
  JOIN mine ON mine.oid = c.relnamespace
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't'
UNION ALL
SELECT 'index', mine.nspname || '.' || i.relname, mine.nspname || '.' || t.relname,
       concat_ws(' ', pg_get_indexdef(x.indexrelid), 'valid', x.indisvalid, 'ready', x.indisready, 'live', x.indislive,
                 'clustered', x.indisclustered, 'replica identity', x.indisreplident,
                 'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = i.reltablespace))
  FROM pg_index AS x
  JOIN pg_class AS i ON i.oid = x.indexrelid
  JOIN pg_class AS t ON t.oid = x.indrelid
  JOIN mine ON mine.oid = i.relnamespace
 WHERE i.relpersistence <> 't'
UNION ALL
SELECT 'constraint', CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text
                          WHEN k.contypid <> 0 THEN format_type(k.contypid, NULL)
                          ELSE mine.nspname END || '.' || k.conname,
       CASE WHEN k.conrelid = 0 THEN '' ELSE k.conrelid::regclass::text END,
       concat_ws(' ', pg_get_constraintdef(k.oid), 'validated', k.convalidated, 'deferrable', k.condeferrable,
                 'inherited', k.coninhcount, k.conislocal, k.connoinherit, 'kept by', fired.state)
  FROM pg_constraint AS k JOIN mine ON mine.oid = k.connamespace LEFT JOIN fired ON fired.tgconstraint = k.oid
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window function'
                      ELSE 'function' END,
       mine.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', '',
       concat_ws(' ', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
                 CASE WHEN p.prokind = 'a' THEN 'returns ' || pg_get_function_result(p.oid) END,
                 'owner', pg_get_userbyid(p.proowner), 'grants', p.proacl::text)
  FROM pg_proc AS p JOIN mine ON mine.oid = p.pronamespace
UNION ALL
SELECT 'aggregate state', mine.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', '',
       concat_ws(' ', 'kind', g.aggkind, g.aggnumdirectargs, 'type', format_type(g.aggtranstype, NULL), g.aggtransspace,
                 'by', g.aggtransfn::text, g.aggfinalfn::text, g.aggcombinefn::text, g.aggserialfn::text,
                 g.aggdeserialfn::text, 'from', g.agginitval, 'moving', format_type(g.aggmtranstype, NULL),
                 g.aggmtransfn::text, g.aggminvtransfn::text, g.aggmfinalfn::text, g.aggminitval,
                 'sort', nullif(g.aggsortop, 0)::regoperator::text)
  FROM pg_aggregate AS g JOIN pg_proc AS p ON p.oid = g.aggfnoid JOIN mine ON mine.oid = p.pronamespace
UNION ALL
SELECT 'trigger', t.tgname::text || ' on ' || t.tgrelid::regclass::text, t.tgrelid::regclass::text,
       concat_ws(' ', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
  FROM pg_trigger AS t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'event trigger', e.evtname::text, '',
       concat_ws(' ', 'on', e.evtevent, 'tags', e.evttags::text, 'calls', e.evtfoid::regprocedure::text,
                 'owner', pg_get_userbyid(e.evtowner), 'enabled', e.evtenabled)
  FROM pg_event_trigger AS e
UNION ALL
SELECT 'policy', p.polname::text || ' on ' || p.polrelid::regclass::text, p.polrelid::regclass::text,
       concat_ws(' ', p.polcmd, 'permissive', p.polpermissive,
                 'roles', ARRAY(SELECT CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END
                                  FROM unnest(p.polroles) AS r ORDER BY 1)::text,
                 'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_policy AS p
UNION ALL
SELECT 'rule', r.rulename::text || ' on ' || r.ev_class::regclass::text, r.ev_class::regclass::text,
       concat_ws(' ', pg_get_ruledef(r.oid), 'enabled', r.ev_enabled)
  FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class JOIN mine ON mine.oid = c.relnamespace
 WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'type', mine.nspname || '.' || t.typname, '',
       concat_ws(' ', 'kind', t.typtype, 'owner', pg_get_userbyid(t.typowner), 'grants', t.typacl::text,
                 'labels', ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)::text,
                 'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
                 'collation', (SELECT collname FROM pg_collation WHERE oid = t.typcollation),
                 'default', t.typdefault, 'not null', t.typnotnull,
                 'of', (SELECT concat_ws(' ', format_type(r.rngsubtype, NULL),
                                         (SELECT opcname FROM pg_opclass WHERE oid = r.rngsubopc),
                                         (SELECT collname FROM pg_collation WHERE oid = r.rngcollation),
                                         r.rngcanonical::text, r.rngsubdiff::text)
                          FROM pg_range AS r WHERE r.rngtypid = t.oid),
                 CASE WHEN t.typtype = 'b'
                      THEN concat_ws(' ', t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typdelim,
                                     t.typinput::text, t.typoutput::text, t.typreceive::text, t.typsend::text) END)
  FROM pg_type AS t JOIN mine ON mine.oid = t.typnamespace
 -- Arrays come with their elements.
 WHERE t.typtype IN ('e', 'd', 'r') OR t.typtype = 'b' AND t.typcategory <> 'A'
UNION ALL
SELECT 'composite type grants', mine.nspname || '.' || t.typname, '', t.typacl::text
  FROM pg_type AS t JOIN mine ON mine.oid = t.typnamespace
 WHERE t.typtype = 'c' AND t.typacl IS NOT NULL
UNION ALL
SELECT 'operator', mine.nspname || '.' || o.oprname || '(' || format_type(o.oprleft, NULL) || ','
                   || format_type(o.oprright, NULL) || ')', '',
       concat_ws(' ', 'calls', o.oprcode::text, 'returns', format_type(o.oprresult, NULL), 'merge', o.oprcanmerge, 'hash',
                 o.oprcanhash, o.oprcom::regoperator::text, o.oprnegate::regoperator::text, o.oprrest::text, o.oprjoin::text,
                 'owner', pg_get_userbyid(o.oprowner))
  FROM pg_operator AS o JOIN mine ON mine.oid = o.oprnamespace
UNION ALL
SELECT 'operator family', mine.nspname || '.' || f.opfname || ' using ' || am.amname, '',
       concat_ws(' ', 'owner', pg_get_userbyid(f.opfowner), 'operators',
                 ARRAY(SELECT a.amopstrategy || ' ' || a.amopopr::regoperator::text FROM pg_amop AS a
                        WHERE a.amopfamily = f.oid ORDER BY 1)::text,
                 'functions', ARRAY(SELECT a.amprocnum || ' ' || format_type(a.amproclefttype, NULL) || ' '
                                           || format_type(a.amprocrighttype, NULL) || ' ' || a.amproc::text
                                      FROM pg_amproc AS a WHERE a.amprocfamily = f.oid ORDER BY 1)::text)
  FROM pg_opfamily AS f JOIN mine ON mine.oid = f.opfnamespace JOIN pg_am AS am ON am.oid = f.opfmethod
UNION ALL
SELECT 'operator class', mine.nspname || '.' || o.opcname || ' using ' || am.amname, '',
       concat_ws(' ', 'for', format_type(o.opcintype, NULL), 'default', o.opcdefault, 'key', format_type(o.opckeytype, NULL),
                 'family', (SELECT opfname FROM pg_opfamily WHERE oid = o.opcfamily), 'owner', pg_get_userbyid(o.opcowner))
  FROM pg_opclass AS o JOIN mine ON mine.oid = o.opcnamespace JOIN pg_am AS am ON am.oid = o.opcmethod
UNION ALL
SELECT 'access method', amname::text, '', concat_ws(' ', amtype, amhandler::text) FROM pg_am WHERE oid >= 16384
UNION ALL
SELECT 'cast', format_type(castsource, NULL) || ' as ' || format_type(casttarget, NULL), '',
       concat_ws(' ', castcontext, castmethod, nullif(castfunc, 0)::regprocedure::text)
  FROM pg_cast WHERE oid >= 16384
UNION ALL
SELECT 'transform', format_type(t.trftype, NULL) || ' for ' || l.lanname, '',
       concat_ws(' ', 'from', t.trffromsql::text, 'to', t.trftosql::text)
  FROM pg_transform AS t JOIN pg_language AS l ON l.oid = t.trflang
UNION ALL
SELECT 'conversion', mine.nspname || '.' || c.conname, '',
       concat_ws(' ', pg_encoding_to_char(c.conforencoding), 'to', pg_encoding_to_char(c.contoencoding), 'by',
                 c.conproc::text, 'default', c.condefault, 'owner', pg_get_userbyid(c.conowner))
  FROM pg_conversion AS c JOIN mine ON mine.oid = c.connamespace
UNION ALL
SELECT 'collation', n.nspname || '.' || c.collname, '',
       concat_ws(' ', 'provider', c.collprovider, 'deterministic', c.collisdeterministic, 'encoding', c.collencoding,
                 'collate', c.collcollate, 'ctype', c.collctype,
                 'locale', c.colliculocale, -- from 15 until 16
                 'locale', c.colllocale, -- from 17
                 'rules', c.collicurules, -- from 16
                 'owner', pg_get_userbyid(c.collowner))
  FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
 -- Those that initdb imported are the library's.
 WHERE c.oid >= 16384
UNION ALL
SELECT 'text search configuration', mine.nspname || '.' || c.cfgname, '',
       concat_ws(' ', 'parser', (SELECT prsname FROM pg_ts_parser WHERE oid = c.cfgparser), 'owner', pg_get_userbyid(c.cfgowner),
                 'maps', ARRAY(SELECT m.maptokentype || ' ' || m.mapseqno || ' ' || m.mapdict::regdictionary::text
                                 FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid
                                ORDER BY m.maptokentype, m.mapseqno)::text)
  FROM pg_ts_config AS c JOIN mine ON mine.oid = c.cfgnamespace
UNION ALL
SELECT 'text search dictionary', mine.nspname || '.' || d.dictname, '',
       concat_ws(' ', (SELECT tmplname FROM pg_ts_template WHERE oid = d.dicttemplate), d.dictinitoption, 'owner',
                 pg_get_userbyid(d.dictowner))
  FROM pg_ts_dict AS d JOIN mine ON mine.oid = d.dictnamespace
UNION ALL
SELECT 'text search parser', mine.nspname || '.' || p.prsname, '',
       concat_ws(' ', p.prsstart::text, p.prstoken::text, p.prsend::text, p.prsheadline::text, p.prslextype::text)
  FROM pg_ts_parser AS p JOIN mine ON mine.oid = p.prsnamespace
UNION ALL
SELECT 'text search template', mine.nspname || '.' || t.tmplname, '', concat_ws(' ', t.tmplinit::text, t.tmpllexize::text)
  FROM pg_ts_template AS t JOIN mine ON mine.oid = t.tmplnamespace
UNION ALL
SELECT 'statistics object', mine.nspname || '.' || s.stxname, s.stxrelid::regclass::text,
       concat_ws(' ', pg_get_statisticsobjdef(s.oid), 'target', coalesce(s.stxstattarget, -1), 'owner',
                 pg_get_userbyid(s.stxowner))
  FROM pg_statistic_ext AS s JOIN mine ON mine.oid = s.stxnamespace
UNION ALL
SELECT 'foreign data wrapper', w.fdwname::text, '',
       concat_ws(' ', 'handler', nullif(w.fdwhandler, 0)::regproc::text, 'validator', nullif(w.fdwvalidator, 0)::regproc::text,
                 'owner', pg_get_userbyid(w.fdwowner), 'grants', w.fdwacl::text, 'options', w.fdwoptions::text)
  FROM pg_foreign_data_wrapper AS w
UNION ALL
SELECT 'foreign server', s.srvname::text, '',
       concat_ws(' ', 'wrapper', (SELECT fdwname FROM pg_foreign_data_wrapper WHERE oid = s.srvfdw), s.srvtype, s.srvversion,
                 'owner', pg_get_userbyid(s.srvowner), 'grants', s.srvacl::text, 'options', s.srvoptions::text)
  FROM pg_foreign_server AS s
UNION ALL
SELECT 'foreign table options', t.ftrelid::regclass::text, t.ftrelid::regclass::text,
       concat_ws(' ', 'server', (SELECT srvname FROM pg_foreign_server WHERE oid = t.ftserver), t.ftoptions::text)
  FROM pg_foreign_table AS t
UNION ALL
SELECT 'user mapping', CASE u.umuser WHEN 0 THEN 'public' ELSE pg_get_userbyid(u.umuser)::text END || ' on ' || s.srvname, '',
       'options ' || ARRAY(SELECT split_part(o, '=', 1) FROM unnest(u.umoptions) AS o ORDER BY 1)::text
  FROM pg_user_mapping AS u JOIN pg_foreign_server AS s ON s.oid = u.umserver
UNION ALL
SELECT 'language', l.lanname::text, '',
       concat_ws(' ', 'trusted', l.lanpltrusted, 'owner', pg_get_userbyid(l.lanowner), 'grants', l.lanacl::text)
  FROM pg_language AS l
UNION ALL
SELECT 'extension', e.extname::text, '',
       concat_ws(' ', 'version', e.extversion, 'schema', (SELECT nspname FROM pg_namespace WHERE oid = e.extnamespace),
                 'owner', pg_get_userbyid(e.extowner))
  FROM pg_extension AS e
UNION ALL
SELECT 'publication', p.pubname::text, '',
       concat_ws(' ', 'all tables', p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
                 'generated columns', p.pubgencols, -- from 18
                 'owner', pg_get_userbyid(p.pubowner))
  FROM pg_publication AS p
UNION ALL
SELECT 'published table', r.prrelid::regclass::text || ' in ' || p.pubname, r.prrelid::regclass::text,
       concat_ws(' ', 'published'
                 , 'where', pg_get_expr(r.prqual, r.prrelid), 'columns', r.prattrs::text -- from 15
                 )
  FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
UNION ALL -- from 15
SELECT 'published schema', n.nspname || ' in ' || p.pubname, '', '' -- from 15
  FROM pg_publication_namespace AS pn -- from 15
  JOIN pg_publication AS p ON p.oid = pn.pnpubid JOIN pg_namespace AS n ON n.oid = pn.pnnspid -- from 15
UNION ALL
SELECT 'default grants', pg_get_userbyid(d.defaclrole) || ' ' || d.defaclobjtype::text
                         || coalesce((SELECT ' in ' || nspname FROM pg_namespace WHERE oid = d.defaclnamespace), ''),
       '', d.defaclacl::text
  FROM pg_default_acl AS d
UNION ALL
SELECT 'large objects', 'of ' || pg_get_userbyid(m.lomowner) || ' with grants ' || coalesce(m.lomacl::text, ''), '',
       count(*)::text
  FROM pg_largeobject_metadata AS m
 GROUP BY m.lomowner, m.lomacl
UNION ALL
SELECT 'comment', o.type || ' ' || o.identity, '', d.description
  FROM pg_description AS d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS o
 -- initdb's own have smaller numbers; that of the schema "public" can be changed all the same.
 WHERE d.objoid >= 16384 OR d.classoid = 'pg_namespace'::regclass
UNION ALL
SELECT 'security label', o.type || ' ' || o.identity || ' by ' || s.provider, '', s.label
  FROM pg_seclabel AS s, LATERAL pg_identify_object(s.classoid, s.objoid, s.objsubid) AS o
