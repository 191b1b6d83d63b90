//! Where the sequences of a server are, and the greatest values in the columns that they feed.

use std::collections::BTreeMap;
use std::fmt::Write;

use tokio_postgres::{Client, Error};

use crate::connections::Connections;
use crate::content::databases;
use crate::session::{Door, SUPERUSER, Socket};

const SEQUENCES: &str = include_str!("sql/sequences.sql");
const FED_COLUMNS: &str = include_str!("sql/fed_columns.sql");

/// Sequences, or columns, that one statement asks for.
const IN_ONE_STATEMENT: usize = 100;

/// The sequences of a server, as `database.schema.sequence`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequences(pub BTreeMap<String, Sequence>);

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its `last_value`.
    pub last: i64,
    /// Whether that was given already; if not, it is the next to be given.
    pub called: bool,
    /// By how much it goes on; below nothing it counts down.
    pub increment: i64,
    /// Whether it begins anew at its end: then its order says nothing.
    pub cycle: bool,
    /// The columns that it feeds.
    pub feeds: Vec<Fed>,
}

/// A column that a sequence feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// The table as `database.schema.table`.
    pub table: String,
    /// The column.
    pub column: String,
    /// The value there that is furthest in the sequence's direction; none in an empty table.
    pub furthest: Option<i128>,
}

impl Sequence {
    /// The value that it would give next.
    pub fn next(&self) -> i128 {
        i128::from(self.last) + if self.called { i128::from(self.increment) } else { 0 }
    }

    /// Whether `value` lies behind `other` in its direction.
    pub fn behind(&self, value: i128, other: i128) -> bool {
        if self.increment < 0 { value > other } else { value < other }
    }

    /// Whether what it gives next is beyond everything in the column.
    pub fn ahead_of(&self, fed: &Fed) -> bool {
        fed.furthest.is_none_or(|furthest| self.behind(furthest, self.next()))
    }
}

/// Reads the sequences of the server behind `socket`. Sequences are outside of transactions: nothing else may draw
/// from them meanwhile.
///
/// # Errors
///
/// A server that cannot be asked, or a table that it cannot read.
pub async fn read(socket: &Socket, connections: &Connections) -> Result<Sequences, Error> {
    let session = connections.open(&Door::reading(socket, SUPERUSER)).await?;
    let names = databases(&session).await?;
    drop(session);
    let mut sequences = Sequences::default();
    for name in names {
        let session = connections.open(&Door::reading(socket, &name)).await?;
        sequences.0.extend(read_database(&session, &name).await?);
    }
    Ok(sequences)
}

/// Where the sequences of the database of a connection are, by `schema.sequence`, without the columns that they feed.
///
/// # Errors
///
/// What the server answered.
pub async fn values(client: &Client) -> Result<BTreeMap<String, Sequence>, Error> {
    let rows = client.query(SEQUENCES, &[]).await?;
    let mut found = BTreeMap::new();
    for (first, batch) in batches(&rows) {
        let each = batch.iter().zip(first..).map(|(row, number)| {
            let quoted: String = row.get("quoted");
            format!("SELECT {number}, last_value, is_called FROM {quoted}")
        });
        for value in client.query(&union(each), &[]).await? {
            let number = value.get::<_, i32>(0).unsigned_abs() as usize;
            let Some(row) = rows.get(number) else { continue };
            let sequence = Sequence {
                last: value.get(1),
                called: value.get(2),
                increment: row.get("increment"),
                cycle: row.get("cycle"),
                feeds: Vec::new(),
            };
            found.insert(row.get("name"), sequence);
        }
    }
    Ok(found)
}

async fn read_database(session: &Client, database: &str) -> Result<BTreeMap<String, Sequence>, Error> {
    let values = values(session).await?.into_iter();
    let mut found: BTreeMap<String, Sequence> =
        values.map(|(name, sequence)| (format!("{database}.{name}"), sequence)).collect();
    let columns = session.query(FED_COLUMNS, &[]).await?;
    for (first, batch) in batches(&columns) {
        let sequence_of =
            |row: &tokio_postgres::Row| format!("{database}.{}", row.get::<_, String>("sequence"));
        let each = batch.iter().zip(first..).map(|(row, number)| {
            let (table, column): (String, String) = (row.get("quoted_table"), row.get("quoted_column"));
            let down = found.get(&sequence_of(row)).is_some_and(|sequence| sequence.increment < 0);
            let furthest =
                if down { format!("ceil(min({column}))") } else { format!("floor(max({column}))") };
            format!("SELECT {number}, (SELECT {furthest}::numeric::text FROM {table})")
        });
        for value in session.query(&union(each), &[]).await? {
            let number = value.get::<_, i32>(0).unsigned_abs() as usize;
            let Some(row) = columns.get(number) else { continue };
            let Some(sequence) = found.get_mut(&sequence_of(row)) else { continue };
            let furthest: Option<String> = value.get(1);
            sequence.feeds.push(Fed {
                table: format!("{database}.{}", row.get::<_, String>("table")),
                column: row.get("column"),
                // What is no whole number of this size (NaN, infinity) is none that a sequence gives.
                furthest: furthest.and_then(|text| text.parse().ok()),
            });
        }
    }
    Ok(found)
}

/// Batches of rows with the number of their first.
fn batches<T>(rows: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    rows.chunks(IN_ONE_STATEMENT).enumerate().map(|(batch, rows)| (batch * IN_ONE_STATEMENT, rows))
}

fn union(each: impl Iterator<Item = String>) -> String {
    let mut statement = String::new();
    for (number, one) in each.enumerate() {
        let _ = write!(statement, "{}{one}", if number == 0 { "" } else { " UNION ALL " });
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ahead_is_a_matter_of_direction_and_of_what_was_given() {
        let sequence =
            |last, called, increment| Sequence { last, called, increment, cycle: false, feeds: Vec::new() };
        let fed = |furthest| Fed { table: String::new(), column: String::new(), furthest };
        assert!(sequence(10, true, 1).ahead_of(&fed(Some(10))));
        assert!(!sequence(10, false, 1).ahead_of(&fed(Some(10))));
        assert!(sequence(10, false, 1).ahead_of(&fed(Some(9))));
        assert!(!sequence(9, true, 1).ahead_of(&fed(Some(10))));
        assert!(sequence(-10, true, -1).ahead_of(&fed(Some(-10))));
        assert!(!sequence(-9, true, -1).ahead_of(&fed(Some(-10))));
        assert!(sequence(1, false, 1).ahead_of(&fed(None)));
        assert_eq!(sequence(i64::MAX, true, 1).next(), i128::from(i64::MAX) + 1);
    }
}
