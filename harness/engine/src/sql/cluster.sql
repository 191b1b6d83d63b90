-- Every definition of the cluster, in the same form as catalog.sql: roles, databases, tablespaces and what hangs on
-- them. Of a password only its kind is told. Settings with a dot in their names belong to applications, which keep
-- secrets there: of these only a hash is told. Where a tablespace lies is the restore's choice.
SELECT 'role' AS kind, r.rolname::text AS name, '' AS on_table,
       concat_ws(' ', 'super', r.rolsuper, 'inherit', r.rolinherit, 'create role', r.rolcreaterole,
                 'create db', r.rolcreatedb, 'login', r.rolcanlogin, 'replication', r.rolreplication,
                 'bypass rls', r.rolbypassrls, 'limit', r.rolconnlimit, 'until', r.rolvaliduntil,
                 'password', CASE WHEN r.rolpassword IS NULL THEN 'none' WHEN r.rolpassword ~ '^SCRAM-SHA-256\$' THEN 'scram'
                                  WHEN r.rolpassword ~ '^md5' THEN 'md5' ELSE 'other' END) AS definition
  FROM pg_authid AS r WHERE r.rolname !~ '^pg_'
UNION ALL
SELECT 'membership', pg_get_userbyid(m.member) || ' of ' || pg_get_userbyid(m.roleid)
                     || ' by ' || pg_get_userbyid(m.grantor) -- from 16
       , '',
       concat_ws(' ', 'admin', m.admin_option
                 , 'inherit', m.inherit_option, 'set', m.set_option -- from 16
                 )
  FROM pg_auth_members AS m
 -- Those of predefined roles in each other are the server's own.
 WHERE pg_get_userbyid(m.member) !~ '^pg_'
UNION ALL
SELECT 'database', d.datname::text, '',
       concat_ws(' ', 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
                 'collate', d.datcollate, 'ctype', d.datctype,
                 'provider', d.datlocprovider, -- from 15
                 'locale', d.daticulocale, -- from 15 until 16
                 'locale', d.datlocale, -- from 17
                 'rules', d.daticurules, -- from 16
                 'template', d.datistemplate, 'connections', d.datallowconn, d.datconnlimit,
                 'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = d.dattablespace), 'grants', d.datacl::text)
  FROM pg_database AS d
UNION ALL
SELECT 'tablespace', t.spcname::text, '',
       concat_ws(' ', 'owner', pg_get_userbyid(t.spcowner), 'grants', t.spcacl::text, 'options', t.spcoptions::text)
  FROM pg_tablespace AS t
UNION ALL
SELECT 'setting', concat_ws(' ', CASE WHEN s.setrole = 0 THEN 'of every role' ELSE 'of ' || pg_get_userbyid(s.setrole) END,
                            (SELECT 'in ' || datname FROM pg_database WHERE oid = s.setdatabase), split_part(c, '=', 1)),
       '',
       CASE WHEN split_part(c, '=', 1) ~ '\.' THEN 'hash ' || md5(c) ELSE substr(c, strpos(c, '=') + 1) END
  FROM pg_db_role_setting AS s, LATERAL unnest(s.setconfig) AS c
UNION ALL
-- Its connection string holds a password.
SELECT 'subscription', s.subname || ' in ' || d.datname, '',
       concat_ws(' ', 'owner', pg_get_userbyid(s.subowner), 'enabled', s.subenabled, 'slot', s.subslotname,
                 'synchronous', s.subsynccommit, 'publications', s.subpublications::text)
  FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
UNION ALL -- from 15
SELECT 'setting grants', parname, '', paracl::text FROM pg_parameter_acl -- from 15
UNION ALL
SELECT 'comment', c.relname || ' ' || coalesce(b.datname, r.rolname, t.spcname, s.subname, ''), '', d.description
  FROM pg_shdescription AS d
  JOIN pg_class AS c ON c.oid = d.classoid
  LEFT JOIN pg_database AS b ON d.classoid = 'pg_database'::regclass AND b.oid = d.objoid
  LEFT JOIN pg_authid AS r ON d.classoid = 'pg_authid'::regclass AND r.oid = d.objoid
  LEFT JOIN pg_tablespace AS t ON d.classoid = 'pg_tablespace'::regclass AND t.oid = d.objoid
  LEFT JOIN pg_subscription AS s ON d.classoid = 'pg_subscription'::regclass AND s.oid = d.objoid
