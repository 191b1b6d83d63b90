//! Sample runs for the tests of reports: each is the fold of events written by hand, as a drill would emit them.

#![allow(clippy::expect_used, reason = "for tests only: a sample that cannot be made is a failed test")]

mod alarm;
mod evidence;
mod faults;
mod given;
mod matrix;
mod real;
mod repeated;
mod runbook;

pub use alarm::{alarmed, alarmed_story};
pub use evidence::{backup, baseline, header, held, load, place, recovery, server};
pub use faults::{mutants, mutants_story, noticed, noticed_story};
pub use given::{drifted, given, given_story, kept};
pub use matrix::matrix;
pub use real::{alarm_to_rollback, incident, lossy, second_disaster, sweep};
pub use repeated::{baseline as recoveries_before, repeated, repeated_story, slower};
pub use runbook::{as_written, as_written_story, corrected, corrected_story};

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::event::Header;
use pgdrill_model::event::{Event, Happening, StepStatus, Teardown, Unit};
use pgdrill_model::evidence::{
    BackupEvidence, CheckRecord, CheckStatus, CollationVersion, DatabaseCollations, Evidence,
    LeftOverEvidence, MarkEvidence, Phase, PlaceFacts, PointEvidence, RecoveryEvidence, ServerEvidence,
    SweepEvidence, TallyEvidence, WalEndEvidence, WorkEvidence,
};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Expect;
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;

/// 2026-11-22 19:15:00 UTC, when every sample begins.
const BEGINS_UNIX_US: i64 = 1_795_374_900_000_000;

/// How long each step of the sample plan takes, in milliseconds.
const STEP_MS: [u64; 9] = [1_240, 4_810, 3_120, 410, 730, 1_920, 140, 11_310, 6_450];

/// Events in the making, with a clock that runs only when told.
#[derive(Clone, Debug)]
pub struct Story {
    at_us: u64,
    events: Vec<Event>,
}

impl Story {
    /// A story that begins with `header`.
    pub fn begin(header: Header) -> Self {
        let mut story = Self { at_us: 0, events: Vec::new() };
        story.tell(Happening::RunStarted(Box::new(header)));
        story
    }

    /// Lets time pass.
    pub fn pass(&mut self, millis: u64) -> &mut Self {
        self.at_us += millis * 1_000;
        self
    }

    /// Something happens now.
    pub fn tell(&mut self, what: Happening) -> &mut Self {
        let unix_us = BEGINS_UNIX_US + i64::try_from(self.at_us).expect("a short story");
        self.events.push(Event { at_us: self.at_us, unix_us, what });
        self
    }

    /// A step that takes its usual time; `inside` is what happens at its end.
    pub fn step(&mut self, step: usize, status: StepStatus, inside: Vec<Happening>) -> &mut Self {
        self.tell(Happening::StepStarted { step });
        self.pass(STEP_MS[step]);
        for what in inside {
            self.tell(what);
        }
        self.tell(Happening::StepEnded { step, status, took_us: STEP_MS[step] * 1_000 })
    }

    /// Teardown and the end.
    pub fn end(&mut self, interrupted: bool, servers: &[&str]) -> &mut Self {
        self.tell(Happening::TeardownStarted);
        self.pass(420);
        self.tell(Happening::TornDown(Teardown {
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
            kept: None,
            workspace_bytes: 412 << 20,
            took_us: 420_000,
        }));
        self.tell(Happening::RunEnded { interrupted })
    }

    /// What has happened.
    pub fn events(&self) -> Vec<Event> {
        self.events.clone()
    }

    /// Its record.
    pub fn run(&self) -> Run {
        fold(&self.events).expect("a story begins with its header")
    }
}

fn measured_check(record: CheckRecord) -> Happening {
    Happening::Measured(Evidence::Check(record))
}

fn failed(check: Check, summary: &str) -> Happening {
    measured_check(CheckRecord { status: CheckStatus::Failed, summary: summary.to_owned(), ..held(check) })
}

/// A story up to and with the disaster, with nothing wrong in it.
pub fn until_disaster(header: Header) -> Story {
    let mut story = Story::begin(header);
    let copy = Happening::Progress {
        what: "copy \"Order\"".to_owned(),
        done: 100_000,
        total: Some(200_000),
        unit: Unit::Rows,
    };
    story
        .pass(30)
        .tell(place("primary"))
        .step(0, StepStatus::Done, vec![])
        .step(1, StepStatus::Done, vec![copy, Happening::Measured(Evidence::Load(load()))])
        .step(2, StepStatus::Done, vec![Happening::Measured(Evidence::Backup(backup()))])
        .step(3, StepStatus::Done, vec![])
        .step(4, StepStatus::Done, vec![])
        .step(
            5,
            StepStatus::Done,
            vec![
                Happening::Measured(Evidence::Baseline(baseline())),
                Happening::Measured(Evidence::Server(server("primary"))),
            ],
        )
        .step(6, StepStatus::Done, vec![])
        .tell(place("restored"));
    story
}

/// Every check held, on a server that says what it is.
fn everything_held() -> Vec<Happening> {
    let checks = Check::all_of(false).into_iter().map(|check| measured_check(held(check)));
    [Happening::Measured(Evidence::Server(server("restored")))].into_iter().chain(checks).collect()
}

/// The events of a drill in which everything held.
pub fn proven_story() -> Story {
    let mut story = until_disaster(header());
    story
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovery()))])
        .step(8, StepStatus::Done, everything_held())
        .end(false, &["primary", "restored"]);
    story
}

/// Everything held.
pub fn proven() -> Run {
    proven_story().run()
}

/// Archived WAL was missing: the server promoted early, rows are lost, and it took too long.
pub fn disproven() -> Run {
    disproven_story().run()
}

/// The events of [`disproven`].
pub fn disproven_story() -> Story {
    let mut story = until_disaster(header());
    let mut short = recovery();
    short.reached_lsn = Some(Lsn(0x0812_34A8));
    short.last_segment = Some("000000010000000000000007".to_owned());
    short.segments = 2;
    short.phases[4].took_us = 28_310_000;
    short.rto_us = Some(31_644_000);
    let recovery_short = Finding::new(
        Code::RecoveryShort,
        Stage::Recover,
        "recovery ended at 0/81234A8, and the primary's content was captured at 0/9000060",
    )
    .with("captured", "0/9000060")
    .with("reached", "0/81234A8");
    let rows = Finding::new(
        Code::RowCountMismatch,
        Stage::Check,
        "public.\"AuditLog\" has 199 412 rows, and the primary had 200 000",
    )
    .by(Check::RowCounts)
    .about("trading.public.\"AuditLog\"")
    .with("expected", "200000")
    .with("found", "199412");
    let content = Finding::new(
        Code::FingerprintMismatch,
        Stage::Check,
        "public.\"Order\" differs from the primary's content",
    )
    .by(Check::Fingerprints)
    .about("trading.public.\"Order\"")
    .hint("588 rows of \"AuditLog\" are missing too: look for a WAL segment that never reached the archive.")
    .with("expected", "1583800000:20945800000")
    .with("found", "1583799871:20945801123");
    let log = Finding::new(Code::ServerLogError, Stage::Check, "the restored server logged a FATAL line")
        .by(Check::ServerLog)
        .about("restored.log:17")
        .with(
            "line",
            "2026-11-22 19:15:38.114 UTC [4711] FATAL:  could not restore file \"000000010000000000000008\" from \
             archive: command not found\n2026-11-22 19:15:38.115 UTC [4711] DETAIL:  The failed archive command \
             was: /bin/false",
        );
    let mut checked: Vec<Happening> = Check::all_of(false)
        .into_iter()
        .filter(|check| !matches!(check, Check::RowCounts | Check::Fingerprints | Check::ServerLog))
        .map(|check| measured_check(held(check)))
        .collect();
    checked.splice(
        0..0,
        [
            Happening::Measured(Evidence::Server(server("restored"))),
            Happening::Found(rows),
            failed(Check::RowCounts, "1 of 5 tables differs: 588 rows are missing"),
            Happening::Found(content),
            failed(Check::Fingerprints, "2 of 5 tables differ from the primary"),
            Happening::Found(log),
            failed(Check::ServerLog, "24 lines, 1 of them FATAL"),
        ],
    );
    story
        .step(
            7,
            StepStatus::Done,
            vec![Happening::Found(recovery_short), Happening::Measured(Evidence::Recovery(short))],
        )
        .step(8, StepStatus::Done, checked)
        .end(false, &["primary", "restored"]);
    story
}

/// The primary did not start: nothing was learnt about a backup.
pub fn unverified() -> Run {
    let finding = Finding::new(Code::ServerStartFailed, Stage::Prepare, "the primary did not start: exit code 1")
        .about("primary")
        .with(
            "log",
            "2026-11-22 19:15:01.114 UTC [4711] FATAL:  could not map anonymous shared memory: Cannot allocate memory",
        );
    let mut story = Story::begin(header());
    story
        .pass(30)
        .tell(place("primary"))
        .step(0, StepStatus::Failed, vec![Happening::Found(finding)])
        .end(false, &[]);
    story.run()
}

/// A person ended it during the recovery.
pub fn interrupted() -> Run {
    let mut story = until_disaster(header());
    story.step(7, StepStatus::Interrupted, vec![]).end(true, &["restored"]);
    story.run()
}

/// pgdrill was killed during the recovery; the record was made of the journal.
pub fn died() -> Run {
    let mut story = until_disaster(header());
    story.tell(Happening::StepStarted { step: 7 }).pass(2_000).tell(Happening::Progress {
        what: "replay".to_owned(),
        done: 1,
        total: None,
        unit: Unit::Segments,
    });
    story.run()
}

/// The header of a drill that must end disproven.
fn header_of_fault() -> Header {
    Header {
        scenario: "fault/base-truncated".to_owned(),
        title: "A truncated base.tar.gz must not be restored".to_owned(),
        expect: Some(Expect {
            verdict: Verdict::Disproven,
            finding: Some(Code::UnpackFailed),
            stage: Some(Stage::Recover),
        }),
        rto_us: None,
        ..header()
    }
}

/// The drill had to end disproven by a code at a stage, and did.
pub fn expectation_met() -> Run {
    let finding = Finding::new(
        Code::UnpackFailed,
        Stage::Recover,
        "tar could not unpack base.tar.gz: gzip: stdin: unexpected end of file",
    )
    .about("backup/backup-1/base.tar.gz")
    .with("exit", "exit code 2");
    let mut story = until_disaster(header_of_fault());
    story.step(7, StepStatus::Failed, vec![Happening::Found(finding)]).end(false, &["primary"]);
    story.run()
}

/// The drill had to end disproven, and everything held: nobody noticed the fault.
pub fn expectation_missed() -> Run {
    let mut story = until_disaster(header_of_fault());
    story
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovery()))])
        .step(8, StepStatus::Done, everything_held())
        .end(false, &["primary", "restored"]);
    story.run()
}

/// Text that would break a terminal, XML, a file name or a table that trusted it.
pub const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\nPROVEN: all is well\r\n]]><x a=\"&\">\0\u{202e}\t`'\"\\";

/// A disproven run in which every text that comes from elsewhere is [`HOSTILE`].
pub fn hostile() -> Run {
    let mut header = header();
    for text in
        [&mut header.id, &mut header.scenario, &mut header.title, &mut header.runtime, &mut header.version]
    {
        HOSTILE.clone_into(text);
    }
    for step in &mut header.plan {
        HOSTILE.clone_into(&mut step.name);
        HOSTILE.clone_into(&mut step.does);
    }
    let finding = Finding::new(Code::RowCountMismatch, Stage::Check, HOSTILE)
        .by(Check::RowCounts)
        .about(HOSTILE)
        .hint(HOSTILE)
        .with(HOSTILE, HOSTILE);
    let recovery = RecoveryEvidence {
        by: HOSTILE.to_owned(),
        target: HOSTILE.to_owned(),
        state: Some(HOSTILE.to_owned()),
        last_segment: Some(HOSTILE.to_owned()),
        phases: vec![Phase { name: HOSTILE.to_owned(), took_us: 1 }],
        rto_us: Some(1),
        server: HOSTILE.to_owned(),
        wanted: Some(PointEvidence { segment: Some(HOSTILE.to_owned()), ..PointEvidence::default() }),
        reached: Some(PointEvidence { segment: Some(HOSTILE.to_owned()), ..PointEvidence::default() }),
        archive_end: Some(WalEndEvidence { why: HOSTILE.to_owned(), ..WalEndEvidence::default() }),
        left_over: vec![LeftOverEvidence { name: HOSTILE.to_owned(), from: HOSTILE.to_owned() }],
        quarantine: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
        ..recovery()
    };
    let collation = CollationVersion {
        provider: HOSTILE.to_owned(),
        locale: HOSTILE.to_owned(),
        recorded: Some(HOSTILE.to_owned()),
        actual: Some(HOSTILE.to_owned()),
        uses: 1,
    };
    let said = ServerEvidence {
        server: HOSTILE.to_owned(),
        version: HOSTILE.to_owned(),
        databases: [(
            HOSTILE.to_owned(),
            DatabaseCollations { default: collation.clone(), used: [(HOSTILE.to_owned(), collation)].into() },
        )]
        .into(),
    };
    let backup = BackupEvidence {
        name: HOSTILE.to_owned(),
        tool: HOSTILE.to_owned(),
        format: HOSTILE.to_owned(),
        compress: HOSTILE.to_owned(),
        compress_side: HOSTILE.to_owned(),
        compress_detail: HOSTILE.to_owned(),
        wal: HOSTILE.to_owned(),
        manifest_checksums: HOSTILE.to_owned(),
        from: HOSTILE.to_owned(),
        incremental_of: Some(HOSTILE.to_owned()),
        tablespaces: 1,
        tablespace_bytes: 1,
        ..backup()
    };
    let facts = PlaceFacts {
        runtime: HOSTILE.to_owned(),
        postgres: HOSTILE.to_owned(),
        bin_dir: HOSTILE.into(),
        user: HOSTILE.to_owned(),
        shared: vec![HOSTILE.to_owned()],
        image: Some(HOSTILE.to_owned()),
        image_digest: Some(HOSTILE.to_owned()),
        engine: Some(HOSTILE.to_owned()),
    };
    let points = [
        Evidence::Work(WorkEvidence {
            server: HOSTILE.to_owned(),
            writers: 1,
            behind: false,
            acknowledged: 1,
            rolled_back: 0,
            failed: 0,
            unanswered: 0,
            cancelled_waits: 0,
            took_us: 1,
            ended_by: Some(HOSTILE.to_owned()),
        }),
        Evidence::Mark(MarkEvidence {
            name: HOSTILE.to_owned(),
            server: HOSTILE.to_owned(),
            timeline: 1,
            lsn: Lsn(1),
            xid: 1,
            unix_us: 1,
        }),
        Evidence::Tally(TallyEvidence { server: HOSTILE.to_owned(), lost: 1, ..TallyEvidence::default() }),
        Evidence::Sweep(SweepEvidence {
            first_failure: Some(HOSTILE.to_owned()),
            ..SweepEvidence::default()
        }),
    ];
    let mut story = Story::begin(header);
    for evidence in points {
        story.tell(Happening::Measured(evidence));
    }
    story
        .tell(Happening::PlaceOpened { server: HOSTILE.to_owned(), facts })
        .step(2, StepStatus::Done, vec![Happening::Measured(Evidence::Backup(backup))])
        .step(5, StepStatus::Done, vec![Happening::Measured(Evidence::Server(said))])
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovery))])
        .step(8, StepStatus::Done, vec![Happening::Found(finding), failed(Check::RowCounts, HOSTILE)])
        .tell(Happening::TornDown(Teardown {
            servers: vec![HOSTILE.to_owned()],
            kept: Some(HOSTILE.to_owned()),
            workspace_bytes: 1,
            took_us: 1,
        }))
        .tell(Happening::RunEnded { interrupted: false });
    story.run()
}

/// Every sample that a drill can end as, by name.
pub fn all() -> Vec<(&'static str, Run)> {
    vec![
        ("proven", proven()),
        ("disproven", disproven()),
        ("unverified", unverified()),
        ("interrupted", interrupted()),
        ("died", died()),
        ("expectation-met", expectation_met()),
        ("expectation-missed", expectation_missed()),
        ("second-disaster", second_disaster()),
        ("lossy", lossy()),
        ("sweep", sweep()),
        ("noticed", noticed()),
        ("mutants", mutants()),
        ("alarmed", alarmed()),
        ("as-written", as_written()),
        ("corrected", corrected()),
        ("repeated", repeated()),
        ("slower", slower()),
        ("given", given()),
        ("drifted", drifted()),
    ]
}
