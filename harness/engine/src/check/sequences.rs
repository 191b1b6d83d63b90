//! `sequences`: none gives a value again.
//!
//! A sequence that feeds a column must be ahead of what is in it: the next INSERT would fail, or worse. None may be
//! behind where the primary's was. (WAL logs a sequence 32 values ahead, so after a recovery it may be further by that;
//! never behind.) One that was behind its column on the primary already is not the restore's fault.

use pgdrill_model::code::Code;

use super::{Outcome, finding};
use crate::sequences::{Fed, Sequence, Sequences};

pub(super) fn judge(expected: &Sequences, found: &Sequences) -> Outcome {
    let mut findings = Vec::new();
    let (mut columns, mut before) = (0_u64, 0_u64);
    let ordered: Vec<(&String, &Sequence)> = found.0.iter().filter(|(_, sequence)| !sequence.cycle).collect();
    for (name, now) in &ordered {
        let was = expected.0.get(*name);
        let same = |fed: &Fed| {
            let known =
                was?.feeds.iter().find(|other| other.table == fed.table && other.column == fed.column)?;
            Some(!was?.ahead_of(known))
        };
        let mut told = false;
        for fed in &now.feeds {
            columns += 1;
            if now.ahead_of(fed) {
                continue;
            }
            if same(fed) == Some(true) {
                before += 1;
                continue;
            }
            told = true;
            let furthest = fed.furthest.unwrap_or_default();
            let message = format!(
                "sequence {name} would give {} next, and column {} of table {} holds {furthest} already",
                now.next(),
                fed.column,
                fed.table
            );
            findings.push(
                finding(Code::SequenceBehind, message)
                    .about(*name)
                    .with("next", now.next())
                    .with("column", format!("{}.{}", fed.table, fed.column))
                    .with(if now.increment < 0 { "minimum" } else { "maximum" }, furthest),
            );
        }
        if let Some(was) = was
            && !told
            && now.behind(now.next(), was.next())
        {
            let message = format!(
                "sequence {name} would give {} next, and the primary's would have given {}",
                now.next(),
                was.next()
            );
            findings.push(
                finding(Code::SequenceBehind, message)
                    .about(*name)
                    .with("expected", was.next())
                    .with("found", now.next()),
            );
        }
    }
    let mut summary = format!("{} sequences, {columns} columns that they feed", ordered.len());
    if before > 0 {
        summary.push_str(&format!(", {before} of which had more on the primary already"));
    }
    Outcome::of(ordered.len() as u64, summary, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(last: i64, called: bool, increment: i64, cycle: bool, furthest: Option<i128>) -> Sequences {
        let fed = Fed { table: "d.s.t".to_owned(), column: "c".to_owned(), furthest };
        let sequence = Sequence { last, called, increment, cycle, feeds: vec![fed] };
        Sequences([("d.s.q".to_owned(), sequence)].into())
    }

    fn words(expected: &Sequences, found: &Sequences) -> Vec<String> {
        judge(expected, found).found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn behind_its_column_or_behind_the_primary_is_told_and_32_ahead_is_not() {
        let before = one(100, true, 1, false, Some(100));
        assert_eq!(words(&before, &one(100, true, 1, false, Some(100))), [""; 0]);
        assert_eq!(words(&before, &one(132, true, 1, false, Some(100))), [""; 0]);
        assert_eq!(
            words(&before, &one(77, true, 1, false, Some(100))),
            ["sequence d.s.q would give 78 next, and column c of table d.s.t holds 100 already"]
        );
        assert_eq!(
            words(&before, &one(99, true, 1, false, Some(50))),
            ["sequence d.s.q would give 100 next, and the primary's would have given 101"]
        );
        assert_eq!(words(&one(-5, true, -1, false, None), &one(-4, true, -1, false, None)).len(), 1);
        assert_eq!(words(&one(-5, true, -1, false, None), &one(-6, true, -1, false, None)).len(), 0);
    }

    #[test]
    fn what_was_so_on_the_primary_is_mentioned_and_a_cycle_has_no_order() {
        let behind = one(5, true, 1, false, Some(100));
        let outcome = judge(&behind, &behind);
        assert!(outcome.found.is_empty() && outcome.summary.contains("1 of which"), "{outcome:?}");
        let cycle = one(5, true, 1, true, Some(100));
        assert_eq!(judge(&cycle, &cycle).examined, 0);
    }
}
