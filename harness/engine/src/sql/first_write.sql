-- One order, as the application places it: with its fill in the position and its row in the audit log. $1 is the
-- order's own number, $2 its symbol.
WITH strategy AS (
    SELECT "id", "userId" FROM public."Strategy" ORDER BY "createdAt", "id" LIMIT 1
), placed AS (
    INSERT INTO public."Order" ("clientOrderId", "userId", "strategyId", "symbol", "side", "type", "status",
                                "quantity", "price", "filledQuantity", "avgFillPrice", "fee", "updatedAt")
    SELECT $1::text::uuid, "userId", "id", $2::text, 'BUY', 'LIMIT', 'FILLED', 1, 2, 1, 2, 0, now() FROM strategy
    RETURNING "id", "userId", "strategyId"
), position AS (
    INSERT INTO public."Position" ("strategyId", "symbol", "quantity", "notional", "updatedAt")
    SELECT "strategyId", $2::text, 1, 2, now() FROM placed
        ON CONFLICT ("strategyId", "symbol")
        DO UPDATE SET "quantity" = "Position"."quantity" + 1, "notional" = "Position"."notional" + 2
    RETURNING "id"
), audited AS (
    INSERT INTO public."AuditLog" ("orderId", "userId", "action", "detail")
    SELECT "id", "userId", 'ORDER_PLACED', '{"by": "pgdrill"}' FROM placed
    RETURNING "id"
)
SELECT (SELECT "id" FROM placed) AS order_id,
       (SELECT count(*) FROM position) AS positions,
       (SELECT count(*) FROM audited) AS audits,
       pg_current_xact_id()::text AS xid
