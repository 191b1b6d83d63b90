-- The databases that can be connected to, templates too. One whose DROP was interrupted has a connection limit of -2.
SELECT datname::text FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY 1
