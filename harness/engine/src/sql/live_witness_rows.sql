-- The beats that a server holds.
SELECT beat, nonce, system, (extract(epoch FROM written) * 1000000)::bigint AS written_unix_us
  FROM pgdrill.witness
 ORDER BY beat
