-- Whether the startup process has found no more WAL anywhere and waits before it looks again
-- (`WaitForWALToBecomeAvailable`, src/backend/access/transam/xlogrecovery.c; the name is that of 13 and later).
SELECT EXISTS (SELECT 1
                 FROM pg_stat_activity
                WHERE backend_type = 'startup' AND wait_event = 'RecoveryRetrieveRetryInterval')
