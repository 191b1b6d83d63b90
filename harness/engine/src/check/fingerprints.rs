//! `fingerprints`: the content of every table. How a fingerprint is computed, and what it does not see, is told
//! where it is measured: `content`.

use pgdrill_model::code::Code;
use pgdrill_model::units::show_count;

use super::{Outcome, finding, missing_and_unexpected};
use crate::content::Content;

pub(super) fn compare(expected: &Content, found: &Content) -> Outcome {
    let mut findings = missing_and_unexpected(expected, found);
    let (mut tables, mut rows) = (0_u64, 0);
    for (table, was, now) in expected.in_both(found) {
        tables += 1;
        rows += now.rows;
        if was.fingerprint != now.fingerprint {
            let message = format!("the content of table {table} is not what it was before");
            let mismatch = finding(Code::FingerprintMismatch, message).about(table);
            findings.push(mismatch.with("expected", &was.fingerprint).with("found", &now.fingerprint));
        }
    }
    Outcome::of(rows, format!("{} rows in {tables} tables", show_count(rows)), findings)
}
