//! The rows of the tables that writers change, kept in mind from look to look, so that every look compares the whole
//! content and reads only what is new in it.
//!
//! A row version that one snapshot sees and an earlier one did not was written by a transaction that was not over when the
//! earlier one was taken: its number is not older than that snapshot's `xmin` (`GetSnapshotData`,
//! `src/backend/storage/ipc/procarray.c`). Those rows are read, and take the places of what they were before. Whether rows
//! have gone is told by how many there are: then, and where rows have come with the number of no such transaction (COPY
//! FREEZE), all of them are read again.
//!
//! What this does not see: a row that becomes another without a new version of it, which is damage. The last look of a
//! sweep is compared with a real recovery of which everything is read.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::pin::pin;
use std::sync::Mutex;

use futures_util::TryStreamExt;
use pgdrill_ledger::{Sums, Table};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use crate::content::SEEDS;
use crate::session::Session;
use crate::sweep::look::{Held, Sessions};

const ROWS: &str = include_str!("../sql/sweep_rows.sql");

/// The oldest transaction that was not over when a snapshot was taken.
const OLDEST: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::xid::text";

/// `FrozenTransactionId` (`src/include/access/transam.h`): nothing is older.
const FROZEN: &str = "2";

/// What was there at the last look.
#[derive(Debug, Default)]
pub struct Rows {
    tables: BTreeMap<Table, Kept>,
}

/// The rows of one table.
#[derive(Debug, Default)]
struct Kept {
    /// By primary key, the two hashes.
    hashes: HashMap<i64, (i64, i64)>,
    sums: Sums,
    /// The oldest transaction that was not over at that look.
    oldest: String,
}

impl Rows {
    /// Looks.
    ///
    /// # Errors
    ///
    /// What the server answered. The next look then begins anew.
    pub async fn look(&mut self, sessions: &Sessions) -> Result<Held, Error> {
        let before = Mutex::new(mem::take(&mut self.tables));
        self.tables = sessions
            .read(async |session, table| {
                let kept = before.lock().ok().and_then(|mut tables| tables.remove(&table));
                let oldest = session.query_one(OLDEST, &[]).await?.try_get(0)?;
                Ok(Kept { oldest, ..Kept::renewed(kept, session, table).await? })
            })
            .await?;
        Ok(self.tables.iter().map(|(table, kept)| (*table, kept.sums)).collect())
    }
}

impl Kept {
    async fn renewed(before: Option<Self>, session: &Session, table: Table) -> Result<Self, Error> {
        if let Some(mut kept) = before {
            let since = mem::take(&mut kept.oldest);
            let there = kept.take(session, table, Some(&since)).await?;
            if usize::try_from(there).is_ok_and(|there| there == kept.hashes.len()) {
                return Ok(kept);
            }
        }
        let mut all = Self::default();
        all.take(session, table, None).await?;
        Ok(all)
    }

    /// Takes in the rows that `since` or a later transaction wrote, in the places of what they were before; or all rows,
    /// each of which counts, even where a key comes twice, as it does in no sound table. Gives how many rows there are.
    async fn take(&mut self, session: &Session, table: Table, since: Option<&str>) -> Result<i64, Error> {
        let query = ROWS.replace("@TABLE@", &format!("\"{}\"", table.name()));
        let [first, second] = &SEEDS;
        let oldest = since.unwrap_or(FROZEN);
        let parameters: [&(dyn ToSql + Sync); 3] = [&oldest, first, second];
        let mut rows = pin!(session.query_raw(query.as_str(), parameters).await?);
        let mut there = 0;
        while let Some(row) = rows.try_next().await? {
            if let Some(count) = row.try_get("rows")? {
                there = count;
                continue;
            }
            let hashes: (i64, i64) = (row.try_get("first")?, row.try_get("second")?);
            self.sums += Sums::row(hashes.0, hashes.1);
            let before = self.hashes.insert(row.try_get("id")?, hashes);
            if let (Some((first, second)), Some(_)) = (before, since) {
                self.sums -= Sums::row(first, second);
            }
        }
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::bench::Bench;

    const AUDIT: &str = "INSERT INTO \"AuditLog\" (\"userId\", \"action\", \"detail\") \
                         SELECT 'u', 'A', '{}' FROM generate_series(1, 100)";

    const ANYBODY: &str = "ALTER TABLE \"AuditLog\" DROP CONSTRAINT \"AuditLog_userId_fkey\"";

    /// Each statement changes what is there in another way; the rows that are kept in mind show what is read in full.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_kept_in_mind_is_what_is_there() {
        let bench = Bench::new().await;
        let sessions = Sessions::open(&bench.reading()).await.unwrap();
        let (writer, lasting) = (bench.superuser().await, bench.superuser().await);
        writer.batch_execute(ANYBODY).await.unwrap();
        let mut rows = Rows::default();
        let mut seen = Vec::new();
        lasting.batch_execute("BEGIN").await.unwrap();
        lasting.batch_execute("UPDATE \"Position\" SET \"quantity\" = 7 WHERE \"id\" = 1").await.unwrap();
        let steps = [
            "SELECT 1",
            AUDIT,
            "UPDATE \"Order\" SET \"fee\" = 3 WHERE \"id\" % 2 = 0",
            "BEGIN; UPDATE \"Order\" SET \"fee\" = 9; ROLLBACK",
            "BEGIN; SAVEPOINT s; UPDATE \"Order\" SET \"fee\" = 5 WHERE \"id\" < 9; RELEASE s; COMMIT",
            // A transaction that began before the first look is over.
            "COMMIT",
            "DELETE FROM \"AuditLog\" WHERE \"id\" % 3 = 0",
            // As many go as come.
            "BEGIN; DELETE FROM \"AuditLog\" WHERE \"id\" IN (SELECT \"id\" FROM \"AuditLog\" LIMIT 100); \
             INSERT INTO \"AuditLog\" (\"userId\", \"action\", \"detail\") SELECT 'u', 'B', '{}' FROM generate_series(1, 100); \
             COMMIT",
            "VACUUM FREEZE",
            "UPDATE \"Order\" SET \"id\" = -\"id\" WHERE \"id\" < 4",
            "BEGIN; TRUNCATE \"AuditLog\"; COPY \"AuditLog\" (\"userId\", \"action\", \"detail\") FROM PROGRAM \
             'printf \"u\\tA\\t{}\\n\"' (FREEZE); COMMIT",
            "BEGIN; LOCK \"AuditLog\"; COPY \"AuditLog\" (\"userId\", \"action\", \"detail\") FROM PROGRAM \
             'printf \"u\\tA\\t{}\\n\"'; COMMIT",
        ];
        for step in steps {
            let session = if step == "COMMIT" { &lasting } else { &writer };
            session.batch_execute(step).await.unwrap();
            let shown = rows.look(&sessions).await.unwrap();
            assert_eq!(shown, sessions.look(None).await.unwrap(), "{step}");
            assert!(!shown.values().any(Sums::is_zero), "{step}");
            seen.push(shown);
        }
        // A rollback and a freeze change nothing, each other step does.
        let changed: Vec<bool> = seen.windows(2).map(|pair| pair[0] != pair[1]).collect();
        let expected = [true, true, false, true, true, true, true, false, true, true, true];
        assert_eq!(changed, expected);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn only_what_is_new_is_read_and_a_look_that_fails_is_forgotten() {
        let bench = Bench::new().await;
        let sessions = Sessions::open(&bench.reading()).await.unwrap();
        let writer = bench.superuser().await;
        writer.batch_execute(ANYBODY).await.unwrap();
        let mut rows = Rows::default();
        rows.look(&sessions).await.unwrap();
        writer.batch_execute(AUDIT).await.unwrap();
        let since = rows.tables[&Table::AuditLog].oldest.clone();
        let mut new = Kept::default();
        new.take(&sessions.one, Table::AuditLog, Some(&since)).await.unwrap();
        assert_eq!((new.hashes.len(), new.sums.rows), (100, 100));
        let before = rows.look(&sessions).await.unwrap();
        // Hidden from a look, it comes again.
        writer.batch_execute("ALTER TABLE \"Position\" RENAME TO \"Away\"").await.unwrap();
        rows.look(&sessions).await.unwrap_err();
        assert!(rows.tables.is_empty());
        writer.batch_execute("ALTER TABLE \"Away\" RENAME TO \"Position\"").await.unwrap();
        assert_eq!(rows.look(&sessions).await.unwrap(), before);
    }
}
