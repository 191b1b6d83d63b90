//! What a set of transactions does to a table, as sums: so the content that is expected for any set of them is a base
//! and a sum.
//!
//! A table's fingerprint is the two exact sums, over all rows, of `hashtextextended(row::text COLLATE "C", seed)`
//! (`src/backend/access/hash/hashfunc.c`), as the engine measures it. Each hash has 64 bits, so a sum of them needs
//! more, and is kept in 128.

use std::fmt;
use std::ops::{AddAssign, SubAssign};

/// A table that the writers of a workload change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `"Order"`: each row belongs to the transaction that made it, also when another one changes it later.
    Order,
    /// `"Position"`: rows are shared between writers, and belong to nobody.
    Position,
    /// `"AuditLog"`: each row belongs to the transaction that appended it, and is never changed.
    AuditLog,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Order, Self::Position, Self::AuditLog];

    /// Its name, without quotes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "Order",
            Self::Position => "Position",
            Self::AuditLog => "AuditLog",
        }
    }

    /// Its number in the file.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Order => 0,
            Self::Position => 1,
            Self::AuditLog => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }
}

/// A number of rows and the sums of their two hashes; of a change, what was added less what was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Rows.
    pub rows: i64,
    /// Sum of the hashes with the first seed.
    pub first: i128,
    /// Sum of the hashes with the second seed.
    pub second: i128,
}

impl Sums {
    /// One row with its two hashes.
    pub fn row(first: i64, second: i64) -> Self {
        Self { rows: 1, first: first.into(), second: second.into() }
    }

    /// The content of a table, from its number of rows and its fingerprint as [`Sums::fingerprint`] writes it. `None`
    /// for anything else.
    pub fn of_table(rows: u64, fingerprint: &str) -> Option<Self> {
        let rows = i64::try_from(rows).ok()?;
        if fingerprint.is_empty() && rows == 0 {
            return Some(Self::default());
        }
        let (first, second) = fingerprint.split_once(':')?;
        Some(Self { rows, first: first.parse().ok()?, second: second.parse().ok()? })
    }

    /// The fingerprint as text: both sums with a colon between them, nothing for no rows.
    pub fn fingerprint(&self) -> String {
        if self.rows == 0 && self.first == 0 && self.second == 0 {
            return String::new();
        }
        format!("{}:{}", self.first, self.second)
    }

    /// Whether nothing is left.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

// Sums of 64-bit hashes of fewer than 2^63 rows cannot leave 128 bits; what a file claims can, and then must not end
// the program. It will not equal what is measured.
impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.first = self.first.wrapping_add(other.first);
        self.second = self.second.wrapping_add(other.second);
    }
}

impl SubAssign for Sums {
    fn sub_assign(&mut self, other: Self) {
        self.rows = self.rows.wrapping_sub(other.rows);
        self.first = self.first.wrapping_sub(other.first);
        self.second = self.second.wrapping_sub(other.second);
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {}:{}", self.rows, self.first, self.second)
    }
}

/// What a transaction did to the rows of one table that belong to one transaction, or to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The sequence number, with the same writer, of the transaction that made the rows: its own, or an earlier one.
    /// None for rows that are shared between writers; their changes are a new hash less an old one, so that over many
    /// transactions all but the last and the first cancel out.
    pub group: Option<u64>,
    /// What was added, less what was taken away.
    pub sums: Sums,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let mut sums = Sums::row(i64::MIN, i64::MAX);
        sums += Sums::row(i64::MIN, i64::MAX);
        assert_eq!(sums.fingerprint(), "-18446744073709551616:18446744073709551614");
        assert_eq!(Sums::of_table(2, &sums.fingerprint()), Some(sums));
        assert_eq!(Sums::of_table(0, ""), Some(Sums::default()));
        assert_eq!(Sums::of_table(1, ""), None);
        sums -= sums;
        assert_eq!((sums.is_zero(), sums.fingerprint().as_str()), (true, ""));
    }
}
