-- A table whose rows are in no backup and in no WAL.
CREATE UNLOGGED TABLE "Quote" ("symbol" text PRIMARY KEY, "price" numeric NOT NULL);
INSERT INTO "Quote" SELECT 'S' || n, n FROM generate_series(1, 500) AS n;
