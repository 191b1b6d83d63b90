-- What an interrupted DROP DATABASE leaves: a database marked so that nobody can connect to it
-- (DATCONNLIMIT_INVALID_DB, src/include/catalog/pg_database.h).
CREATE DATABASE "half-dropped";
UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half-dropped';
