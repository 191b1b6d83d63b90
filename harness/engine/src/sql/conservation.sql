-- What is true after every committed transaction of the trading application: each "Position" is the sum of the
-- fills of its "Order" rows, and each order has a row in the "AuditLog".
WITH fills AS (
    SELECT "strategyId", "symbol",
           sum(CASE "side" WHEN 'BUY' THEN "filledQuantity" ELSE - "filledQuantity" END) AS quantity,
           sum(CASE "side" WHEN 'BUY' THEN "filledQuantity" ELSE - "filledQuantity" END * "avgFillPrice") AS notional
      FROM public."Order"
     WHERE "avgFillPrice" IS NOT NULL
     GROUP BY 1, 2
), compared AS (
    SELECT p."quantity" IS NOT DISTINCT FROM f.quantity AND p."notional" IS NOT DISTINCT FROM f.notional AS holds
      FROM public."Position" AS p
      FULL JOIN fills AS f USING ("strategyId", "symbol")
)
SELECT (SELECT count(*) FROM compared) AS positions,
       (SELECT count(*) FROM compared WHERE NOT holds) AS wrong,
       (SELECT count(*) FROM public."Order" AS o
         WHERE NOT EXISTS (SELECT FROM public."AuditLog" AS a WHERE a."orderId" = o."id")) AS unaudited
