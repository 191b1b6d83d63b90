//! Sample runs with something that was damaged on purpose.

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::event::{Happening, Header, PlannedStep, StepStatus};
use pgdrill_model::evidence::{
    BareEvidence, CheckRecord, CheckStatus, Evidence, FaultEvidence, MutantEvidence, MutantOutcome,
};
use pgdrill_model::fault::Fault;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Expect;
use pgdrill_model::verdict::Verdict;

use super::{Story, everything_held, header, held, recovery, server, until_disaster};

/// The events of [`noticed`].
pub fn noticed_story() -> Story {
    let mut story = until_disaster(Header {
        faults: vec![Fault::HeapBitFlip],
        expect: Some(Expect {
            verdict: Verdict::Disproven,
            finding: Some(Code::ManifestMismatch),
            stage: Some(Stage::Check),
        }),
        ..header()
    });
    let done = "bit 5 of byte 112433 of base/16384/16451, in block 13, is another".to_owned();
    let changed = vec!["backup/backup-1/base.tar.gz".to_owned()];
    let message = "backup-1: checksum mismatch for file \"base/16384/16451\"";
    let by_program = Finding::new(Code::ManifestMismatch, Stage::Check, message)
        .by(Check::Manifest)
        .about("base/16384/16451")
        .with(pgdrill_model::detection::BY_PROGRAM, "pg_verifybackup");
    let record = |check: Check| {
        let status = if check == Check::Manifest { CheckStatus::Failed } else { CheckStatus::Held };
        Happening::Measured(Evidence::Check(CheckRecord { status, ..held(check) }))
    };
    let mut checked =
        vec![Happening::Measured(Evidence::Server(server("restored"))), Happening::Found(by_program)];
    checked.extend(Check::all_of(false).into_iter().map(record));
    checked.push(Happening::Measured(Evidence::Bare(BareEvidence {
        mark: "end-of-day".to_owned(),
        promoted: Some(true),
        said: String::new(),
        took_us: 640_000,
    })));
    let mut recovered = recovery();
    recovered.looks_well = Some(true);
    story
        .tell(Happening::Measured(Evidence::Fault(FaultEvidence {
            fault: Fault::HeapBitFlip,
            done,
            changed,
        })))
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovered))])
        .step(8, StepStatus::Done, checked)
        .end(false, &["primary", "restored"]);
    story
}

/// A page of the backup was damaged, `pg_verifybackup` noticed it, and a server that was only told where to stop did not.
pub fn noticed() -> Run {
    noticed_story().run()
}

/// The events of [`mutants`].
pub fn mutants_story() -> Story {
    let mut plan = header().plan;
    plan.push(PlannedStep {
        name: "mutants".to_owned(),
        stage: Stage::Check,
        line: None,
        does: "when all held: damage 4 copies of the backup and the archive, recover each again, and see whether it is \
               noticed by the recovery, row-counts"
            .to_owned(),
    });
    let faults = [Fault::HeapPageZeroed, Fault::FileExtra, Fault::OwnWalMissing, Fault::SegmentMissing];
    let mut story = until_disaster(Header { plan, mutants: faults.to_vec(), ..header() });
    let mutant = |fault: Fault, outcome: MutantOutcome, said: &str| MutantEvidence {
        fault,
        done: "block 4 of base/16384/16451 is all zeros".to_owned(),
        outcome,
        killed_by: (outcome == MutantOutcome::Killed).then_some(Code::RowCountMismatch),
        said: said.to_owned(),
        would_be_killed_by: Vec::new(),
        allowed: None,
        took_us: 1_430_000,
    };
    let [zeroed, extra, missing, segment] = faults;
    let all = [
        mutant(
            zeroed,
            MutantOutcome::Killed,
            "table trading.public.Order has 1 954 rows, and had 2 000 before (-46)",
        ),
        MutantEvidence {
            done: "base/16384/4000000000 is there, and belongs to nothing".to_owned(),
            would_be_killed_by: vec![Check::Manifest, Check::Verify],
            ..mutant(extra, MutantOutcome::Survived, "")
        },
        MutantEvidence {
            done: "1 files of pg_wal are gone".to_owned(),
            would_be_killed_by: vec![Check::Manifest],
            allowed: Some("the archive has the same WAL".to_owned()),
            ..mutant(missing, MutantOutcome::Survived, "")
        },
        mutant(segment, MutantOutcome::NotHere, "a recovery from backup-1 reads no segment of the archive"),
    ];
    story
        .step(7, StepStatus::Done, vec![Happening::Measured(Evidence::Recovery(recovery()))])
        .step(8, StepStatus::Done, everything_held())
        .tell(Happening::StepStarted { step: 9 });
    for mutant in all {
        story.pass(1_430).tell(Happening::Measured(Evidence::Mutant(mutant)));
    }
    story
        .tell(Happening::StepEnded { step: 9, status: StepStatus::Done, took_us: 5_720_000 })
        .end(false, &["primary", "restored"]);
    story
}

/// A proven drill of whose damaged copies one survived that the scenario does not name.
pub fn mutants() -> Run {
    mutants_story().run()
}
