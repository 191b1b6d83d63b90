//! The words and numbers that several faces share, so that a verdict is called the same everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use pgdrill_model::check::Check;
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::{Happening, StepStatus};
use pgdrill_model::evidence::{BackupEvidence, CheckRecord, CheckStatus, Evidence};
use pgdrill_model::finding::Finding;
use pgdrill_model::run::Run;
use pgdrill_model::units::{show_bytes, show_count, show_duration};
use pgdrill_model::verdict::Verdict;

use crate::page::{TIE, Tone};

/// A verdict for people.
pub(crate) fn verdict(verdict: Verdict) -> (Tone, &'static str) {
    match verdict {
        Verdict::Proven => (Tone::Good, "PROVEN"),
        Verdict::Unverified => (Tone::Doubt, "COULD NOT VERIFY"),
        Verdict::Disproven => (Tone::Bad, "DISPROVEN"),
    }
}

/// What a finding does to the verdict, for people.
pub(crate) fn weight(weight: Weight) -> (Tone, &'static str) {
    match weight {
        Weight::Notes => (Tone::Strong, "note"),
        Weight::Unverifies => (Tone::Doubt, "could not verify"),
        Weight::Disproves => (Tone::Bad, "disproves"),
        Weight::Bug => (Tone::Bad, "bug in pgdrill"),
    }
}

/// What to do now: the finding's own hint, or what its code advises.
pub(crate) fn hint(finding: &Finding) -> &str {
    finding.hint.as_deref().unwrap_or(finding.code.entry().advice)
}

/// What a finding is about, and its named facts. A fact in microseconds is shown as the duration that it is.
pub(crate) fn facts(finding: &Finding) -> Vec<(String, String)> {
    let subject = finding.subject.iter().map(|subject| ("subject".to_owned(), subject.clone()));
    let evidence = finding.evidence.iter().map(|(name, value)| {
        match name.strip_suffix("_us").and_then(|name| Some((name, value.parse().ok()?))) {
            Some((name, us)) => (name.to_owned(), time(us)),
            None => (name.clone(), value.clone()),
        }
    });
    subject.chain(evidence).collect()
}

/// Whether a finding says no more than that a check did not run, which its check's own line says too.
pub(crate) fn only_not_run(finding: &Finding) -> bool {
    finding.code == Code::CheckNotRun
        && finding.check.is_some()
        && finding.hint.is_none()
        && finding.subject.is_none()
        && finding.evidence.is_empty()
}

/// All findings of [`only_not_run`] in one sentence.
pub(crate) fn not_run(findings: &[&Finding]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in findings.iter().filter_map(|finding| finding.check).map(Check::name) {
        // One that is made of two servers is named once.
        if !names.contains(&name) {
            names.push(name);
        }
    }
    format!("{} did not run: {}", count(names.len() as u64, "checks"), names.join(", "))
}

/// A duration that is kept on one line.
pub(crate) fn time(us: u64) -> String {
    tied(&show_duration(Duration::from_micros(us)))
}

/// How a backup was taken. What an older record does not say is left out.
pub(crate) fn backup(backup: &BackupEvidence) -> String {
    let mut form = vec![backup.format.clone()];
    if backup.compress != "none" {
        let mut how = backup.compress.clone();
        if backup.compress_side == "server" {
            how.push_str(" by the server");
        }
        if !backup.compress_detail.is_empty() {
            how.push_str(&format!(" at {}", backup.compress_detail.replace(',', ", ")));
        }
        form.push(how);
    }
    form.extend(match backup.manifest_checksums.as_str() {
        "" => None,
        "NONE" => Some("manifest without checksums".to_owned()),
        algorithm => Some(format!("{algorithm} manifest")),
    });
    form.extend(match backup.wal.as_str() {
        "stream" => Some("WAL streamed".to_owned()),
        "fetch" => Some("WAL fetched".to_owned()),
        "none" => Some("no WAL in it".to_owned()),
        _ => None,
    });
    form.extend(backup.copied.map(|copied| {
        if copied.snapshot {
            format!("files of one moment, the server stood still for {}", untied(&time(copied.paused_us)))
        } else {
            "files copied one by one while the server wrote".to_owned()
        }
    }));
    let made = match (&backup.path, backup.tool.as_str()) {
        (Some(_), "") => "there already".to_owned(),
        (Some(_), tool) => format!("by {tool}, {}", backup.label.as_deref().unwrap_or("there already")),
        (None, tool) => tool.to_owned(),
    };
    let mut words = format!("{made} ({})", form.join(", "));
    if backup.from == "standby" {
        words.push_str(if backup.path.is_some() { " of a standby" } else { " of the standby" });
    }
    if let Some(upon) = &backup.incremental_of {
        words.push_str(&format!(", only what changed since {upon}"));
    }
    words
}

/// A number of bytes that is kept on one line.
pub(crate) fn bytes(bytes: u64) -> String {
    tied(&show_bytes(bytes))
}

/// A count and what is counted, kept on one line; `plural` ends in `s`.
pub(crate) fn count(count: u64, plural: &str) -> String {
    let noun = if count == 1 { plural.strip_suffix('s').unwrap_or(plural) } else { plural };
    tied(&format!("{} {noun}", show_count(count)))
}

/// The same text for a face that breaks no lines.
pub(crate) fn untied(text: &str) -> String {
    text.replace(TIE, " ")
}

fn tied(text: &str) -> String {
    text.replace(' ', &TIE.to_string())
}

/// A moment as `2026-11-22 19:15:00 UTC`: it can be pasted into a spreadsheet.
pub(crate) fn moment(unix_us: i64) -> String {
    strftime(unix_us, "%Y-%m-%d %H:%M:%S UTC")
}

/// A moment in UTC, by a format of `strftime`. A clock that was beyond the calendar shows as the epoch.
pub(crate) fn strftime(unix_us: i64, format: &str) -> String {
    Timestamp::from_microsecond(unix_us).unwrap_or_default().strftime(format).to_string()
}

/// The versions that the servers said they are, each once.
pub(crate) fn versions(run: &Run) -> Vec<&str> {
    let mut versions: Vec<&str> = Vec::new();
    for (_, facts) in &run.places {
        let version = facts.postgres.trim();
        let version = version.strip_prefix("postgres (PostgreSQL) ").unwrap_or(version);
        if !version.is_empty() && !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

/// By what the primary orders text, and where: each collation in use once, with the library's version of it.
pub(crate) fn collations(run: &Run) -> Option<String> {
    let server = run.servers.first()?;
    let mut all: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (database, held) in &server.databases {
        for collation in [&held.default].into_iter().chain(held.used.values()) {
            let version = collation.actual.as_ref().map_or_else(String::new, |version| format!(" {version}"));
            let databases =
                all.entry(format!("{} {}{version}", collation.provider, collation.locale)).or_default();
            if !databases.contains(&database.as_str()) {
                databases.push(database);
            }
        }
    }
    let each: Vec<String> =
        all.iter().map(|(collation, databases)| format!("{collation} in {}", databases.join(", "))).collect();
    (!each.is_empty()).then(|| each.join("; "))
}

/// The findings that belong to a step: those that no check reported and that were seen while it ran.
pub(crate) fn findings_of_step(run: &Run, step: usize) -> Vec<&Finding> {
    let mut current = None;
    let mut found = Vec::new();
    for event in &run.events {
        match &event.what {
            Happening::StepStarted { step } => current = Some(*step),
            Happening::StepEnded { .. } => current = None,
            Happening::Found(finding) if current == Some(step) && finding.check.is_none() => {
                found.push(finding);
            }
            _ => {}
        }
    }
    found
}

/// The name of a check, with the server that it was made of where there were several.
pub(crate) fn check_of(run: &Run, record: &CheckRecord) -> String {
    if run.recoveries.len() > 1 && !record.server.is_empty() {
        format!("{}, {}", record.check.name(), record.server)
    } else {
        record.check.name().to_owned()
    }
}

/// The findings that a check reported of one server. A finding does not say of which server it is, but it is told in the
/// step that its check was made in. One that was told elsewhere, or by the judge, is of the servers of which the check did
/// not hold.
pub(crate) fn findings_of_check<'r>(run: &'r Run, record: &CheckRecord) -> Vec<&'r Finding> {
    let made = |other: &CheckRecord| {
        steps_of(run, |what| matches!(what, Happening::Measured(Evidence::Check(made)) if made == other))
    };
    let here = made(record);
    let of_others = || run.checks.iter().filter(|other| other.check == record.check && *other != record);
    let there: Vec<usize> = of_others().flat_map(made).collect();
    let failed_alone = of_others().all(|other| other.status == CheckStatus::Held);
    run.findings
        .iter()
        .filter(|finding| finding.check == Some(record.check))
        .filter(|finding| {
            let told = steps_of(run, |what| matches!(what, Happening::Found(found) if found == *finding));
            let told_in = |steps: &[usize]| told.iter().any(|step| steps.contains(step));
            match (told_in(&here), told_in(&there)) {
                (false, false) => record.status != CheckStatus::Held || failed_alone,
                (here, _) => here,
            }
        })
        .collect()
}

/// The steps in which something happened.
fn steps_of(run: &Run, happened: impl Fn(&Happening) -> bool) -> Vec<usize> {
    let mut current = None;
    let mut steps = Vec::new();
    for event in &run.events {
        match &event.what {
            Happening::StepStarted { step } => current = Some(*step),
            Happening::StepEnded { .. } => current = None,
            what if happened(what) => steps.extend(current),
            _ => {}
        }
    }
    steps
}

/// How a step ended, for people. A run that died did not have time to say how its last step ended.
pub(crate) fn step_status(run: &Run, status: StepStatus) -> (Tone, &'static str) {
    match status {
        StepStatus::Done => (Tone::Good, "done"),
        StepStatus::Failed => (Tone::Bad, "FAILED"),
        StepStatus::NotRun => (Tone::Doubt, "NOT RUN"),
        StepStatus::Interrupted if run.interrupted => (Tone::Doubt, "INTERRUPTED"),
        StepStatus::Interrupted => (Tone::Doubt, "CUT OFF"),
    }
}
