-- Places orders, as the application does: with their fills in the positions and a row in the audit log for each.
-- $1 to $9: the orders, column by column; an order without "filled" stays open. $10, $11: the seeds of the two hashes.
--
-- Gives what that did to each table as sums of hashes. Positions are locked in a fixed order, so that writers wait for
-- one another and never in a circle; what was there before is hashed under that lock.
WITH wanted AS (
    SELECT w.id::uuid AS id, w.owner, w.strategy, w.symbol, w.side, w.quantity, w.filled, w.price, w.detail
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                  $9::text[]) AS w (id, owner, strategy, symbol, side, quantity, filled, price, detail)
), placed AS (
    INSERT INTO public."Order" AS o ("clientOrderId", "userId", "strategyId", "symbol", "side", "type", "status",
                                     "quantity", "price", "filledQuantity", "avgFillPrice", "fee", "updatedAt")
    SELECT id, owner, strategy, symbol, side::public."OrderSide", 'LIMIT',
           CASE WHEN filled IS NULL THEN 'NEW' ELSE 'FILLED' END::public."OrderStatus",
           quantity::numeric, price::numeric, coalesce(filled, '0')::numeric,
           CASE WHEN filled IS NOT NULL THEN price::numeric END, 0.01, now()
      FROM wanted
    RETURNING o."id", o."clientOrderId", o."userId", o."strategyId", o."symbol", o."avgFillPrice",
              CASE o."side" WHEN 'BUY' THEN o."filledQuantity" ELSE - o."filledQuantity" END AS quantity,
              o::text AS line
), moved AS (
    SELECT "strategyId", "symbol", sum(quantity) AS quantity, sum(quantity * "avgFillPrice") AS notional
      FROM placed
     WHERE "avgFillPrice" IS NOT NULL
     GROUP BY 1, 2
), held AS (
    SELECT p."id", p::text AS line, moved.quantity, moved.notional
      FROM public."Position" AS p
      JOIN moved ON p."strategyId" = moved."strategyId" AND p."symbol" = moved."symbol"
     ORDER BY p."strategyId" COLLATE "C", p."symbol" COLLATE "C"
       FOR NO KEY UPDATE OF p
), changed AS (
    UPDATE public."Position" AS p
       SET "quantity" = p."quantity" + held.quantity, "notional" = p."notional" + held.notional, "updatedAt" = now()
      FROM held
     WHERE p."id" = held."id"
    RETURNING p::text AS line, held.line AS old
), audited AS (
    INSERT INTO public."AuditLog" AS a ("orderId", "userId", "action", "detail")
    SELECT placed."id", placed."userId", 'ORDER_PLACED', wanted.detail::jsonb
      FROM placed
      JOIN wanted ON wanted.id = placed."clientOrderId"
    RETURNING a::text AS line
)
SELECT orders.*, audits.*, positions.*,
       (SELECT count(*) FROM moved) = positions.moved AS whole,
       pg_current_xact_id()::text AS xid, pg_current_wal_insert_lsn() AS lsn
  FROM (SELECT count(*) AS placed,
               sum(hashtextextended(line COLLATE "C", $10::bigint))::text AS placed_first,
               sum(hashtextextended(line COLLATE "C", $11::bigint))::text AS placed_second
          FROM placed) AS orders,
       (SELECT count(*) AS audited,
               sum(hashtextextended(line COLLATE "C", $10::bigint))::text AS audited_first,
               sum(hashtextextended(line COLLATE "C", $11::bigint))::text AS audited_second
          FROM audited) AS audits,
       (SELECT count(*) AS moved,
               (sum(hashtextextended(line COLLATE "C", $10::bigint))
                - sum(hashtextextended(old COLLATE "C", $10::bigint)))::text AS moved_first,
               (sum(hashtextextended(line COLLATE "C", $11::bigint))
                - sum(hashtextextended(old COLLATE "C", $11::bigint)))::text AS moved_second
          FROM changed) AS positions
