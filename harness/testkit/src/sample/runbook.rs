//! Sample runs in which steps of the runbook were carried out, as they were written and corrected.

use pgdrill_model::as_written::AsWritten;
use pgdrill_model::event::{Happening, PlannedStep, StepStatus};
use pgdrill_model::evidence::{AsWrittenEvidence, AskedEvidence, CommandEvidence, Evidence, FoundEvidence};
use pgdrill_model::finding::Stage;
use pgdrill_model::run::Run;

use super::{Story, everything_held, header, recovery, until_disaster};

/// The commands of a step, each with how it ended and what it said.
fn commands(row: AsWritten, corrected: bool, ends: &[(Option<i32>, &str)]) -> Vec<CommandEvidence> {
    let step = row.commands(corrected).step;
    assert_eq!(step.len(), ends.len(), "{row}: each command has its end");
    step.iter()
        .zip(ends)
        .map(|(text, (code, said))| CommandEvidence {
            text: (*text).to_owned(),
            of_the_step: true,
            code: *code,
            said: (*said).to_owned(),
        })
        .collect()
}

/// A step of the story that takes a second.
fn step(story: &mut Story, step: usize, inside: Vec<Happening>) {
    story.tell(Happening::StepStarted { step }).pass(1_000);
    for what in inside {
        story.tell(what);
    }
    story.tell(Happening::StepEnded { step, status: StepStatus::Done, took_us: 1_000_000 });
}

fn story(steps: Vec<AsWrittenEvidence>) -> Story {
    let mut header = header();
    let recover = header.plan.iter().position(|planned| planned.name == "recover").expect("it is planned");
    for evidence in steps.iter().rev() {
        let how = if evidence.corrected { "the corrected commands" } else { "the commands as written" };
        let does = format!("run {how} of {}, on what is left of primary", evidence.row);
        let planned =
            PlannedStep { name: "as-written".to_owned(), stage: Stage::Disaster, line: Some(12), does };
        header.plan.insert(recover, planned);
    }
    let mut story = until_disaster(header);
    let mut next = recover;
    for evidence in steps {
        step(&mut story, next, vec![Happening::Measured(Evidence::AsWritten(evidence))]);
        next += 1;
    }
    step(&mut story, next, vec![Happening::Measured(Evidence::Recovery(recovery()))]);
    step(&mut story, next + 1, everything_held());
    story.end(false, &["primary", "restored"]);
    story
}

/// The events of [`as_written`].
pub fn as_written_story() -> Story {
    let no_file = "tar (child): /var/lib/pgdrill/as-written-backup/postgresql-20261122.tar.gz: Cannot open: No such file or directory";
    let no_configuration = "postgres: could not access the server configuration file \
                            \"/var/lib/pgdrill/as-written/data/postgresql.conf\": No such file or directory";
    let row = AsWritten::BackupOfToday;
    story(vec![AsWrittenEvidence {
        row,
        corrected: false,
        commands: commands(row, false, &[(Some(0), ""), (Some(2), no_file), (Some(1), no_configuration)]),
        found: FoundEvidence {
            files_before: 1_318,
            bytes_before: 36_085_760,
            files: 0,
            started: Some(false),
            said: no_configuration.to_owned(),
            ..FoundEvidence::default()
        },
        took_us: 412_000,
        restored_us: None,
    }])
}

/// The newest backup is yesterday's, and the runbook looks for today's.
pub fn as_written() -> Run {
    as_written_story().run()
}

/// The events of [`corrected`].
pub fn corrected_story() -> Story {
    let row = AsWritten::BackupOfToday;
    let step = row.commands(true).step;
    let restored = AsWrittenEvidence {
        row,
        corrected: true,
        commands: commands(row, true, &vec![(Some(0), ""); step.len()]),
        found: FoundEvidence {
            files_before: 1_318,
            bytes_before: 36_085_760,
            files: 1_322,
            copy_bytes: Some(36_085_760),
            cluster: true,
            started: Some(true),
            state: Some("promoted".to_owned()),
            writes: Some(true),
            tables: Some(8),
            ..FoundEvidence::default()
        },
        took_us: 2_412_000,
        restored_us: Some(1_904_000),
    };
    let row = AsWritten::ChecksThatCannotFail;
    let asked = |well: bool| {
        row.commands(true).step[1..].iter().map(move |text| AskedEvidence {
            text: (*text).to_owned(),
            well,
            code: Some(if well { 0 } else { 22 }),
            said: String::new(),
        })
    };
    let refused = "curl: (22) The requested URL returned error: 500";
    let checked = AsWrittenEvidence {
        row,
        corrected: true,
        commands: commands(row, true, &[(Some(0), ""), (Some(22), refused), (Some(22), refused)]),
        found: FoundEvidence { asked: asked(false).chain(asked(true)).collect(), ..FoundEvidence::default() },
        took_us: 61_000,
        restored_us: None,
    };
    story(vec![restored, checked])
}

/// The corrected commands leave what they must.
pub fn corrected() -> Run {
    corrected_story().run()
}
