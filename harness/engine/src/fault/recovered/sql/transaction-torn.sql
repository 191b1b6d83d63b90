-- An order that was filled is gone with its audit rows, and what it did to its position is there. $1 chooses it.
WITH chosen AS (
    SELECT "id" FROM "Order" WHERE "filledQuantity" > 0
    ORDER BY "id"
    OFFSET ($1::bigint % (SELECT count(*) FROM "Order" WHERE "filledQuantity" > 0)) LIMIT 1
), audited AS (
    DELETE FROM "AuditLog" WHERE "orderId" = (SELECT "id" FROM chosen)
), gone AS (
    DELETE FROM "Order" WHERE "id" = (SELECT "id" FROM chosen) RETURNING "id"
)
SELECT 'order ' || "id" || ' is gone, and its fill is still in its position' FROM gone
