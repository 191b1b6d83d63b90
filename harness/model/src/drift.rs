//! How many rows each table holds now, against the last proven drill of the same source: production grows and shrinks, but seldom
//! by a half from one night to the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::CountsEvidence;
use crate::run::Run;
use crate::verdict::Verdict;

/// Below so many rows, before and now, a table is only looked at for whether it holds any: a share of so few means nothing.
pub const FEW: u64 = 100;

/// The counts that a drill is held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Before {
    /// The run that counted.
    pub run: String,
    /// When it began, microseconds since 1970 UTC.
    pub unix_us: i64,
    /// Rows by `database.schema.table`.
    pub rows: BTreeMap<String, u64>,
}

/// What a drill is told of drift before it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Drift {
    /// The last proven drill of the source; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// By how many percent of what it held a table may differ; none where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_percent: Option<u64>,
}

/// A table that holds another number of rows than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The table, as `database.schema.table`.
    pub table: &'a str,
    /// The rows before.
    pub before: u64,
    /// The rows now; none where the table is not there.
    pub now: Option<u64>,
}

impl Before {
    /// What a run has for later ones of `source`; none where it is of another, or was not proven: an expected failure is no
    /// state that anything should be like.
    pub fn of(run: &Run, source: &str) -> Option<Self> {
        let proven = run.verdict == Verdict::Proven && run.observed == Verdict::Proven;
        let same = run.source.as_ref().is_some_and(|found| found.name == source);
        let counts = run.counts.as_ref().filter(|_| proven && same)?;
        let unix_us = run.started_unix_us;
        Some(Self { run: run.header.id.clone(), unix_us, rows: counts.rows.clone() })
    }

    /// The tables that hold another number of rows now, those that changed most, by their share, first. A table that is new is
    /// none of them, nor is one of which nobody knows.
    pub fn changes<'a>(&'a self, now: &CountsEvidence) -> Vec<Change<'a>> {
        let mut changes: Vec<Change<'a>> = self
            .rows
            .iter()
            .map(|(table, before)| Change { table, before: *before, now: now.rows.get(table).copied() })
            .filter(|change| change.now != Some(change.before) && !now.unread.contains(change.table))
            .collect();
        changes.sort_by(|one, other| {
            other.permille().cmp(&one.permille()).then_with(|| one.table.cmp(other.table))
        });
        changes
    }
}

impl Change<'_> {
    /// The difference in thousandths of what was there before; of a table that was empty, of one row.
    pub fn permille(&self) -> u128 {
        u128::from(self.before.abs_diff(self.now.unwrap_or(0))) * 1_000 / u128::from(self.before.max(1))
    }

    /// Whether it held rows, and holds none or is not there.
    pub fn vanished(&self) -> bool {
        self.before > 0 && self.now.unwrap_or(0) == 0 || self.now.is_none()
    }

    /// Whether it differs by more than so many percent of what it held.
    pub fn is_beyond(&self, percent: u64) -> bool {
        let few = self.before < FEW && self.now.unwrap_or(0) < FEW;
        self.vanished() || (!few && self.permille() > u128::from(percent) * 10)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_much_as_is_allowed(1_000, Some(1_200), false)]
    #[case::more(1_000, Some(1_201), true)]
    #[case::less(1_000, Some(799), true)]
    #[case::few_rows(3, Some(9), false)]
    #[case::few_that_became_many(3, Some(100), true)]
    #[case::none_left(3, Some(0), true)]
    #[case::not_there(1_000, None, true)]
    #[case::an_empty_one_that_is_not_there(0, None, true)]
    #[case::an_empty_one_that_is_filled(0, Some(5), false)]
    #[case::an_empty_one_with_many(0, Some(5_000), true)]
    fn a_table_may_change_by_its_share(#[case] before: u64, #[case] now: Option<u64>, #[case] beyond: bool) {
        assert_eq!(Change { table: "t", before, now }.is_beyond(20), beyond);
    }

    #[test]
    fn what_changed_most_by_its_share_comes_first_and_new_tables_are_no_change() {
        let rows =
            |rows: &[(&str, u64)]| rows.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        let before = Before {
            run: "r".to_owned(),
            unix_us: 0,
            rows: rows(&[("big", 10_000), ("gone", 5), ("same", 7), ("small", 100), ("torn", 9)]),
        };
        let now = CountsEvidence {
            server: "restored".to_owned(),
            rows: rows(&[("big", 10_100), ("new", 4), ("same", 7), ("small", 150)]),
            unread: ["torn".to_owned()].into(),
        };
        let tables: Vec<&str> = before.changes(&now).iter().map(|change| change.table).collect();
        assert_eq!(tables, ["gone", "small", "big"]);
    }
}
