-- The table of the witness. Of some thousand rows one is added and one taken away a minute, so it is vacuumed by their number
-- and not by their share.
CREATE TABLE pgdrill.witness (
    beat bigint PRIMARY KEY CHECK (beat > 0),
    written timestamptz NOT NULL,
    nonce bytea NOT NULL CHECK (length(nonce) = 16),
    system bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 1000);
COMMENT ON TABLE pgdrill.witness IS
    'pgdrill witness/1: a row a beat, by which a restored copy of this server is known. Taken away by: pgdrill live witness remove';
