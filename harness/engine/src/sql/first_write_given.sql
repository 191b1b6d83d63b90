-- A transaction that writes, is committed, and leaves nothing: in a database of which nothing is known. Not by a definition, which
-- somebody's event triggers would hear of.
BEGIN READ WRITE;
SELECT pg_catalog.lo_unlink(pg_catalog.lo_from_bytea(0, '\x70'));
COMMIT
