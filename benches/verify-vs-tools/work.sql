-- One transaction of a desk that amends its orders, all over the table: the first change of a page after a checkpoint
-- brings the page itself into the WAL, as on a busy server.
\set id random(1, :orders)
BEGIN;
UPDATE "Order" SET "fee" = "fee" + 0.01, "updatedAt" = now() WHERE "id" = :id;
INSERT INTO "AuditLog" ("orderId", "userId", "action", "detail")
SELECT "id", "userId", 'AMENDED', jsonb_build_object('fee', "fee", 'price', "price")
  FROM "Order" WHERE "id" = :id;
COMMIT;
