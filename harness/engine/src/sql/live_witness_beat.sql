-- The next beat, by a nonce, and what it is known by.
INSERT INTO pgdrill.witness (beat, written, nonce, system)
SELECT coalesce(max(beat), 0) + 1, clock_timestamp(), $1, (SELECT system_identifier FROM pg_control_system())
  FROM pgdrill.witness
RETURNING beat, (extract(epoch FROM written) * 1000000)::bigint AS written_unix_us, system,
          pg_current_xact_id()::text::bigint AS xid
