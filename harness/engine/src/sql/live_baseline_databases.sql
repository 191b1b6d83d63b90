-- The databases of a server, and whether this role may connect to them. Not the templates: who is connected to one keeps others from
-- making a database of it.
SELECT datname::text AS name, datistemplate AS template,
       datallowconn AND datconnlimit <> -2 AND has_database_privilege(oid, 'CONNECT') AS open
  FROM pg_database
 ORDER BY 1
