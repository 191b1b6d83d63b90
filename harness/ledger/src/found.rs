//! The transactions that were found in a database, by the rows that they left in `"AuditLog"`.

use std::collections::BTreeMap;

/// How far beyond those that are there a sequence number may lie and still be kept in the row: what a damaged row says
/// must not take all memory.
const NEAR: u64 = 1 << 16;

/// Rows of `"AuditLog"` by writer and sequence number. Rows come in any order. Two bytes per transaction.
#[derive(Clone, Debug, Default)]
pub struct Found {
    near: BTreeMap<u16, Vec<u16>>,
    far: BTreeMap<(u16, u64), u16>,
    /// Rows that claim to be of this run and name no writer and no sequence number that could be.
    pub unreadable: u64,
}

impl Found {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of so many rows of a transaction.
    pub fn add(&mut self, writer: u16, seq: u64, rows: u16) {
        let near = self.near.entry(writer).or_default();
        let length = near.len() as u64;
        if seq >= length && seq < length.saturating_mul(2).saturating_add(NEAR) {
            near.resize(seq as usize + 1, 0);
        }
        let slot = match near.get_mut(usize::try_from(seq).unwrap_or(usize::MAX)) {
            Some(slot) => slot,
            None => self.far.entry((writer, seq)).or_default(),
        };
        *slot = slot.saturating_add(rows);
    }

    /// Rows of a transaction; zero if it is not there.
    pub fn rows(&self, writer: u16, seq: u64) -> u16 {
        let near = self.near.get(&writer).and_then(|near| near.get(usize::try_from(seq).ok()?)).copied();
        // One that came too early for the row is beside it.
        near.unwrap_or(0).saturating_add(if self.far.is_empty() {
            0
        } else {
            self.far.get(&(writer, seq)).copied().unwrap_or(0)
        })
    }

    /// Every transaction that is there: writer, sequence number and rows. In no particular order; one that is far from
    /// the others can come twice, each time with a part of its rows.
    pub fn all(&self) -> impl Iterator<Item = (u16, u64, u16)> {
        let near = self.near.iter().flat_map(|(writer, rows)| {
            rows.iter().enumerate().map(move |(seq, rows)| (*writer, seq as u64, *rows))
        });
        let far = self.far.iter().map(|((writer, seq), rows)| (*writer, *seq, *rows));
        near.chain(far).filter(|(_, _, rows)| *rows > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_in_any_order_near_and_far() {
        let mut found = Found::new();
        for seq in [1, 90_000, 3, u64::MAX, 2, 50_000, 90_000, 1] {
            found.add(7, seq, 1);
        }
        assert_eq!(
            [1, 2, 3, 4, 50_000, 90_000, u64::MAX].map(|seq| found.rows(7, seq)),
            [2, 1, 1, 0, 1, 2, 1]
        );
        assert_eq!(found.rows(8, 1), 0);
        assert_eq!(found.all().map(|(_, _, rows)| u64::from(rows)).sum::<u64>(), 8);
    }

    #[test]
    fn a_number_from_a_damaged_row_takes_no_memory() {
        let mut found = Found::new();
        found.add(1, u64::MAX / 2, 1);
        assert!(found.near.values().all(|near| near.capacity() < 1_000));
    }
}
