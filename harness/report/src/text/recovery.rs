//! The part of a report that tells from what, how far and how fast it was recovered.

use pgdrill_model::evidence::{PassedOverEvidence, RecoveryEvidence, VerifiedEvidence, WitnessEvidence};
use pgdrill_model::run::{Objective, Run};

use super::points;
use crate::page::{Cell, Column, Page, TIE, Tone};
use crate::words;

pub(crate) fn backups(page: &mut Page, run: &Run) {
    if run.backups.is_empty() {
        return;
    }
    page.heading("Backup");
    for backup in &run.backups {
        page.fact(
            &backup.name,
            &match &backup.path {
                Some(path) => format!("{}, in {}", words::backup(backup), path.display()),
                None => format!("{}, taken in {}", words::backup(backup), words::time(backup.took_us)),
            },
        );
        // Without a manifest nobody says how many there are; of a dump, how large what is in it was.
        let within = match (backup.files, backup.content_bytes) {
            (0, 0) => String::new(),
            (0, content) => format!("; {} once it is unpacked", words::bytes(content)),
            (files, content) => {
                format!("; {} of {} together", words::count(files, "files"), words::bytes(content))
            }
        };
        page.fact("size", &format!("{} on disk{within}", words::bytes(backup.bytes)));
        if backup.tablespaces > 0 {
            page.fact(
                "tablespaces",
                &format!(
                    "{}, which take {} of that",
                    backup.tablespaces,
                    words::bytes(backup.tablespace_bytes)
                ),
            );
        }
        // A dump has no WAL.
        if backup.timeline > 0 {
            page.fact(
                "WAL",
                &format!(
                    "replay from {}, consistent at {}, timeline{TIE}{}",
                    backup.start_lsn, backup.end_lsn, backup.timeline
                ),
            );
        }
        if !backup.manifest_sha256.is_empty() {
            page.fact("manifest", &backup.manifest_sha256);
        }
    }
}

pub(crate) fn recoveries(page: &mut Page, run: &Run) {
    for (index, recovery) in run.recoveries.iter().enumerate() {
        if run.recoveries.len() > 1 {
            page.heading(&format!("Recovery {} of {}", index + 1, run.recoveries.len()));
        } else {
            page.heading("Recovery");
        }
        let by = if recovery.by == "native" { "pgdrill" } else { recovery.by.as_str() };
        let how = if matches!(by, "pg_restore" | "psql") { "loaded" } else { "unpacked" };
        let mut target = format!("{}, {how} by {by}", recovery.target);
        if recovery.backups.len() > 1 {
            target.push_str(&format!(" from {}", recovery.backups.join(", ")));
        }
        page.fact("target", &target);
        for passed in &recovery.passed_over {
            page.fact("passed over", &passed_over(passed));
        }
        if recovery.tried_us > 0 {
            let took = words::time(recovery.tried_us);
            page.fact(
                "tried",
                &format!("recovered and checked before, in {took}, which is not in the recovery time"),
            );
        }
        if let Some(verified) = &recovery.verified {
            page.fact("", &verified_words(verified));
        }
        if recovery.tablespaces > 0 {
            let count = words::count(recovery.tablespaces, "tablespaces");
            page.fact("", &format!("{count} put into the restored server's own tree"));
        }
        let mut state = recovery.state.clone().unwrap_or_else(|| "did not reach an end state".to_owned());
        if let Some(timeline) = recovery.timeline {
            state.push_str(&format!(" on timeline{TIE}{timeline}"));
        }
        page.fact("state", &state);
        if recovery.reached.is_none() {
            page.fact("reached", &reached(run, recovery));
        }
        points::of_recovery(page, run, recovery);
        if let Some(witness) = &recovery.witness {
            page.fact("witness", &witness_words(witness));
        }
        let mut wal = format!("{} from the archive", words::count(recovery.segments, "segments"));
        if let Some(last) = &recovery.last_segment {
            wal.push_str(&format!(", the last {last}"));
        }
        page.fact("WAL", &wal);
        if let [first, more @ ..] = recovery.left_over.as_slice() {
            let more = match more.len() {
                0 => String::new(),
                count => format!(", and {count} more"),
            };
            page.fact("", &format!("{} that the archive lacks, from {}{more}", first.name, first.from));
        }
        if !recovery.quarantine.is_empty() {
            let settings: Vec<String> = recovery
                .quarantine
                .iter()
                .map(|(name, value)| format!("{name}={}", if value.is_empty() { "''" } else { value }))
                .collect();
            page.fact("quarantine", &format!("the server says {}", settings.join(", ")));
        }
    }
}

/// What the beats of production say of what came back.
fn witness_words(witness: &WitnessEvidence) -> String {
    let Some(beat) = witness.returned else { return "no beat of production came back".to_owned() };
    let mut words = format!("beat {beat}");
    if let Some(unix_us) = witness.returned_unix_us {
        words.push_str(&format!(" of {}", words::moment(unix_us)));
    }
    if let Some(age) = witness.age_us.and_then(|age| u64::try_from(age).ok()) {
        words.push_str(&format!(", {} old", words::time(age)));
    }
    let lost = words::count(witness.lost, "beats");
    words.push_str(&format!("; {lost} lost, {} later than the recovery point", witness.beyond));
    words
}

/// A backup that is not good, how that was found out, and what it costs to take the one before.
fn passed_over(passed: &PassedOverEvidence) -> String {
    let how = if passed.tried { "recovered and checked" } else { "verified" };
    let more = match passed.wal_bytes {
        0 => String::new(),
        bytes => format!("; the one before it has {} more of WAL to replay", words::bytes(bytes)),
    };
    format!("{}, {how} in {}: {}{more}", passed.backup, words::time(passed.took_us), passed.why)
}

/// How far recovery came, measured against where the expected content was captured.
fn reached(run: &Run, recovery: &RecoveryEvidence) -> String {
    match (recovery.reached_lsn, run.baseline.as_ref().map(|baseline| baseline.lsn)) {
        (None, _) => "no position in the WAL".to_owned(),
        (Some(reached), None) => reached.to_string(),
        (Some(reached), Some(captured)) if reached < captured => format!(
            "{reached}, which is {} of WAL short of {captured}, where the primary's content was captured",
            words::bytes(captured.0 - reached.0)
        ),
        (Some(reached), Some(captured)) if reached == captured => {
            format!("{reached}, exactly where the primary's content was captured")
        }
        (Some(reached), Some(captured)) => {
            format!("{reached}; the primary's content was captured at {captured}")
        }
    }
}

pub(crate) fn rto(run: &Run) -> Option<&Objective> {
    run.objectives.iter().find(|objective| objective.name == "rto")
}

/// The recovery time, where it was measured.
pub(crate) fn measured(run: &Run) -> Option<u64> {
    rto(run)?.measured_us
}

/// `11.3 s / 30.0 s`: what was measured, of the target where there is one.
pub(crate) fn of_objective(run: &Run) -> String {
    let Some(objective) = rto(run) else {
        return "-".to_owned();
    };
    let shown = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), words::time);
    match objective.target_us {
        Some(target) => format!("{}{TIE}/{TIE}{}", shown(objective.measured_us), words::time(target)),
        None => shown(objective.measured_us),
    }
}

/// The phases of each recovery, and what the objective makes of them.
pub(super) fn time(page: &mut Page, run: &Run) {
    let measured: Vec<&RecoveryEvidence> =
        run.recoveries.iter().filter(|recovery| !recovery.phases.is_empty()).collect();
    if measured.is_empty() && rto(run).is_none() {
        return;
    }
    page.heading("Recovery time");
    for recovery in &measured {
        phases(page, recovery, run.recoveries.len() > 1);
    }
    objective(page, run);
}

/// A table of the phases, with a bar for each; of several recoveries each names its server.
fn phases(page: &mut Page, recovery: &RecoveryEvidence, several: bool) {
    let phases = &recovery.phases;
    let total: u64 = phases.iter().map(|phase| phase.took_us).sum();
    let longest = phases.iter().map(|phase| phase.took_us).max().unwrap_or(0);
    let binding = phases.iter().position(|phase| longest > 0 && phase.took_us == longest);
    let widest = page.width().saturating_sub(40).clamp(4, 50);
    let rows: Vec<Vec<Cell>> = phases
        .iter()
        .enumerate()
        .map(|(index, phase)| {
            let binding = binding == Some(index);
            let tone = if binding { Tone::Strong } else { Tone::Plain };
            let mut bar = bar(phase.took_us, longest, widest);
            if binding {
                bar.push_str(" longest");
            }
            vec![
                Cell::new(tone, &phase.name),
                Cell::new(tone, if phase.took_us == 0 { "-".to_owned() } else { words::time(phase.took_us) }),
                Cell::new(tone, format!("{}{TIE}%", percent(phase.took_us, total))),
                Cell::new(tone, bar),
            ]
        })
        .collect();
    if several {
        page.paragraph(2, Tone::Plain, &format!("{}: {} in all", recovery.server, words::time(total)));
    }
    page.table(
        &[Column::left("phase"), Column::right("time"), Column::right("share"), Column::left("")],
        &rows,
    );
}

pub(crate) fn objective(page: &mut Page, run: &Run) {
    let (tone, line) = match rto(run) {
        None => (Tone::Doubt, "not measured: the application wrote nothing on a recovered server".to_owned()),
        Some(Objective { measured_us: None, target_us, .. }) => {
            let of = target_us
                .map_or_else(String::new, |us| format!(", and the objective is {}", words::time(us)));
            (Tone::Doubt, format!("NOT MEASURED: the application wrote nothing on a recovered server{of}"))
        }
        Some(Objective { measured_us: Some(us), target_us: None, .. }) => {
            let why = match run.header.rto_us {
                Some(target) => format!("the objective of {} is not judged", words::time(target)),
                None => "the scenario sets no objective".to_owned(),
            };
            let of = of_which(run);
            (Tone::Plain, format!("{} {of}; {why}", words::time(*us)))
        }
        Some(Objective { measured_us: Some(us), target_us: Some(target), .. }) => {
            let share = percent(*us, *target);
            if us <= target {
                let target = words::time(*target);
                (
                    Tone::Good,
                    format!(
                        "{} {}, within the objective of {target} ({share}{TIE}% of it)",
                        words::time(*us),
                        of_which(run)
                    ),
                )
            } else {
                let over = words::time(us - target);
                let target = words::time(*target);
                (
                    Tone::Bad,
                    format!(
                        "{} {}: OBJECTIVE MISSED, {over} more than {target}",
                        words::time(*us),
                        of_which(run)
                    ),
                )
            }
        }
    };
    page.paragraph(2, tone, &line);
    if let Some(objective) = rto(run) {
        page.paragraph(2, Tone::Faint, &objective.definition);
    }
}

/// Of which recovery the time is that the objective is held against.
fn of_which(run: &Run) -> String {
    match (run.recoveries.len(), run.repetitions.len()) {
        (_, repeated @ 1..) => format!("for the slowest of {}", repeated + run.recoveries.len()),
        (0 | 1, 0) => "in all".to_owned(),
        _ => "for the longest".to_owned(),
    }
}

fn verified_words(verified: &VerifiedEvidence) -> String {
    format!(
        "verified on the way: {} of {}, {}, {}",
        words::count(verified.files, "files"),
        words::bytes(verified.bytes),
        words::count(verified.pages, "data pages"),
        words::count(verified.wal_records, "records of WAL"),
    )
}

/// A bar in eighths of a column, as long as the share of `value` in `whole`.
fn bar(value: u64, whole: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if whole == 0 || value == 0 {
        return String::new();
    }
    let eighths =
        usize::try_from(u128::from(value) * (width as u128 * 8) / u128::from(whole)).unwrap_or(0).max(1);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Rounded to whole percents.
pub(crate) fn percent(part: u64, whole: u64) -> u128 {
    let whole = u128::from(whole.max(1));
    (u128::from(part) * 100 + whole / 2) / whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_empty_for_something_and_never_longer_than_its_width() {
        assert_eq!(bar(0, 10, 4), "");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!(bar(10, 10, 4), "████");
        assert_eq!(bar(5, 10, 3), "█▌");
        assert_eq!(bar(u64::MAX, u64::MAX, 50), "█".repeat(50));
    }
}
