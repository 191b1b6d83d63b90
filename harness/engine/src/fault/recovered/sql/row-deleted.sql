-- One row of the audit log is not there. $1 chooses it.
WITH chosen AS (
    SELECT "id" FROM "AuditLog" ORDER BY "id" OFFSET ($1::bigint % (SELECT count(*) FROM "AuditLog")) LIMIT 1
), gone AS (
    DELETE FROM "AuditLog" WHERE "id" = (SELECT "id" FROM chosen) RETURNING "id"
)
SELECT 'row ' || "id" || ' of "AuditLog" is gone' FROM gone
