-- Fills or cancels open orders of the writer's own: nobody else changes them. No indexed column is touched. The position
-- follows the fill. $1 to $5: the orders, column by column ("filled" is the new whole; without it the order is canceled).
-- $6, $7: the seeds of the two hashes.
--
-- Gives a row for each order with what that did to its own row, and in each the same sums for the other two tables.
WITH wanted AS (
    SELECT w.id::uuid AS id, w.status, w.filled, w.price, w.detail
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS w (id, status, filled, price, detail)
), before AS (
    SELECT o."id", o."clientOrderId", o."filledQuantity", o."avgFillPrice", o::text AS line
      FROM public."Order" AS o
      JOIN wanted ON o."clientOrderId" = wanted.id
), amended AS (
    UPDATE public."Order" AS o
       SET "status" = wanted.status::public."OrderStatus",
           "filledQuantity" = coalesce(wanted.filled::numeric, o."filledQuantity"),
           "avgFillPrice" = CASE WHEN wanted.filled IS NULL THEN o."avgFillPrice" ELSE wanted.price::numeric END,
           "updatedAt" = now()
      FROM wanted
      JOIN before ON before."clientOrderId" = wanted.id
     WHERE o."id" = before."id"
    RETURNING o."id", o."clientOrderId", o."userId", o."strategyId", o."symbol", wanted.filled,
              CASE o."side" WHEN 'BUY' THEN 1 ELSE -1 END * (o."filledQuantity" - before."filledQuantity") AS quantity,
              CASE o."side" WHEN 'BUY' THEN 1 ELSE -1 END
              * (o."filledQuantity" * coalesce(o."avgFillPrice", 0)
                 - before."filledQuantity" * coalesce(before."avgFillPrice", 0)) AS notional,
              o::text AS line, before.line AS old
), moved AS (
    SELECT "strategyId", "symbol", sum(quantity) AS quantity, sum(notional) AS notional
      FROM amended
     WHERE filled IS NOT NULL
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
    SELECT amended."id", amended."userId",
           CASE WHEN amended.filled IS NULL THEN 'ORDER_CANCELED' ELSE 'ORDER_FILLED' END, wanted.detail::jsonb
      FROM amended
      JOIN wanted ON wanted.id = amended."clientOrderId"
    RETURNING a::text AS line
)
SELECT amended."clientOrderId"::text AS id,
       (hashtextextended(amended.line COLLATE "C", $6::bigint)::numeric
        - hashtextextended(amended.old COLLATE "C", $6::bigint)::numeric)::text AS amended_first,
       (hashtextextended(amended.line COLLATE "C", $7::bigint)::numeric
        - hashtextextended(amended.old COLLATE "C", $7::bigint)::numeric)::text AS amended_second,
       audits.*, positions.*,
       (SELECT count(*) FROM moved) = positions.moved AS whole,
       pg_current_xact_id()::text AS xid, pg_current_wal_insert_lsn() AS lsn
  FROM amended,
       (SELECT count(*) AS audited,
               sum(hashtextextended(line COLLATE "C", $6::bigint))::text AS audited_first,
               sum(hashtextextended(line COLLATE "C", $7::bigint))::text AS audited_second
          FROM audited) AS audits,
       (SELECT count(*) AS moved,
               (sum(hashtextextended(line COLLATE "C", $6::bigint))
                - sum(hashtextextended(old COLLATE "C", $6::bigint)))::text AS moved_first,
               (sum(hashtextextended(line COLLATE "C", $7::bigint))
                - sum(hashtextextended(old COLLATE "C", $7::bigint)))::text AS moved_second
          FROM changed) AS positions
