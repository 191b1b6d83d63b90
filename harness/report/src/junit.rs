//! The report for a CI server: JUnit XML, one suite per drill.
//!
//! ```xml
//! <testsuites name="pgdrill" tests="20" skipped="0" failures="2" errors="0">
//!     <testsuite name="smoke/restore-tar-gzip on PostgreSQL 15" tests="20" ...>
//!         <properties>...</properties>
//!         <testcase name="step 1: create-cluster" classname="smoke/restore-tar-gzip" time="1.240"/>
//!         <testcase name="check row-counts" ...><failure message="..." type="ROW_COUNT_MISMATCH">...</failure>
//!         <testcase name="verdict" ...><failure message="..." type="disproven">...</failure>
//! ```
//!
//! A case for each step and each check, and a last one, `verdict`, which is green only when the verdict is `proven`:
//! whatever was skipped, a suite that proves nothing is never green. Where a scenario says how the drill must end
//! and it ended so, what failed on the way is no failure of the suite, and is told in the case's output.

use std::time::Duration;

use pgdrill_model::code::Weight;
use pgdrill_model::event::{Happening, StepStatus};
use pgdrill_model::evidence::{CheckRecord, CheckStatus};
use pgdrill_model::finding::Finding;
use pgdrill_model::run::{Run, StepRecord};
use pgdrill_model::verdict::Verdict;
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::words;

/// The report of all drills of one command.
///
/// # Errors
///
/// When the XML cannot be written, which text in memory gives no cause for.
pub fn runs(runs: &[Run]) -> Result<String, SerializeError> {
    let mut report = Report::new("pgdrill");
    report.set_time(Duration::from_micros(runs.iter().map(|run| run.took_us).sum()));
    for run in runs {
        report.add_test_suite(suite(run));
    }
    report.to_string()
}

fn suite(run: &Run) -> TestSuite {
    let header = &run.header;
    let mut suite = TestSuite::new(format!("{} on PostgreSQL {}", header.scenario, header.postgres));
    suite.set_time(Duration::from_micros(run.took_us));
    stamp(&mut suite.extra, run.started_unix_us);
    for (name, value) in properties(run) {
        suite.add_property((name, value.as_str()));
    }
    let begins = beginnings(run);
    for (index, step) in run.steps.iter().enumerate() {
        suite.add_test_case(step_case(run, index, step, begins.get(index).copied().flatten()));
    }
    for record in &run.checks {
        suite.add_test_case(check_case(run, record));
    }
    suite.add_test_case(verdict_case(run));
    suite
}

/// A timestamp as JUnit wants it. The crate's own setter would bring a second library of dates into the tree.
fn stamp<M>(attributes: &mut M, unix_us: i64)
where
    M: Extend<(quick_junit::XmlString, quick_junit::XmlString)>,
{
    let moment = words::strftime(unix_us, "%Y-%m-%dT%H:%M:%S%.3f+00:00");
    attributes.extend([("timestamp".into(), moment.as_str().into())]);
}

/// Facts of the drill by name; one that has several of a kind, such as backups, has the name several times.
fn properties(run: &Run) -> Vec<(&'static str, String)> {
    let header = &run.header;
    let mut properties = vec![
        ("run", header.id.clone()),
        ("seed", header.seed.to_string()),
        ("scenario", header.scenario.clone()),
        ("scenario_sha256", header.scenario_sha256.clone()),
        ("postgres", header.postgres.to_string()),
        ("postgres_versions", words::versions(run).join("; ")),
        ("pgdrill", header.version.clone()),
        ("runtime", header.runtime.clone()),
        ("verdict", run.verdict.name().to_owned()),
        ("observed", run.observed.name().to_owned()),
    ];
    properties.extend(run.backups.iter().map(|backup| {
        let size = words::untied(&words::bytes(backup.bytes));
        ("backup", format!("{}: {}, {size}", backup.name, words::backup(backup)))
    }));
    for objective in &run.objectives {
        let seconds = |us: u64| format!("{:.3}", Duration::from_micros(us).as_secs_f64());
        if let Some(loss) = &objective.loss {
            properties.extend([
                ("rpo_lost_transactions", loss.transactions.to_string()),
                ("rpo_lost_rows", loss.rows.to_string()),
                ("rpo_lost_seconds", seconds(loss.time_us)),
                ("rpo_lost_wal_bytes", loss.wal_bytes.to_string()),
            ]);
        }
        properties.extend(objective.target_rpo.map(|target| ("rpo_target", target.to_string())));
        let (target, measured) = match objective.name.as_str() {
            "outage" => ("outage_target_seconds", "outage_measured_seconds"),
            _ => ("rto_target_seconds", "rto_measured_seconds"),
        };
        properties.extend(objective.target_us.map(|us| (target, seconds(us))));
        properties.extend(objective.measured_us.map(|us| (measured, seconds(us))));
    }
    properties
}

/// When each step began, by the events.
fn beginnings(run: &Run) -> Vec<Option<i64>> {
    let mut begins = vec![None; run.steps.len()];
    for event in &run.events {
        if let Happening::StepStarted { step } = event.what
            && let Some(begin) = begins.get_mut(step)
        {
            *begin = Some(event.unix_us);
        }
    }
    begins
}

fn step_case(run: &Run, index: usize, step: &StepRecord, began: Option<i64>) -> TestCase {
    let found = words::findings_of_step(run, index);
    let heaviest = found.iter().map(|finding| finding.weight).max();
    let status = match step.status {
        StepStatus::NotRun => skipped("the drill ended before it"),
        StepStatus::Done if heaviest.is_none_or(|weight| weight == Weight::Notes) => {
            TestCaseStatus::success()
        }
        status => {
            let kind = if heaviest == Some(Weight::Disproves) {
                NonSuccessKind::Failure
            } else {
                NonSuccessKind::Error
            };
            non_success(kind, words::step_status(run, status).1, &found)
        }
    };
    let mut case = case(run, &format!("step {}: {}", index + 1, step.planned.name), status);
    case.set_time(Duration::from_micros(step.took_us));
    if let Some(unix_us) = began {
        stamp(&mut case.extra, unix_us);
    }
    case
}

fn check_case(run: &Run, record: &CheckRecord) -> TestCase {
    let found = words::findings_of_check(run, record);
    let disproves = found.iter().any(|finding| finding.weight == Weight::Disproves);
    let status = match record.status {
        CheckStatus::Held if !disproves => TestCaseStatus::success(),
        CheckStatus::NotRun if !disproves => skipped(&record.summary),
        _ => {
            let kind = if disproves { NonSuccessKind::Failure } else { NonSuccessKind::Error };
            non_success(kind, &record.summary, &found)
        }
    };
    let mut case = case(run, &format!("check {}", words::check_of(run, record)), status);
    case.set_time(Duration::from_micros(record.took_us));
    if record.status == CheckStatus::Held {
        let examined = words::untied(&words::count(record.examined, record.check.entry().unit));
        case.set_system_out(format!("{}\nexamined: {examined}", record.summary));
    }
    case
}

fn verdict_case(run: &Run) -> TestCase {
    let all: Vec<&Finding> = run.findings.iter().collect();
    let kind = match run.verdict {
        Verdict::Proven => None,
        Verdict::Unverified => Some(NonSuccessKind::Error),
        Verdict::Disproven => Some(NonSuccessKind::Failure),
    };
    let status = match kind {
        None => TestCaseStatus::success(),
        Some(kind) => {
            let mut status = non_success(kind, &run.reason, &all);
            status.set_message(run.reason.as_str());
            status.set_type(run.verdict.name());
            status
        }
    };
    let mut case = TestCase::new("verdict", status);
    case.set_classname(run.header.scenario.as_str());
    // The whole drill's time is the suite's; a case that repeated it would double the sum.
    case.set_time(Duration::ZERO);
    let not_tested = run.not_tested.iter().map(|item| format!("\n- {item}")).collect::<String>();
    case.set_system_out(format!(
        "{}: {}\nnot tested:{not_tested}",
        words::verdict(run.verdict).1,
        run.reason
    ));
    case
}

/// A case; in a drill whose verdict is `proven`, what failed was expected to, and is output instead.
fn case(run: &Run, name: &str, status: TestCaseStatus) -> TestCase {
    let expected = match &status {
        TestCaseStatus::NonSuccess { message, description, .. } if run.verdict == Verdict::Proven => {
            Some(format!(
                "failed, as the scenario expects: {}\n{}",
                message.as_deref().unwrap_or_default(),
                description.as_deref().unwrap_or_default()
            ))
        }
        _ => None,
    };
    let mut case = TestCase::new(name, if expected.is_some() { TestCaseStatus::success() } else { status });
    case.set_classname(run.header.scenario.as_str());
    if let Some(output) = expected {
        case.set_system_out(output);
    }
    case
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

fn non_success(kind: NonSuccessKind, message: &str, found: &[&Finding]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    let message = found.first().map_or(message, |finding| finding.message.as_str());
    status.set_message(message);
    if let Some(first) = found.first() {
        status.set_type(first.code.name());
    }
    let (not_run, rest): (Vec<&Finding>, Vec<&Finding>) =
        found.iter().partition(|finding| found.len() > 1 && words::only_not_run(finding));
    let mut texts: Vec<String> = rest.into_iter().map(told).collect();
    if !not_run.is_empty() {
        texts.push(words::untied(&words::not_run(&not_run)));
    }
    status.set_description(texts.join("\n\n"));
    status
}

/// A finding with everything that it says.
fn told(finding: &Finding) -> String {
    let mut text = format!("{} ({}): {}", finding.code, words::weight(finding.weight).1, finding.message);
    for (name, value) in words::facts(finding) {
        text.push_str(&format!("\n{name}: {}", words::untied(&value)));
    }
    text.push_str(&format!("\nhint: {}", words::hint(finding)));
    text
}
