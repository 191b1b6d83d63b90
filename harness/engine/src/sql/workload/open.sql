-- Places the first orders of their strategies in their symbols, which opens the positions: as place.sql, but a position
-- that is there already is an error.
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
), opened AS (
    INSERT INTO public."Position" AS p ("strategyId", "symbol", "quantity", "notional", "updatedAt")
    SELECT "strategyId", "symbol", quantity, notional, now() FROM moved
    RETURNING p::text AS line
), audited AS (
    INSERT INTO public."AuditLog" AS a ("orderId", "userId", "action", "detail")
    SELECT placed."id", placed."userId", 'ORDER_PLACED', wanted.detail::jsonb
      FROM placed
      JOIN wanted ON wanted.id = placed."clientOrderId"
    RETURNING a::text AS line
)
SELECT orders.*, audits.*, positions.*,
       (SELECT count(*) FROM moved) = positions.moved AS whole, true AS opened,
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
               sum(hashtextextended(line COLLATE "C", $10::bigint))::text AS moved_first,
               sum(hashtextextended(line COLLATE "C", $11::bigint))::text AS moved_second
          FROM opened) AS positions
