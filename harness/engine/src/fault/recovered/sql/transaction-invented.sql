-- A copy of an order, with its audit row and what it does to its position, that nobody placed. $1 chooses the original.
WITH chosen AS (
    SELECT * FROM "Order" WHERE "filledQuantity" > 0
    ORDER BY "id"
    OFFSET ($1::bigint % (SELECT count(*) FROM "Order" WHERE "filledQuantity" > 0)) LIMIT 1
), placed AS (
    INSERT INTO "Order" ("clientOrderId", "userId", "strategyId", "symbol", "side", "type", "status", "quantity",
                         "price", "filledQuantity", "avgFillPrice", "fee", "createdAt", "updatedAt")
    SELECT md5("clientOrderId"::text)::uuid, "userId", "strategyId", "symbol", "side", "type", "status", "quantity",
           "price", "filledQuantity", "avgFillPrice", "fee", "createdAt", "updatedAt"
    FROM chosen
    RETURNING "id", "userId", "strategyId", "symbol",
              CASE "side" WHEN 'BUY' THEN "filledQuantity" ELSE -"filledQuantity" END AS filled, "avgFillPrice"
), audited AS (
    INSERT INTO "AuditLog" ("orderId", "userId", "action", "detail")
    SELECT "id", "userId", 'order.filled', '{}' FROM placed
), moved AS (
    UPDATE "Position" AS p
    SET "quantity" = p."quantity" + placed.filled,
        "notional" = p."notional" + placed.filled * placed."avgFillPrice"
    FROM placed
    WHERE p."strategyId" = placed."strategyId" AND p."symbol" = placed."symbol"
)
SELECT 'order ' || "id" || ' is there, and nobody placed it' FROM placed
