//! A verification, as people see it: how far it is, what is wrong, and the report.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pgdrill_backup::parts::Part;
use pgdrill_backup::verify::{ChainReport, Progress, Report, Source};
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::finding::Finding;
use pgdrill_model::units::{show_bytes, show_count, show_duration};
use pgdrill_model::verdict::Verdict;
use pgdrill_repository::base::{Base, Form};
use pgdrill_repository::{Backup, Held};
use serde_json::Value;

use crate::exit::Exit;
use crate::progress::clean;
use crate::{printer, window};

/// How often progress is told where there is no terminal, if it is asked for.
const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a backup comes from, as it is named on the command line.
pub fn source(backup: PathBuf) -> Source {
    if backup == Path::new("-") {
        Source::Stream(Box::new(std::io::stdin()))
    } else if backup.is_file() {
        match one_tar(&backup) {
            Some(part) => Source::OneTar(part),
            None => Source::Archive(backup),
        }
    } else {
        Source::Directory(backup)
    }
}

/// The tar of a whole data directory that a file is; none where it is one of several.
fn one_tar(path: &Path) -> Option<Part> {
    let found = pgdrill_repository::look(path).ok()?;
    match found.backups.as_slice() {
        [Backup { held: Held::Base(Base { form: Form::OneTar { packed, below }, .. }), path, .. }] => {
            Some(Part::one_tar(path.clone(), *packed, below.clone()))
        }
        _ => None,
    }
}

/// Says that the work is over, and wakes who waits for that.
struct Ended<'a> {
    over: &'a AtomicBool,
    teller: Thread,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.teller.unpark();
    }
}

/// Does the work, and shows how far it is: by a moving line on a terminal, elsewhere by lines, if they are asked for.
/// None when the work died of a bug, which was told.
pub fn watched<T: Send>(asked: bool, quiet: bool, work: impl FnOnce(&Progress) -> T + Send) -> Option<T> {
    let progress = Progress::default();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (progress, over, teller) = (&progress, &over, thread::current());
        let worker = scope.spawn(move || {
            // Also when it dies.
            let _ended = Ended { over, teller };
            work(progress)
        });
        show(progress, asked, quiet, over);
        worker.join().ok()
    })
}

fn show(progress: &Progress, asked: bool, quiet: bool, over: &AtomicBool) {
    let terminal = std::io::stderr().is_terminal() && !quiet;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    if terminal {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let template = "  {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let mut told = Instant::now();
    while !over.load(Ordering::Acquire) {
        let (done, total) = (progress.done.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
        if terminal {
            if total > 0 {
                bar.set_length(total);
            }
            bar.set_position(done);
        } else if asked && told.elapsed() >= PLAIN_EVERY {
            told = Instant::now();
            let percent = (done * 100).checked_div(total).map(|percent| format!(" ({percent}%)"));
            let (done, total) = (done / 1024, total / 1024);
            printer::say(&format!("{done}/{total} kB{} verified", percent.unwrap_or_default()));
        }
        thread::park_timeout(LOOK_EVERY);
    }
    bar.finish_and_clear();
}

/// Tells what is wrong, each finding on a line of its own, on standard error.
pub fn tell(report: &Report) {
    report.findings.iter().for_each(one);
    if report.more_findings > 0 {
        printer::say(&format!("pgdrill: {} more findings like these", show_count(report.more_findings)));
    }
}

/// Tells of one thing that is wrong.
pub fn one(finding: &Finding) {
    let weight = match finding.weight {
        Weight::Notes => "note",
        _ => "error",
    };
    printer::say(&format!("pgdrill: {weight}: {}", clean(&finding.message)));
    if let Some(detail) = finding.evidence.get("detail") {
        printer::say(&format!("pgdrill: detail: {}", clean(detail)));
    }
    if let Some(hint) = &finding.hint {
        printer::say(&format!("pgdrill: hint: {}", clean(hint)));
    }
}

/// The report, as people read it, with how long it took where that is of this backup alone.
pub fn face(report: &Report, took: Option<Duration>) -> String {
    let mut text = String::new();
    if report.verdict == Verdict::Proven {
        // The words of pg_verifybackup, for which scripts look.
        text.push_str("backup successfully verified\n");
    }
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}{value}\n"));
    let facts = &report.backup;
    line("backup", clean(&facts.path));
    let of = [
        facts.major.map(|major| format!("PostgreSQL {major}")),
        facts.system_identifier.map(|system| format!("system {system}")),
        facts.timeline.map(|timeline| format!("timeline {timeline}")),
    ];
    line("of", of.into_iter().flatten().collect::<Vec<_>>().join(", "));
    if let Some(started) = &facts.started {
        let label = facts.label.as_deref().unwrap_or_default();
        line("taken", clean(&format!("{started}, \"{label}\"")));
    }
    let counts = &report.checked;
    line(
        "verified",
        format!(
            "{} files, {}, {} checksums, {} pages of {} relation files, {} WAL records",
            show_count(counts.files),
            show_bytes(counts.bytes),
            show_count(counts.checksums),
            show_count(counts.pages),
            show_count(counts.relation_files),
            show_count(facts.wal_records),
        ),
    );
    if facts.pages_remade > 0 {
        let pages = show_count(facts.pages_remade);
        line("", format!("{pages} pages were read while they changed; the WAL makes them anew"));
    }
    for (index, what) in report.not_checked.iter().enumerate() {
        line(if index == 0 { "not verified" } else { "" }, clean(what));
    }
    let wrong = report.findings.iter().filter(|finding| finding.weight != Weight::Notes).count();
    let verdict = report.verdict.name().to_uppercase();
    let found = if wrong == 0 { String::new() } else { format!(", {} findings", show_count(wrong as u64)) };
    let took = took.map(|took| format!(", took {}", show_duration(took))).unwrap_or_default();
    line("verdict", format!("{verdict}{found}{took}"));
    let mut codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    codes.sort();
    codes.dedup();
    for code in codes {
        line("", format!("{code}: {}", code.entry().advice));
    }
    if let Some(survey) = &report.recovery {
        text.push_str(&format!("\n{}", window::text(survey)));
    }
    text
}

/// Writes a report where it was asked for; tells whether that is standard output, which then holds nothing else.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(json: Option<&Path>, report: &Value) -> anyhow::Result<bool> {
    let Some(path) = json else { return Ok(false) };
    let text = serde_json::to_string_pretty(report)? + "\n";
    if path == Path::new("-") {
        printer::out(&text)?;
        return Ok(true);
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(false)
}

/// The report of a chain: that of each backup, and how they fit together.
pub fn chain(report: &ChainReport, took: Duration) -> String {
    let mut text = String::new();
    for member in &report.members {
        text.push_str(&face(member, None));
        text.push('\n');
    }
    for (index, what) in report.not_checked.iter().enumerate() {
        let name = if index == 0 { "not verified" } else { "" };
        text.push_str(&format!("{name:<14}{}\n", clean(what)));
    }
    let (backups, wrong) = (report.members.len(), report.findings.len());
    let fits = if wrong == 0 {
        "which fit together".to_owned()
    } else {
        format!("{wrong} findings on how they fit together")
    };
    let verdict = report.verdict.name().to_uppercase();
    text.push_str(&format!(
        "{:<14}{verdict}: {backups} backups, {fits}, took {}\n",
        "chain",
        show_duration(took)
    ));
    text
}

/// How the command ends.
pub fn exit(report: &Report) -> Exit {
    if report.is_bug() { Exit::Bug } else { exit_of(report.verdict) }
}

/// How the command ends with a verdict.
pub fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Proven => Exit::Proven,
        Verdict::Disproven => Exit::Disproven,
        Verdict::Unverified => Exit::Unverified,
    }
}
