//! Sample runs of backups that were there already: a directory of nightly ones, some of which were drilled.

use pgdrill_model::check::Check;
use pgdrill_model::drift::{Before, Drift};
use pgdrill_model::event::{Happening, Header, PlannedStep, StepStatus};
use pgdrill_model::evidence::{
    BackupEvidence, CountsEvidence, Evidence, HeldEvidence, PointEvidence, RecoveryEvidence, SourceEvidence,
};
use pgdrill_model::finding::Stage;
use pgdrill_model::run::Run;
use pgdrill_model::units::Lsn;

use super::{BEGINS_UNIX_US, Story, backup, header, held, measured_check, place, recovery, server};

const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// The labels of the backups, the oldest first, each a day after the one before; the last ended two hours before the drills.
const LABELS: [&str; 5] = ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"];

fn taken_unix_us(at: usize) -> i64 {
    BEGINS_UNIX_US - 7_200_000_000 - (LABELS.len() - 1 - at) as i64 * DAY_US
}

fn source(taken: usize) -> SourceEvidence {
    let backups = LABELS.iter().enumerate().map(|(at, label)| HeldEvidence {
        label: (*label).to_owned(),
        unix_us: Some(taken_unix_us(at)),
        upon: None,
        unfit: (at == 1).then(|| "backup_manifest.tmp is there and backup_manifest is not".to_owned()),
    });
    SourceEvidence {
        name: "/backups/nightly".to_owned(),
        kind: "a directory of backups".to_owned(),
        taken: LABELS[taken].to_owned(),
        backups: backups.collect(),
    }
}

fn counts(orders: u64) -> CountsEvidence {
    let rows = [("Order", orders), ("Position", 500), ("Quote", 0)];
    CountsEvidence {
        server: "restored".to_owned(),
        rows: rows.map(|(table, rows)| (format!("trading.public.{table}"), rows)).into(),
        unread: ["trading.public.Torn".to_owned()].into(),
    }
}

/// The events of a drill of one of the backups, with so many orders in it, held against the drill of the night before.
pub fn given_story(taken: usize, orders: u64, at_most_percent: Option<u64>) -> Story {
    let checks = Check::all_of_given(false);
    let planned = |name: &str, stage: Stage, line: usize, does: &str| PlannedStep {
        name: name.to_owned(),
        stage,
        line: Some(line),
        does: does.to_owned(),
    };
    let before = Before {
        run: "2k6mlatr0q".to_owned(),
        unix_us: BEGINS_UNIX_US - DAY_US,
        rows: [
            ("trading.public.Order", 200_000),
            ("trading.public.Position", 500),
            ("trading.public.Quote", 40),
            ("trading.public.Torn", 7),
        ]
        .map(|(table, rows)| (table.to_owned(), rows))
        .into(),
    };
    let mut story = Story::begin(Header {
        id: format!("night{taken}"),
        scenario: format!("prove/nightly/{}", LABELS[taken]),
        title: format!("Prove the backup {} in /backups/nightly", LABELS[taken]),
        plan: vec![
            planned("backup", Stage::Backup, 4, "look at the backup in /backups/nightly"),
            planned("recover", Stage::Recover, 8, "restore backup-1, replay the archive to its end"),
            planned("check", Stage::Check, 10, "read-all, collations, integrity, amcheck"),
        ],
        checks: checks.clone(),
        rto_us: None,
        drift: Some(Drift { before: Some(before), at_most_percent }),
        ..header()
    });
    let own = BackupEvidence {
        path: Some(format!("/backups/nightly/{}", LABELS[taken]).into()),
        label: Some(LABELS[taken].to_owned()),
        ended_unix_us: taken_unix_us(taken),
        ..backup()
    };
    let reached = PointEvidence {
        lsn: Some(Lsn(0x0900_0060)),
        timeline: 1,
        xid: Some(754),
        // Its archive goes on for half a day.
        commit_unix_us: Some((taken_unix_us(taken) + DAY_US / 2).min(BEGINS_UNIX_US)),
        segment: None,
    };
    let recovered = RecoveryEvidence {
        wanted: Some(reached.clone()),
        reached: Some(reached),
        by: "native".to_owned(),
        ..recovery()
    };
    let mut checked = vec![
        Happening::Measured(Evidence::Server(server("restored"))),
        Happening::Measured(Evidence::Counts(counts(orders))),
    ];
    checked.extend(checks.into_iter().map(|check| measured_check(held(check))));
    story
        .step(
            0,
            StepStatus::Done,
            vec![
                Happening::Measured(Evidence::Source(source(taken))),
                Happening::Measured(Evidence::Backup(own)),
            ],
        )
        .tell(place("restored"))
        .step(1, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovered))])
        .step(2, StepStatus::Done, checked)
        .end(false, &["restored"]);
    story
}

/// A backup of somebody's, proven; one of its tables has lost all of its rows since the last drill.
pub fn given() -> Run {
    given_story(4, 201_000, None).run()
}

/// The same with a third of its orders gone, where a fifth may be.
pub fn drifted() -> Run {
    given_story(3, 130_000, Some(20)).run()
}

/// Drills of three of the five backups: one disproven, two proven.
pub fn kept() -> Vec<Run> {
    vec![given_story(2, 199_000, None).run(), drifted(), given()]
}
