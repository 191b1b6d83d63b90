//! Reading a database back: which transactions left rows in it, and what the rows of each are.

use std::pin::pin;

use bytes::Bytes;
use futures_util::TryStreamExt;
use pgdrill_ledger::expected::{Groups, Window};
use pgdrill_ledger::{Found, Sums, Table};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use crate::content::SEEDS;
use crate::data::DATABASE;
use crate::session::{Door, Socket};
use crate::workload::identity::Tag;

const FOUND: &str = include_str!("../sql/workload/found.sql");
const GROUPS_ORDER: &str = include_str!("../sql/workload/groups_order.sql");
const GROUPS_AUDIT: &str = include_str!("../sql/workload/groups_audit.sql");

/// The transactions of a run that are in the database behind `socket`, by the rows that they left in `"AuditLog"`. The
/// rows are streamed: what is kept is two bytes for each transaction.
///
/// # Errors
///
/// What the server answered.
pub async fn find(socket: &Socket, tag: Tag) -> Result<Found, Error> {
    let session = Door::reading(socket, DATABASE).open().await?;
    let query = FOUND.replace("RUN'", &format!("{}'", tag.text()));
    let mut chunks = pin!(session.copy_out(query.as_str()).await?);
    let mut found = Found::new();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        take_lines(&chunk, &mut rest, &mut found);
    }
    Ok(found)
}

/// Takes the whole lines of a chunk; what is left of the last one waits in `rest` for the next.
fn take_lines(chunk: &Bytes, rest: &mut Vec<u8>, found: &mut Found) {
    for part in chunk.split_inclusive(|byte| *byte == b'\n') {
        rest.extend_from_slice(part);
        if rest.ends_with(b"\n") {
            rest.pop();
            match identity(rest) {
                Some((writer, seq)) => found.add(writer, seq, 1),
                None => found.unreadable += 1,
            }
            rest.clear();
        }
    }
}

/// Writer and sequence number of a line.
fn identity(line: &[u8]) -> Option<(u16, u64)> {
    let (writer, seq) = str::from_utf8(line).ok()?.split_once('\t')?;
    Some((writer.parse().ok()?, seq.parse().ok()?))
}

/// The rows of a table by the transactions that made them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Those of the run's transactions within the window.
    pub groups: Groups,
    /// Those that are nobody's: what was there before. Only where the window names no writer.
    pub others: Sums,
}

/// Measures the rows of a table by the transactions that made them, as the ledger expects them.
/// [`differences`](pgdrill_ledger::expected::differences) names those that are not what they must be. Rows of
/// `"Position"` belong to nobody, and are not measured.
///
/// # Errors
///
/// What the server answered.
pub async fn measure_groups(
    socket: &Socket,
    tag: Tag,
    table: Table,
    window: &Window,
) -> Result<Measured, Error> {
    let query = match table {
        Table::Order => GROUPS_ORDER,
        Table::AuditLog => GROUPS_AUDIT,
        Table::Position => return Ok(Measured::default()),
    };
    let session = Door::reading(socket, DATABASE).open().await?;
    let bound = |bound: u64| i64::try_from(bound).unwrap_or(i64::MAX);
    let (tag, writer) = (tag.text(), window.writer.map(i32::from));
    let (from, below, width) = (bound(window.seqs.start), bound(window.seqs.end), bound(window.width.max(1)));
    let [first, second] = &SEEDS;
    let parameters: [&(dyn ToSql + Sync); 7] = [&tag, &writer, &from, &below, &width, first, second];
    let mut rows = pin!(session.query_raw(query, parameters).await?);
    let mut measured = Measured::default();
    while let Some(row) = rows.try_next().await? {
        let sum = |name: &str| -> Result<i128, Error> {
            Ok(row.try_get::<_, &str>(name)?.parse().unwrap_or_default())
        };
        let sums = Sums { rows: row.try_get("rows")?, first: sum("first")?, second: sum("second")? };
        let writer: Option<i32> = row.try_get("writer")?;
        let seq: Option<i64> = row.try_get("seq")?;
        match writer.zip(seq).map(|(writer, seq)| (u16::try_from(writer), seq.unsigned_abs())) {
            Some((Ok(writer), seq)) => *measured.groups.entry((writer, seq)).or_default() += sums,
            _ => measured.others += sums,
        }
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_wherever_the_chunks_are_cut() {
        let text = b"1\t2\n1\t2\n65535\t4611686018427387903\n\\N\t3\n65536\t1\n3\t7\n";
        for cut in 0..text.len() {
            let (mut found, mut rest) = (Found::new(), Vec::new());
            for part in [&text[..cut], &text[cut..]] {
                take_lines(&Bytes::copy_from_slice(part), &mut rest, &mut found);
            }
            assert_eq!((found.rows(1, 2), found.rows(3, 7), found.unreadable), (2, 1, 2), "cut at {cut}");
            assert_eq!(found.rows(65_535, (1 << 62) - 1), 1);
        }
    }

    #[test]
    fn the_tag_stands_where_the_query_has_its_place() {
        assert_eq!(FOUND.matches("RUN'").count(), 1);
    }
}
