//! The parts of a report that tell of points in time: what writers did, what was marked, where replay stopped and had to
//! stop, what was lost, and what a sweep showed.

use std::time::Duration;

use pgdrill_model::check::Check;
use pgdrill_model::evidence::{LossEvidence, PointEvidence, RecoveryEvidence, SweepEvidence, TallyEvidence};
use pgdrill_model::run::{Objective, Run};
use pgdrill_model::scenario::Rpo;
use pgdrill_model::units::{show_bytes, show_count, show_duration, show_time};
use pgdrill_model::verdict::Verdict;

use crate::page::{Cell, Column, Page, TIE, Tone};
use crate::words;

/// What the writers did, and the instants that were marked.
pub(crate) fn work(page: &mut Page, run: &Run) {
    if run.work.is_empty() && run.marks.is_empty() && run.failovers.is_empty() {
        return;
    }
    page.heading("Work");
    for work in &run.work {
        let mut parts = vec![format!("{} transactions acknowledged", show_count(work.acknowledged))];
        let others = [
            (work.rolled_back, "rolled back"),
            (work.failed, "refused"),
            (work.unanswered, "never answered"),
            (work.cancelled_waits, "acknowledged without their standby"),
        ];
        parts.extend(
            others
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{} {what}", show_count(*count))),
        );
        let mut line = format!("by {}: {}", words::count(work.writers, "connections"), parts.join(", "));
        if work.took_us > 0 {
            let rate = u128::from(work.acknowledged) * 1_000_000 / u128::from(work.took_us);
            line.push_str(&format!("; {rate} in a second for {}", words::time(work.took_us)));
        }
        if let Some(words) = &work.ended_by {
            line.push_str(&format!("; ended by: {words}"));
        }
        page.fact(&work.server, &line);
    }
    for failover in &run.failovers {
        let line = format!(
            "{} took the place of {} at {}, on timeline{TIE}{}, {} after its loss",
            failover.to,
            failover.from,
            failover.at,
            failover.timeline,
            words::time(failover.took_us)
        );
        page.fact("failover", &line);
    }
    for mark in &run.marks {
        let line = format!(
            "{}: {} on timeline{TIE}{}, after transaction {}, {}",
            mark.name,
            mark.lsn,
            mark.timeline,
            mark.xid,
            show_time(mark.unix_us)
        );
        page.fact("mark", &line);
    }
}

/// Where replay had to stop, where it did, and how far the archive reaches.
pub(super) fn of_recovery(page: &mut Page, run: &Run, recovery: &RecoveryEvidence) {
    let exact = recovery.wanted.as_ref().is_some_and(|wanted| wanted.lsn.is_some());
    let stopped_there = run.stopped_as_the_wal_says(recovery) == Some(true);
    if let Some(reached) = &recovery.reached {
        let agrees = if stopped_there && exact { "; the WAL says the same" } else { "" };
        page.fact("point", &format!("{}{agrees}", point(reached)));
    }
    match &recovery.wanted {
        Some(wanted) if !stopped_there => {
            page.fact("by the WAL", &format!("it had to be {}", point(wanted)));
        }
        Some(wanted) if !exact => {
            page.fact("by the WAL", &format!("{}; the exact position is open", point(wanted)));
        }
        _ => {}
    }
    if let Some(paused) = recovery.paused_at {
        page.fact("paused", &format!("at {paused}, open for reading, and then let go on"));
    }
    if recovery.shut_down {
        page.fact("shut down", "at its target, and then started again to promote");
    }
    if let Some(end) = &recovery.archive_end {
        let reach =
            end.lsn.map_or_else(String::new, |lsn| format!("reaches {lsn} on timeline{TIE}{}", end.timeline));
        let commit =
            end.commit_unix_us.map_or_else(String::new, |time| format!(", last commit {}", show_time(time)));
        let breaks = if end.breaks { "; it BREAKS there: " } else { "; " };
        let read = match recovery.aim_us {
            0 => String::new(),
            us => format!("; read in {}, which is not in the recovery time", words::time(us)),
        };
        page.fact("archive", &format!("{reach}{commit}{breaks}{}{read}", end.why));
    }
}

fn point(point: &PointEvidence) -> String {
    let mut parts = Vec::new();
    parts.extend(point.lsn.map(|lsn| lsn.to_string()));
    parts.extend(point.segment.as_ref().map(|segment| format!("in {segment}")));
    let transaction = point.xid.map(|xid| format!("transaction {xid}"));
    let time = point.commit_unix_us.map(|time| format!("of {}", show_time(time)));
    let commit: Vec<String> = transaction.into_iter().chain(time).collect();
    if !commit.is_empty() {
        parts.push(format!("last commit {}", commit.join(" ")));
    }
    parts.join(", ")
}

/// What became of the acknowledged transactions, by recovered server, and what was lost against the objective.
pub(crate) fn ledger(page: &mut Page, run: &Run) {
    if run.tallies.is_empty() && rpo(run).is_none() && run.work.is_empty() {
        return;
    }
    page.heading("Acknowledged transactions");
    let swept = run.sweeps.iter().map(|sweep| sweep.transactions).max().filter(|count| *count > 0);
    match swept {
        _ if !run.tallies.is_empty() => tallies(page, &run.tallies),
        Some(count) => {
            let words =
                format!("compared at each recovery point of the sweep; {} at the last", show_count(count));
            page.paragraph(2, Tone::Plain, &words);
        }
        None => page.paragraph(2, Tone::Doubt, "NOT COMPARED with a recovered server"),
    }
    for tally in run.tallies.iter().filter(|tally| tally.lost > 0) {
        page.paragraph(2, Tone::Bad, &looked_well(run, tally));
    }
    objective(page, run);
}

/// A column for each server: there are few, and eight counts beside each other are too wide for a terminal.
fn tallies(page: &mut Page, tallies: &[TallyEvidence]) {
    /// A count, what it is called, and whether there should be none.
    type Line = (&'static str, fn(&TallyEvidence) -> u64, bool);
    const LINES: [Line; 8] = [
        ("acknowledged", |tally| tally.acknowledged, false),
        ("required", |tally| tally.required, false),
        ("recovered", |tally| tally.recovered, false),
        ("lost", |tally| tally.lost, true),
        ("unexpected", |tally| tally.unexpected, true),
        ("indeterminate", |tally| tally.indeterminate, false),
        ("not promised", |tally| tally.not_promised, false),
        ("after the point", |tally| tally.after_target, false),
    ];
    let mut columns = vec![Column::left("transactions")];
    columns.extend(tallies.iter().map(|tally| Column::right(&tally.server)));
    let rows: Vec<Vec<Cell>> = LINES
        .iter()
        .map(|(what, count, bad)| {
            let counts = tallies.iter().map(count).map(|count| {
                let tone = if *bad && count > 0 { Tone::Bad } else { Tone::Plain };
                Cell::new(tone, show_count(count))
            });
            [Cell::from(*what)].into_iter().chain(counts).collect()
        })
        .collect();
    page.table(&columns, &rows);
}

/// What a person must hear who was told that the server is up.
fn looked_well(run: &Run, tally: &TallyEvidence) -> String {
    let loss = &tally.loss;
    let lost = format!(
        "{} that had been acknowledged, with {}: {} and {} of WAL",
        words::count(loss.transactions, "transactions"),
        words::count(loss.rows, "rows"),
        words::time(loss.time_us),
        words::bytes(loss.wal_bytes)
    );
    let recovery = run.recoveries.iter().find(|recovery| recovery.server == tally.server);
    if recovery.is_some_and(|recovery| recovery.looks_well == Some(true)) {
        format!("The server started, answers, and is promoted. It is short of {lost}.")
    } else {
        format!("The server is short of {lost}.")
    }
}

fn rpo(run: &Run) -> Option<&Objective> {
    run.objectives.iter().find(|objective| objective.name == "rpo")
}

fn objective(page: &mut Page, run: &Run) {
    let Some(objective) = rpo(run) else { return };
    let (tone, line) = match (&objective.loss, objective.target_rpo, objective.met) {
        (None, _, _) => (Tone::Doubt, "NOT MEASURED: nobody looked for the transactions".to_owned()),
        (Some(_), None, _) => (Tone::Plain, "the scenario sets no objective: nothing may be lost".to_owned()),
        (Some(_), Some(Rpo::Any), _) => (Tone::Plain, "the loss is measured and not judged".to_owned()),
        (Some(_), Some(target), Some(true)) => (Tone::Good, format!("within the objective of {target}")),
        (Some(_), Some(target), _) => (Tone::Bad, format!("OBJECTIVE MISSED: {target}")),
    };
    page.paragraph(2, tone, &line);
    page.paragraph(2, Tone::Faint, &objective.definition);
}

pub(crate) fn sweeps(page: &mut Page, run: &Run) {
    for sweep in &run.sweeps {
        page.heading("Sweep");
        let agrees = sweep.repeated > 0 && sweep.agreed == sweep.repeated;
        let tone =
            if sweep.targets > 0 && sweep.proven == sweep.targets && agrees { Tone::Good } else { Tone::Bad };
        page.paragraph(2, tone, &proven(sweep));
        if let Some((first, last)) = sweep.range {
            page.fact("range", &format!("{first} to {last}, {} segments", show_count(sweep.segments)));
        }
        page.fact(
            "compared",
            &format!(
                "every row of \"Order\", \"Position\" and \"AuditLog\", at {}",
                words::count(sweep.fingerprinted, "points")
            ),
        );
        page.fact(
            "repeated",
            &format!(
                "{} of {} real recoveries agree, in {}",
                sweep.agreed,
                sweep.repeated,
                words::time(sweep.repeats_took_us)
            ),
        );
        let each = Duration::from_micros(sweep.took_us / sweep.targets.max(1));
        // Older records do not say what it was spent on.
        let parts = match (sweep.replaying_us, sweep.looking_us) {
            (0, 0) => String::new(),
            (replaying, looking) => {
                format!("; {} replaying, {} comparing", words::time(replaying), words::time(looking))
            }
        };
        let took = format!("{}, {} for each point{parts}", words::time(sweep.took_us), show_duration(each));
        page.fact("took", &took);
        if let Some(failure) = &sweep.first_failure {
            page.fact("first failure", failure);
        }
    }
}

pub(crate) fn proven(sweep: &SweepEvidence) -> String {
    format!("{} of {} recovery points proven", show_count(sweep.proven), show_count(sweep.targets))
}

/// One table of the losses, where several drills measured one.
pub(crate) fn losses<'r>(page: &mut Page, runs: impl IntoIterator<Item = &'r Run>) {
    // A drill that was to compare the ledger and did not come that far has a loss that nobody knows.
    let compared = |run: &Run| rpo(run).is_some() || run.header.checks.contains(&Check::Ledger);
    let compared: Vec<&Run> = runs.into_iter().filter(|run| compared(run)).collect();
    if compared.len() < 2 || compared.iter().all(|run| loss_of(run).is_none()) {
        return;
    }
    page.heading("Loss of acknowledged transactions");
    let columns = [
        Column::left("scenario"),
        Column::right("PostgreSQL"),
        Column::flexible("archived by"),
        Column::right("lost"),
        Column::right("rows"),
        Column::right("time"),
        Column::right("WAL"),
        Column::right("objective"),
        Column::left(""),
    ];
    let rows: Vec<Vec<Cell>> = compared.into_iter().map(loss_row).collect();
    page.table(&columns, &rows);
}

fn loss_of(run: &Run) -> Option<&LossEvidence> {
    rpo(run)?.loss.as_ref()
}

fn loss_row(run: &Run) -> Vec<Cell> {
    let met = rpo(run).and_then(|objective| objective.met);
    let (tone, result) = match (loss_of(run), met) {
        (None, _) => (Tone::Doubt, "NOT MEASURED"),
        // A loss that nobody allowed is not made good by the absence of an objective.
        (Some(loss), None) if loss.transactions > 0 && run.header.rpo.is_none() => (Tone::Bad, "lost"),
        (_, None) => (Tone::Plain, "measured"),
        (_, Some(true)) if run.verdict == Verdict::Unverified => (Tone::Doubt, "not verified"),
        (_, Some(true)) => (Tone::Good, "met"),
        (_, Some(false)) => (Tone::Bad, "MISSED"),
    };
    let shown = |amount: fn(&LossEvidence) -> String| loss_of(run).map_or_else(|| "-".to_owned(), amount);
    vec![
        Cell::from(&run.header.scenario),
        Cell::from(run.header.postgres.to_string()),
        Cell::from(&run.header.archive),
        Cell::from(shown(|loss| show_count(loss.transactions))),
        Cell::from(shown(|loss| show_count(loss.rows))),
        Cell::from(shown(|loss| or_dash(loss.time_us, words::time))),
        Cell::from(shown(|loss| or_dash(loss.wal_bytes, show_bytes))),
        Cell::from(run.header.rpo.map_or_else(|| "-".to_owned(), |target| target.to_string())),
        Cell::new(tone, result),
    ]
}

fn or_dash(amount: u64, words: fn(u64) -> String) -> String {
    if amount == 0 { "-".to_owned() } else { words(amount) }
}
