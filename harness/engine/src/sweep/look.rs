//! Looks at what a server holds in the tables that writers change, through two sessions side by side.

use std::collections::BTreeMap;

use futures_util::{join, try_join};
use pgdrill_ledger::{Sums, Table};
use tokio_postgres::Error;

use crate::content;
use crate::session::{Door, Session};

/// What is held, by table.
pub type Held = BTreeMap<Table, Sums>;

/// Two sessions on one server.
pub struct Sessions {
    pub(super) one: Session,
    other: Session,
}

impl Sessions {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// What the server, or the socket, answered.
    pub async fn open(door: &Door) -> Result<Self, Error> {
        let (one, other) = try_join!(door.open(), door.open())?;
        Ok(Self { one, other })
    }

    /// Reads each table, all under one snapshot. The sessions keep no transaction open.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn read<T>(
        &self,
        read: impl AsyncFn(&Session, Table) -> Result<T, Error>,
    ) -> Result<BTreeMap<Table, T>, Error> {
        let Self { one, other } = self;
        let tables = async {
            one.begin_reading(None).await?;
            let snapshot = one.export_snapshot().await?;
            other.begin_reading(Some(&snapshot)).await?;
            // The two large ones side by side.
            let (audits, (orders, positions)) = try_join!(read(one, Table::AuditLog), async {
                Ok((read(other, Table::Order).await?, read(other, Table::Position).await?))
            })?;
            Ok([(Table::Order, orders), (Table::Position, positions), (Table::AuditLog, audits)].into())
        }
        .await;
        // After an error it is a rollback, and the next look begins anew.
        let (ended, too) = join!(one.batch_execute("COMMIT"), other.batch_execute("COMMIT"));
        let tables = tables?;
        ended.and(too).map(|()| tables)
    }

    /// Reads all tables in full, and lets the server add them up; without the rows that a transaction wrote, where one is
    /// named.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn look(&self, without_xid: Option<&str>) -> Result<Held, Error> {
        self.read(async |session, table| {
            let quoted = format!("public.\"{}\"", table.name());
            let held = content::fingerprint(session, &quoted, without_xid).await?;
            Ok(Sums::of_table(held.rows, &held.fingerprint).unwrap_or_default())
        })
        .await
    }
}
