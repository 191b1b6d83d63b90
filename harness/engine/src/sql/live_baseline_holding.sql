-- The transactions and subtransactions that have a number and are not over, prepared ones too: each holds the lock on its number,
-- which every role is shown.
SELECT DISTINCT transactionid::text::bigint AS xid
  FROM pg_locks
 WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
 ORDER BY 1
