//! What a verdict says of itself: why, and what it does not speak for.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::check::Check;
use crate::code::Weight;
use crate::evidence::CheckStatus;
use crate::finding::Finding;
use crate::run::{Objective, Run};
use crate::scenario::Rpo;
use crate::units::{show_bytes, show_count, show_duration};
use crate::verdict::Verdict;

use super::follows;

/// Why a run ended as it did, in one sentence without its full stop.
pub(super) fn reason(run: &Run) -> String {
    match run.observed {
        Verdict::Proven => why_proven(run),
        Verdict::Disproven => why_not(run, Weight::Disproves),
        Verdict::Unverified => why_not(run, Weight::Unverifies),
    }
}

/// What nobody can tell of a backup without a manifest.
const NO_MANIFEST: &str =
    "which files belong to the backup, and whether they are what they were: it has no manifest";

fn why_proven(run: &Run) -> String {
    let held = run.proven_for();
    let mut parts = Vec::new();
    let works = !run.work.is_empty();
    let (every_check, of_which) = match run.baseline {
        None if run.is_of_given() => (Check::all_of_given(false), " that can be made without a baseline"),
        Some(_) if run.is_of_given() => (Check::all_of_given(true), ""),
        _ if run.is_low_level() => (Check::all_of_low_level(works), " that can be made without a manifest"),
        _ if run.is_of_dumps() => (Check::all_of_dump(works), " that can be made of a dump"),
        _ if run.is_of_repository() => (Check::all_of_repository(works), " that can be made of a repository"),
        _ => (Check::all_of(works), ""),
    };
    if every_check.iter().all(|check| held.contains(check)) {
        parts.push(format!("every check{of_which} held"));
    } else if !held.is_empty() {
        let names: Vec<&str> = held.into_iter().map(Check::name).collect();
        parts.push(format!("proven for: {}", names.join(", ")));
    }
    let swept: u64 = run.sweeps.iter().map(|sweep| sweep.proven).sum();
    if swept > 0 {
        parts.push(format!("{swept} of {swept} recovery points proven"));
    }
    parts.extend(run.objectives.iter().find_map(allowed_loss));
    let rto = run.objectives.iter().find(|objective| objective.name == "rto");
    if let Some(us) = rto.and_then(|rto| rto.measured_us) {
        parts.push(format!("recovered in {}", show_duration(Duration::from_micros(us))));
    }
    parts.join("; ")
}

/// What was lost and may be.
fn allowed_loss(objective: &Objective) -> Option<String> {
    let lost = objective.loss.as_ref()?.transactions;
    let what = match lost {
        0 => return None,
        1 => "1 acknowledged transaction lost".to_owned(),
        lost => format!("{} acknowledged transactions lost", show_count(lost)),
    };
    Some(match objective.target_rpo? {
        Rpo::Any => format!("{what}, which no objective bounds"),
        target => format!("{what}, within the objective of {target}"),
    })
}

fn why_not(run: &Run, weight: Weight) -> String {
    // What merely follows from a drill that ended early is not counted beside its cause.
    let same: Vec<&Finding> =
        run.findings.iter().filter(|finding| finding.weight == weight && !follows(finding.code)).collect();
    let first = same.first().copied().or_else(|| run.findings.first());
    match first {
        Some(finding) if same.len() == 2 => format!("{} (and 1 more finding)", finding.message),
        Some(finding) if same.len() > 2 => {
            format!("{} (and {} more findings)", finding.message, same.len() - 1)
        }
        Some(finding) => finding.message.clone(),
        None => "a step of the plan was not done, or left no evidence".to_owned(),
    }
}

/// What the record says nothing about, so that nobody reads more into a green verdict than there is.
pub(super) fn not_tested(run: &Run) -> Vec<String> {
    let mut not: Vec<String> = Check::all_of(!run.work.is_empty())
        .into_iter()
        .filter(|check| {
            // What was verified on its way to disk need not be read again, and a dump has no such files.
            let verified = run.is_of_given() || run.is_of_repository() || run.is_of_dumps();
            !(verified && check.reads_the_backup())
        })
        .filter(|check| !(run.is_low_level() && *check == Check::Manifest))
        .filter(|check| {
            !run.checks.iter().any(|record| record.check == *check && record.status != CheckStatus::NotRun)
        })
        .map(|check| format!("{}: {}", check.name(), check.entry().doc))
        .collect();
    for backup in
        run.backups.iter().filter(|backup| backup.path.is_some() && backup.manifest_sha256.is_empty())
    {
        match backup.tool.as_str() {
            // It has a manifest of its own, by which it verifies what it restores.
            "pgBackRest" => {}
            "pg_dump" => {
                not.push("whether its rows are those that were dumped: a dump has no checksums".to_owned());
            }
            _ => not.push(NO_MANIFEST.to_owned()),
        }
    }
    if run.is_low_level() {
        not.push(NO_MANIFEST.to_owned());
    }
    if run.is_of_given() && run.recoveries.iter().any(|recovery| recovery.page_checksums == Some(false)) {
        not.push("whether pages are what was written: the cluster has no page checksums, so of each only the header was read".to_owned());
    }
    if run.is_of_repository() {
        let what = "files of the repository that no recovery needed";
        not.push(format!("{what}: pgBackRest verifies those that it restores, and pgdrill reads none"));
    }
    if run.is_of_barman() {
        not.push("the WAL that Barman keeps: what was replayed came from the drill's own archive".to_owned());
    }
    if run.is_of_dumps() {
        not.push(
            "what was written after the dump: it is lost by design, since a dump holds one moment".to_owned(),
        );
        not.push(
            "whether the files of the dump are those that were written: a dump has no checksums".to_owned(),
        );
    }
    match run.header.rto_us {
        None => not.push("a recovery time objective: the scenario sets none".to_owned()),
        Some(us) if run.header.jobs > 1 => not.push(format!(
            "the recovery time objective of {}: {} drills shared the machine",
            show_duration(Duration::from_micros(us)),
            run.header.jobs
        )),
        Some(_) => {}
    }
    let swept = !run.sweeps.is_empty() && !run.work.is_empty();
    if !swept && !run.tallies.iter().any(|tally| tally.required > 0) {
        let why = if run.is_of_given() {
            "nobody wrote down what the server acknowledged"
        } else if run.work.is_empty() {
            "the primary was quiet when its content was captured"
        } else {
            "nobody compared what the writers were told with what is there"
        };
        not.push(format!("loss of acknowledged commits under load: {why}"));
    }
    if run.tallies.iter().any(|tally| !tally.by_wal) {
        not.push("the ledger against the WAL: its commit records could not be read".to_owned());
    }
    let left_out: u64 = run.sweeps.iter().map(|sweep| sweep.left_out_bytes).sum();
    if left_out > 0 {
        not.push(format!(
            "recovery points in {} of WAL: something wrote there that no ledger tells",
            show_bytes(left_out)
        ));
    }
    let drawn = run.sweeps.iter().filter(|sweep| sweep.targets < sweep.asked);
    not.extend(drawn.map(|sweep| {
        let (targets, asked) = (show_count(sweep.targets), show_count(sweep.asked));
        format!("{asked} recovery points, as was asked for: {targets} could be drawn")
    }));
    not.extend(unchecked(run));
    let by_target = run.recoveries.iter().any(|recovery| !matches!(recovery.target.as_str(), "" | "latest"));
    if !by_target && run.sweeps.is_empty() {
        not.push(if run.is_of_dumps() {
            "other points in time: no WAL leads on from a dump".to_owned()
        } else {
            "points in time before the end of the archive".to_owned()
        });
    }
    not
}

/// Of several recovered servers those of which no check was made: that the others are proven says nothing of them.
fn unchecked(run: &Run) -> Vec<String> {
    let looked_at = |server: &str| {
        run.checks.iter().any(|check| check.server == server && check.status != CheckStatus::NotRun)
    };
    if run.recoveries.len() < 2 {
        return Vec::new();
    }
    let servers: BTreeSet<&str> = run.recoveries.iter().map(|recovery| recovery.server.as_str()).collect();
    let unseen = servers.into_iter().filter(|server| !server.is_empty() && !looked_at(server));
    unseen.map(|server| format!("what the server {server} held: no check was made of it")).collect()
}
