//! The operations runbook as one table: each of its steps, the system that it is about, and what in the record of a drill shows
//! that it was done and what came of it. From it come the part of a report that says which steps were proven, disproven or not
//! rehearsed, and the timeline against the runbook's budgets.

use std::fmt;
use std::time::Duration;

use crate::alert::Alert;
use crate::check::Check;
use crate::run::Run;
use crate::verdict::Verdict;

mod readings;
mod timeline;

use readings::{
    alert, asked, check, copied, endpoints, healthy, lost, prepared, protected, replayed, restored,
    rolled_back, started, stepped_back, stopped, triaged,
};
pub use timeline::{Budget, Moment, Timeline};

/// A part of the runbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What tells that something is wrong.
    Detection,
    /// The first five minutes.
    Response,
    /// Up to minute 30.
    Recovery,
    /// Up to minute 60.
    Application,
    /// What must hold then.
    Verification,
    /// The ways back.
    Rollback,
    /// What is left to do.
    Afterwards,
}

impl Part {
    /// Its heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Response => "immediate response",
            Self::Recovery => "data recovery",
            Self::Application => "application recovery",
            Self::Verification => "verification",
            Self::Rollback => "rollback",
            Self::Afterwards => "post-recovery",
        }
    }

    /// Until when after the loss it is to be done, where the runbook says so.
    pub fn budget(self) -> Option<Duration> {
        let minutes = match self {
            Self::Response => 5,
            Self::Recovery => 30,
            Self::Application => 60,
            _ => return None,
        };
        Some(Duration::from_secs(minutes * 60))
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was done, and what it is for came of it; with what shows it.
    Proven(String),
    /// It was done, and did not bring what it is for; with what was seen.
    Disproven(String),
    /// No drill did it.
    NotRehearsed,
    /// It is for a person.
    ByHand,
}

impl State {
    /// In one word or two.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proven(_) => "proven",
            Self::Disproven(_) => "disproven",
            Self::NotRehearsed => "not rehearsed",
            Self::ByHand => "by hand",
        }
    }

    /// What shows it.
    pub fn evidence(&self) -> &str {
        match self {
            Self::Proven(evidence) | Self::Disproven(evidence) => evidence,
            Self::NotRehearsed | Self::ByHand => "",
        }
    }

    /// Which of two drills counts: what failed once is not made good by another.
    fn rank(&self) -> u8 {
        match self {
            Self::Disproven(_) => 0,
            Self::Proven(_) => 1,
            Self::NotRehearsed => 2,
            Self::ByHand => 3,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The step.
    pub step: Step,
    /// Its part.
    pub part: Part,
    /// What it is about: `PostgreSQL`, `PgBouncer`, `trading API`.
    pub system: &'static str,
    /// What is done.
    pub does: &'static str,
    /// What the record of a drill says of it; none where it is for a person.
    reads: Option<fn(&Run) -> State>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.step)
    }
}

macro_rules! runbook {
    ($($step:ident $part:ident $system:literal $does:literal $reads:expr;)+) => {
        /// A step of the runbook.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Step {
            $(#[doc = $does] $step,)+
        }

        /// Every step, in the runbook's order.
        pub const STEPS: &[Entry] = &[
            $(Entry { step: Step::$step, part: Part::$part, system: $system, does: $does, reads: $reads },)+
        ];
    };
}

runbook! {
    AlertConnections Detection "PostgreSQL" "alert on more than 5 failed connections in 1 minute"
        Some(|run| alert(run, Alert::ConnectionFailures));
    AlertArchiving Detection "WAL archive" "alert on more than 3 archiving failures in 10 minutes"
        Some(|run| alert(run, Alert::ArchivingFailures));
    AlertGrowth Detection "PostgreSQL" "alert on a size that grows by more than 50 % in 1 hour"
        Some(|run| alert(run, Alert::SizeGrowth));
    AlertQueries Detection "PostgreSQL" "alert on queries that take longer than 10 minutes"
        Some(|run| alert(run, Alert::LongQueries));
    CheckServer Response "PostgreSQL" "see whether the server runs and answers SELECT 1"
        Some(|run| triaged(run, readings::server));
    CheckPool Response "PgBouncer" "see the connection pool: SHOW POOLS"
        Some(|run| triaged(run, readings::pool));
    CheckDisk Response "PostgreSQL" "see the disks of the data and of the archive"
        Some(|run| triaged(run, readings::disks));
    CheckArchiving Response "WAL archive" "see pg_stat_archiver, and the newest segment of the archive"
        Some(|run| triaged(run, readings::archiver));
    StopApplication Recovery "trading API and web" "stop the application"
        Some(stopped);
    StopServer Recovery "PostgreSQL" "stop the server, and see that nothing of it is left"
        Some(lost);
    SafetyCopy Recovery "PostgreSQL" "copy what is left of the data, and compare the copy"
        Some(copied);
    Restore Recovery "pg_basebackup" "restore the base backup"
        Some(restored);
    Configure Recovery "PostgreSQL" "set restore_command, target and recovery.signal, and stop where they say"
        Some(prepared);
    StartServer Recovery "PostgreSQL" "start the server; it is promoted and takes writes"
        Some(started);
    Replay Recovery "WAL archive" "watch the recovery in the log: segments, rate, end"
        Some(replayed);
    StartApplication Application "trading API and web" "start the application"
        Some(healthy);
    HealthEndpoints Application "health endpoints" "GET /api/healthz of the API and of the web"
        Some(endpoints);
    MetricsEndpoint Application "metrics endpoint" "GET /api/public/metrics.prom, with database, connection and query metrics"
        Some(|run| asked(run, "metrics"));
    ListStrategies Application "trading API" "POST /api/strategies/list"
        Some(|run| asked(run, "list strategies"));
    VerifyConnectivity Verification "PostgreSQL" "connect as the application, and write"
        Some(|run| check(run, &[Check::FirstWrite]));
    VerifyCounts Verification "PostgreSQL" "count \"Position\" and \"Order\", and compare what they hold"
        Some(|run| check(run, &[Check::RowCounts, Check::Fingerprints]));
    VerifyIntegrity Verification "verify_backup_integrity()" "SELECT * FROM verify_backup_integrity()"
        Some(|run| check(run, &[Check::Integrity]));
    Login Verification "PgBouncer" "log in with a password, and not with a wrong one"
        Some(|run| asked(run, "log in").and(asked(run, "log in with a wrong password")));
    Dashboard Verification "trading web" "load the dashboard"
        Some(|run| asked(run, "dashboard"));
    PlaceOrder Verification "trading API" "place an order"
        Some(|run| asked(run, "place an order"));
    Portfolio Verification "trading API" "see the portfolio"
        Some(|run| asked(run, "portfolio"));
    AuditLog Verification "trading API" "see that the audit log is complete, with the new order's rows"
        Some(|run| asked(run, "its audit rows").and(check(run, &[Check::Conservation, Check::Integrity])));
    RollbackFailed Rollback "PostgreSQL" "if the recovery fails: put the safety copy back, as it was"
        Some(rolled_back);
    RollbackCorrupt Rollback "pg_basebackup" "if the data is corrupt: restore the last backup that is known to be good"
        Some(stepped_back);
    TestBackups Afterwards "pg_basebackup" "archive on the new timeline, take a new base backup, and prove it"
        Some(protected);
    RootCause Afterwards "people" "root cause analysis"
        None;
    UpdateRunbook Afterwards "people" "update the runbook, the alerts and the documentation"
        None;
}

impl State {
    /// Both: the worse of the two, and the evidence of both where they are the same.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Proven(one), Self::Proven(other)) => Self::Proven(format!("{one}; {other}")),
            (Self::Disproven(why), _) | (_, Self::Disproven(why)) => Self::Disproven(why),
            (Self::Proven(_), other) | (other, _) => other,
        }
    }
}

impl Entry {
    /// What a drill says of the step. One that was to fail, and did, says nothing of what failed in it.
    fn read(&self, run: &Run) -> State {
        match self.reads.map(|reads| reads(run)) {
            None => State::ByHand,
            Some(State::Disproven(_)) if failed_as_expected(run) => State::NotRehearsed,
            Some(state) => state,
        }
    }
}

fn failed_as_expected(run: &Run) -> bool {
    run.verdict == Verdict::Proven && run.observed != Verdict::Proven
}

/// What those drills that rehearse the runbook say of each step together, in its order: what failed in one is not made good by
/// another.
pub fn of<'r>(runs: impl IntoIterator<Item = &'r Run>) -> Vec<(&'static Entry, State)> {
    let rehearsals: Vec<&Run> = runs.into_iter().filter(|run| is_rehearsed(run)).collect();
    let together = |entry: &'static Entry| {
        let none = if entry.reads.is_none() { State::ByHand } else { State::NotRehearsed };
        let worst = rehearsals.iter().map(|run| entry.read(run)).min_by_key(State::rank);
        (entry, worst.unwrap_or(none))
    };
    STEPS.iter().map(together).collect()
}

/// Whether a drill rehearses the runbook, beyond losing a server and recovering it.
pub fn is_rehearsed(run: &Run) -> bool {
    let stepped_back = run.recoveries.iter().any(|recovery| !recovery.passed_over.is_empty());
    !run.applications.is_empty()
        || !run.triages.is_empty()
        || !run.alerts.is_empty()
        || run.rollback.is_some()
        || stepped_back
}
