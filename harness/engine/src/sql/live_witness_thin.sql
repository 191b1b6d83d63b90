-- Of the beats before the newest, $1, that have to be kept, $2, every sixtieth stays for thirty times as long, and every 1440th
-- for a thousand times.
DELETE FROM pgdrill.witness
 WHERE beat <= $1::bigint - $2::bigint
   AND (beat % 60 <> 0 OR beat <= $1 - 30 * $2 AND beat % 1440 <> 0 OR beat <= $1 - 1000 * $2)
