//! The statements of a transaction, and what they tell of what they did.

use futures_util::try_join;
use pgdrill_ledger::{Change, Sums, Table};
use tokio_postgres::types::{PgLsn, ToSql};
use tokio_postgres::{Client, Error, Row, Statement};

use crate::content::SEEDS;
use crate::workload::mix::{Amendment, Order, Strategy};

const PLACE: &str = include_str!("../sql/workload/place.sql");
const OPEN: &str = include_str!("../sql/workload/open.sql");
const AMEND: &str = include_str!("../sql/workload/amend.sql");

/// Where the WAL ends.
const WAL_END: &str = "SELECT pg_current_wal_insert_lsn()";

/// The statements, prepared in one session.
pub struct Statements {
    place: Statement,
    open: Statement,
    amend: Statement,
    /// Where the WAL ends.
    pub wal_end: Statement,
}

/// What a transaction has done so far.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Its changes, one for each table and group.
    pub changes: Vec<Change>,
    /// Its number.
    pub xid: u64,
    /// Where the WAL ended when the last statement was done.
    pub before: u64,
    /// Whether every order that there was to change was there, and every position.
    pub whole: bool,
}

impl Statements {
    /// Prepares them.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn prepare(client: &Client) -> Result<Self, Error> {
        let (place, open, amend, wal_end) = try_join!(
            client.prepare(PLACE),
            client.prepare(OPEN),
            client.prepare(AMEND),
            client.prepare(WAL_END)
        )?;
        Ok(Self { place, open, amend, wal_end })
    }

    /// Places orders of the transaction `seq`.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn place(
        &self,
        client: &Client,
        strategies: &[Strategy],
        seq: u64,
        orders: &[Order],
    ) -> Result<Done, Error> {
        placed(client, &self.place, strategies, seq, orders).await
    }

    /// Places the first orders of their positions.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn open(
        &self,
        client: &Client,
        strategies: &[Strategy],
        seq: u64,
        orders: &[Order],
    ) -> Result<Done, Error> {
        placed(client, &self.open, strategies, seq, orders).await
    }

    /// Changes open orders in the transaction `seq`.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn amend(&self, client: &Client, seq: u64, amendments: &[Amendment]) -> Result<Done, Error> {
        let column = |of: fn(&Amendment) -> &str| amendments.iter().map(of).collect::<Vec<&str>>();
        let filled: Vec<Option<String>> =
            amendments.iter().map(|one| one.filled.map(|filled| decimal(filled, 3))).collect();
        let price: Vec<String> = amendments.iter().map(|one| decimal(one.price, 2)).collect();
        let [first, second] = &SEEDS;
        let (id, status, detail) =
            (column(|one| &one.id), column(|one| one.status), column(|one| &one.detail));
        let parameters: [&(dyn ToSql + Sync); 7] = [&id, &status, &filled, &price, &detail, first, second];
        let rows = client.query(&self.amend, &parameters).await?;
        let mut done = Done::default();
        for row in &rows {
            let id: &str = row.try_get("id")?;
            if let Some(amendment) = amendments.iter().find(|one| one.id == id) {
                let sums = Sums { rows: 0, ..sums(row, "amended", 0)? };
                done.add(Change { table: Table::Order, group: Some(amendment.placed_by), sums });
            }
        }
        if let Some(row) = rows.first() {
            done.take(row, seq)?;
        }
        done.whole &= rows.len() == amendments.len();
        Ok(done)
    }
}

async fn placed(
    client: &Client,
    statement: &Statement,
    strategies: &[Strategy],
    seq: u64,
    orders: &[Order],
) -> Result<Done, Error> {
    let column = |of: &dyn Fn(&Order) -> String| orders.iter().map(of).collect::<Vec<String>>();
    let strategy = |of: fn(&Strategy) -> &str| {
        let of = |order: &Order| strategies.get(order.strategy).map_or("", of);
        orders.iter().map(of).collect::<Vec<&str>>()
    };
    let id: Vec<&str> = orders.iter().map(|order| order.id.as_str()).collect();
    let (owners, ids) = (strategy(|strategy| &strategy.owner), strategy(|strategy| &strategy.id));
    let symbols: Vec<&str> = orders.iter().map(|order| order.symbol).collect();
    let sides: Vec<&str> = orders.iter().map(|order| if order.buys { "BUY" } else { "SELL" }).collect();
    let quantities = column(&|order| decimal(order.quantity, 3));
    let filled: Vec<Option<&str>> = orders
        .iter()
        .zip(&quantities)
        .map(|(order, quantity)| order.filled.then_some(quantity.as_str()))
        .collect();
    let prices = column(&|order| decimal(order.price, 2));
    let details: Vec<&str> = orders.iter().map(|order| order.detail.as_str()).collect();
    let [first, second] = &SEEDS;
    let parameters: [&(dyn ToSql + Sync); 11] =
        [&id, &owners, &ids, &symbols, &sides, &quantities, &filled, &prices, &details, first, second];
    let row = client.query_one(statement, &parameters).await?;
    let mut done = Done::default();
    let rows: i64 = row.try_get("placed")?;
    done.add(Change { table: Table::Order, group: Some(seq), sums: sums(&row, "placed", rows)? });
    done.take(&row, seq)?;
    Ok(done)
}

impl Done {
    /// What both have done, one after the other.
    pub fn and(mut self, later: Self) -> Self {
        later.changes.into_iter().for_each(|change| self.add(change));
        Self { changes: self.changes, xid: later.xid, before: later.before, whole: self.whole && later.whole }
    }

    fn add(&mut self, change: Change) {
        let same = |one: &&mut Change| (one.table, one.group) == (change.table, change.group);
        match self.changes.iter_mut().find(same) {
            Some(one) => one.sums += change.sums,
            None => self.changes.push(change),
        }
    }

    /// What all statements tell alike.
    fn take(&mut self, row: &Row, seq: u64) -> Result<(), Error> {
        let audited: i64 = row.try_get("audited")?;
        let sums_of_audit = sums(row, "audited", audited)?;
        self.add(Change { table: Table::AuditLog, group: Some(seq), sums: sums_of_audit });
        let moved: i64 = row.try_get("moved")?;
        if moved > 0 {
            let opened = row.columns().iter().any(|column| column.name() == "opened");
            let sums = sums(row, "moved", if opened { moved } else { 0 })?;
            self.add(Change { table: Table::Position, group: None, sums });
        }
        self.whole = row.try_get("whole")?;
        self.xid = row.try_get::<_, &str>("xid")?.parse().unwrap_or(0);
        self.before = row.try_get::<_, PgLsn>("lsn")?.into();
        Ok(())
    }
}

/// The two sums of a table, of which the names begin alike.
fn sums(row: &Row, name: &str, rows: i64) -> Result<Sums, Error> {
    let sum = |which: &str| -> Result<i128, Error> {
        let text: Option<&str> = row.try_get(format!("{name}_{which}").as_str())?;
        // A sum of 64-bit numbers that the server wrote is one.
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    };
    Ok(Sums { rows, first: sum("first")?, second: sum("second")? })
}

/// A number of units of ten to the power of minus `scale`. The scale is written out, and shorter now and then: 1.5 and
/// 1.500 are different texts, and must both be kept.
fn decimal(units: u64, scale: u32) -> String {
    let one = 10_u64.pow(scale);
    let (whole, part) = (units / one, units % one);
    let digits = format!("{part:0width$}", width = scale as usize);
    let shorter = digits.trim_end_matches('0');
    let digits = if whole % 2 == 0 || shorter.is_empty() { &digits } else { shorter };
    format!("{whole}.{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_keeps_its_value_and_varies_its_scale() {
        let written = [(1_500, 3), (2_500, 3), (7, 2), (100, 2), (300_000, 3)]
            .map(|(units, scale)| decimal(units, scale));
        assert_eq!(written, ["1.5", "2.500", "0.07", "1.00", "300.000"]);
    }

    #[test]
    fn the_parts_of_a_transaction_add_up_by_table_and_group() {
        let change =
            |first| Change { table: Table::Position, group: None, sums: Sums { rows: 0, first, second: 1 } };
        let part = |first| Done { changes: vec![change(first)], whole: true, ..Done::default() };
        let both = part(2).and(part(3));
        assert_eq!(both.changes, [Change { sums: Sums { rows: 0, first: 5, second: 2 }, ..change(0) }]);
    }
}
