-- Which server it is, what of the witness is there, and what this role may do with it; by any role, on a standby too.
SELECT pg_is_in_recovery() AS in_recovery, current_setting('transaction_read_only')::bool AS read_only,
       current_setting('server_version_num')::int / 10000 AS major,
       (pg_control_system()).system_identifier AS system,
       current_database()::text AS database, quote_ident(current_database()) AS quoted_database, quote_ident(current_user) AS role,
       n.oid IS NOT NULL AS has_schema, c.oid IS NOT NULL AS has_table,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create_table,
       coalesce(pg_has_role(c.relowner, 'USAGE'), false) AS owns_table,
       coalesce(pg_has_role(n.nspowner, 'USAGE'), false) AS owns_schema,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS may_use,
       coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                AND has_table_privilege(c.oid, 'DELETE'), false) AS may_write,
       has_function_privilege('pg_create_restore_point(text)', 'EXECUTE') AS may_make_points
  FROM (SELECT 1) AS one
  LEFT JOIN pg_namespace AS n ON n.nspname = 'pgdrill'
  LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'witness'
