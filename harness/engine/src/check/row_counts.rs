//! `row-counts`: the number of rows of every table.

use pgdrill_model::code::Code;
use pgdrill_model::units::show_count;

use super::{Outcome, finding, missing_and_unexpected};
use crate::content::Content;

pub(super) fn compare(expected: &Content, found: &Content) -> Outcome {
    let mut findings = missing_and_unexpected(expected, found);
    let (mut tables, mut rows) = (0, 0);
    for (table, was, now) in expected.in_both(found) {
        tables += 1;
        rows += now.rows;
        if was.rows != now.rows {
            let difference = i128::from(now.rows) - i128::from(was.rows);
            let message = format!(
                "table {table} has {} rows, and had {} before ({difference:+})",
                show_count(now.rows),
                show_count(was.rows)
            );
            let mismatch = finding(Code::RowCountMismatch, message).about(table);
            findings.push(mismatch.with("expected", was.rows).with("found", now.rows));
        }
    }
    Outcome::of(tables, format!("{} rows in {tables} tables", show_count(rows)), findings)
}
