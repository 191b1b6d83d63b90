-- One character of one value is another. $1 chooses the row.
WITH chosen AS (
    SELECT "id" FROM "AuditLog" ORDER BY "id" OFFSET ($1::bigint % (SELECT count(*) FROM "AuditLog")) LIMIT 1
), changed AS (
    UPDATE "AuditLog" SET "action" = "action" || '.' WHERE "id" = (SELECT "id" FROM chosen) RETURNING "id"
)
SELECT 'action of row ' || "id" || ' of "AuditLog" is another' FROM changed
