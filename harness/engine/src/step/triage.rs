//! `triage`: asks in one go what an operator asks in the first minutes, and sees whether what comes out is what the drill did.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::{Evidence, TriageEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Triage;
use pgdrill_model::triage::{Assessment, escalate};
use pgdrill_ondisk::segment::{self, ArchiveFile};

use crate::application::Front;
use crate::archiving;
use crate::drill::{Drill, on_a_thread};
use crate::live::Target;
use crate::live::triage::{Questions, collect};
use crate::session::{Door, SUPERUSER};

pub(super) async fn run(
    drill: &mut Drill<'_>,
    triage: Triage,
    of: Name,
    lost: bool,
) -> Result<Vec<Finding>, Unable> {
    let workspace = drill.workspace;
    let began = drill.clock.elapsed();
    let archive = workspace.path(archiving::directory(&drill.made.archive));
    let door = Door::superuser(&workspace.socket(of), SUPERUSER);
    let front = drill.application.as_ref();
    let questions = Questions {
        server: Target::of(&door),
        pooler: front.map(|front| Target::at(front.pooler.console_config(workspace))),
        disks: vec![workspace.root().to_owned(), archive.clone()],
        health: front.map(Front::health).unwrap_or_default(),
        metrics: front.and_then(Front::metrics),
        queries: false,
        within: triage.within,
        asked_unix_us: drill.clock.unix_micros(),
    };
    let facts = collect(&questions).await;
    let segment_size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let newest = on_a_thread(move || newest_segment(&archive, segment_size)).await?;
    let assessment = Assessment::of(&facts);
    let since = drill.lost.map(|lost| drill.clock.elapsed().saturating_sub(lost.at)).filter(|_| lost);
    let evidence = TriageEvidence {
        server: of.name().to_owned(),
        lost,
        escalations: escalate(&assessment, since),
        facts,
        assessment,
        newest_segment: newest,
        took_us: drill.clock.elapsed().saturating_sub(began).as_micros() as u64,
    };
    let contradiction = evidence.contradiction();
    drill.recorder.measured(Evidence::Triage(evidence));
    let finding = |message| Finding::new(Code::TriageWrong, Stage::Disaster, message).about(of.name());
    Ok(contradiction.map(finding).into_iter().collect())
}

/// The newest segment of an archive, by its time, and its age in microseconds; compressed ones, and those that are not
/// whole, are none.
fn newest_segment(archive: &Path, segment_size: u64) -> Option<(String, u64)> {
    let entries = fs::read_dir(archive).ok()?.flatten();
    let segments = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let ArchiveFile::Segment { .. } = segment::parse(&name, segment_size)? else { return None };
        Some((entry.metadata().ok()?.modified().ok()?, name))
    });
    let (modified, name) = segments.max()?;
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    Some((name, age.as_micros() as u64))
}
