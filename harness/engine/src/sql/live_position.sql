-- Where the WAL of a server that is written to stands, on which timeline, and when.
SELECT lsn::text AS lsn, ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::bigint AS timeline,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS unix_us,
       current_setting('wal_block_size')::bigint AS page, pg_size_bytes(current_setting('wal_segment_size')) AS segment
  FROM pg_current_wal_insert_lsn() AS lsn
