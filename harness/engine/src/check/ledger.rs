//! `ledger`: every transaction that the server acknowledged to the drill's writers, and that recovery had to bring back,
//! is there, whole and unchanged, and no other is.

use std::sync::Arc;

use pgdrill_ledger::expected::{Window, differences};
use pgdrill_ledger::judge::{Disagreement, Judgement};
use pgdrill_ledger::{Sums, Table};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::TallyEvidence;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::units::{show_bytes, show_count, show_duration};

use super::{Bench, Outcome, finding};
use crate::books::{Books, name};
use crate::content::Content;
use crate::data::DATABASE;
use crate::drill::on_a_thread;
use crate::workload::{Tag, measure_groups};

/// Sequence numbers that are added up to one group at first: with many transactions nobody looks at each at once.
const RUN: u64 = 4096;

/// Transactions that are named one by one.
const NAMED: usize = 5;

/// Runs that are looked into.
const LOOKED_INTO: usize = 3;

/// Judges by the books, and by the content that was measured beside them.
pub(super) async fn judge(
    bench: &Bench<'_>,
    books: &Arc<Books>,
    content: &Content,
    expected: Option<&Content>,
) -> Result<Outcome, Unable> {
    let mut findings = of_judgement(&books.judgement, &books.tally, bench.rpo.is_some());
    for table in [Table::Order, Table::Position, Table::AuditLog] {
        let held = |content: &Content| {
            let held = content.databases.get(DATABASE)?.tables.get(&format!("public.{}", table.name()))?;
            held.as_ref().ok().cloned()
        };
        let (Some(was), Some(now)) = (expected.and_then(held), held(content)) else { continue };
        if was != now {
            findings.extend(of_table(bench, books, bench.tag, table).await?);
        }
    }
    let tally = &books.tally;
    let examined = tally.required + tally.after_target + tally.indeterminate + tally.rolled_back;
    let mut summary = format!(
        "{} of {} acknowledged transactions are there",
        show_count(tally.recovered),
        show_count(tally.required)
    );
    for (count, what) in [
        (tally.after_target, "after the recovery point"),
        (tally.indeterminate, "indeterminate"),
        (tally.rolled_back, "rolled back"),
    ] {
        if count > 0 {
            summary.push_str(&format!(", {} {what}", show_count(count)));
        }
    }
    Ok(Outcome::of(examined, summary, findings))
}

/// What the three witnesses say: the ledger, the WAL and the database.
fn of_judgement(judgement: &Judgement, tally: &TallyEvidence, may_lose: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if judgement.lost.count > 0 && !may_lose {
        let first = judgement.lost.first.as_ref().map(name).unwrap_or_default();
        let loss = &tally.loss;
        let message = format!(
            "{} acknowledged transactions with {} rows are lost, of {} ({}, {} of WAL); the first is {first}",
            show_count(loss.transactions),
            show_count(loss.rows),
            show_count(tally.required),
            show_duration(std::time::Duration::from_micros(loss.time_us)),
            show_bytes(loss.wal_bytes),
        );
        findings.push(
            finding(Code::TransactionsLost, message)
                .with("transactions", loss.transactions)
                .with("rows", loss.rows)
                .with("time_us", loss.time_us)
                .with("wal_bytes", loss.wal_bytes),
        );
    }
    if judgement.unexpected.count > 0 {
        let first = judgement.unexpected.first.as_ref().map(name).unwrap_or_default();
        let unknown = match judgement.unknown {
            0 => String::new(),
            unknown => format!(", {} of which nobody made", show_count(unknown)),
        };
        let message = format!(
            "{} transactions are there that must not be{unknown}; the first is {first}",
            show_count(judgement.unexpected.count)
        );
        findings.push(
            finding(Code::TransactionsUnexpected, message).with("transactions", judgement.unexpected.count),
        );
    }
    for gap in judgement.gaps.iter().filter(|_| !may_lose || judgement.lost.count == 0).take(NAMED) {
        let message = format!(
            "transaction {} of writer {} is there, and transaction {}, which was acknowledged before it, is not",
            gap.present, gap.writer, gap.absent
        );
        findings.push(finding(Code::TransactionsLost, message));
    }
    findings.extend(disagreements(judgement));
    findings
}

/// Where the three contradict each other.
fn disagreements(judgement: &Judgement) -> Vec<Finding> {
    let what = |kind: Disagreement| match kind {
        Disagreement::AcknowledgedWithoutRecord => {
            Some((Code::LedgerDisagrees, "was acknowledged, and the WAL has no commit record of it"))
        }
        Disagreement::RecordOutsideBracket => {
            Some((Code::LedgerDisagrees, "has its commit record where the ledger says that it cannot be"))
        }
        Disagreement::RecordOfNotCommitted => {
            Some((Code::LedgerDisagrees, "was rolled back or refused, and the WAL has a commit record of it"))
        }
        Disagreement::Torn => Some((
            Code::LedgerMismatch,
            "is there in part: it has not as many rows in \"AuditLog\" as it wrote",
        )),
        Disagreement::PresentWithoutRecord => Some((
            Code::TransactionsUnexpected,
            "is there, and the WAL that was replayed has no commit record of it",
        )),
        // It is among those that are lost.
        Disagreement::RecordButAbsent => None,
    };
    let mut findings = Vec::new();
    for kind in Disagreement::ALL {
        let (Some((code, words)), count @ 1..) = (what(kind), judgement.disagreements.of(kind)) else {
            continue;
        };
        let first = judgement.disagreements.kept.iter().find(|(of, _)| *of == kind);
        let first = first.map(|(_, witness)| name(witness)).unwrap_or_default();
        let others =
            if count > 1 { format!(" (and {} others)", show_count(count - 1)) } else { String::new() };
        findings.push(finding(code, format!("{first} {words}{others}")).with("transactions", count));
    }
    findings
}

/// Names the transactions whose rows in a table are not what they must be.
async fn of_table(
    bench: &Bench<'_>,
    books: &Arc<Books>,
    tag: Tag,
    table: Table,
) -> Result<Vec<Finding>, Unable> {
    let about = |message: String| {
        finding(Code::LedgerMismatch, message).about(format!("{DATABASE}.public.{}", table.name()))
    };
    let mut named = Vec::new();
    let coarse = Window::all(RUN);
    for run in differing(bench, books, tag, table, &coarse).await?.into_keys().take(LOOKED_INTO) {
        for ((writer, seq), (was, now)) in differing(bench, books, tag, table, &coarse.into_run(run)).await? {
            let rows = match now.rows - was.rows {
                0 => "another content".to_owned(),
                more @ 1.. => format!("{more} rows more"),
                fewer => format!("{} rows fewer", -fewer),
            };
            named.push(about(format!(
                "the rows of transaction {seq} of writer {writer} in \"{}\" are not what the server acknowledged: {rows}",
                table.name()
            )));
        }
    }
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    if more > 0 {
        named.push(about(format!("{more} more transactions have other rows in \"{}\"", table.name())));
    }
    if named.is_empty() {
        let whose = match table {
            Table::Position => "its rows are shared by all transactions",
            _ => "the difference is in rows that no writer made",
        };
        named.push(about(format!(
            "\"{}\" is not what the acknowledged transactions made of it; {whose}",
            table.name()
        )));
    }
    Ok(named)
}

type Differences = std::collections::BTreeMap<(u16, u64), (Sums, Sums)>;

async fn differing(
    bench: &Bench<'_>,
    books: &Arc<Books>,
    tag: Tag,
    table: Table,
    window: &Window,
) -> Result<Differences, Unable> {
    let there =
        measure_groups(&bench.socket, tag, table, window).await.map_err(|error| bench.lost(&error))?;
    let (books, window) = (Arc::clone(books), window.clone());
    let wanted = on_a_thread(move || books.groups(table, &window)).await??;
    Ok(differences(&wanted, &there.groups))
}
