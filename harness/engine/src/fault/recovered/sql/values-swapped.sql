-- Two orders have each other's fee: no sum over the column is another. $1 chooses the first.
WITH one AS (
    SELECT "id", "fee" FROM "Order" ORDER BY "id" OFFSET ($1::bigint % (SELECT count(*) / 2 FROM "Order")) LIMIT 1
), other AS (
    SELECT "id", "fee" FROM "Order"
    WHERE "id" > (SELECT "id" FROM one) AND "fee" <> (SELECT "fee" FROM one)
    ORDER BY "id" LIMIT 1
), swapped AS (
    UPDATE "Order" AS o
    SET "fee" = CASE o."id" WHEN one."id" THEN other."fee" ELSE one."fee" END
    FROM one, other
    WHERE o."id" IN (one."id", other."id")
    RETURNING o."id"
)
SELECT 'rows ' || string_agg("id"::text, ' and ' ORDER BY "id") || ' of "Order" have each other''s fee'
FROM swapped
HAVING count(*) = 2
