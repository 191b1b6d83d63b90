//! What a backup and the archive give for a sweep: read once, before any server is made.

use std::ops::Range;
use std::sync::Arc;

use pgdrill_backup::wal::chronicle::{Strayed, What};
use pgdrill_backup::wal::target::{self, Consistent, Stop};
use pgdrill_backup::wal::timelines::Timelines;
use pgdrill_backup::wal::{Chronicle, Store};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::WalEndEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::{Point, Target, Timeline};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::{Lineage, Segments};

use crate::drill::{Drill, on_a_thread};
use crate::recovery::{aim, reached, tablespace_wal, wal_end};

/// What a backup and the archive give for a sweep.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The backup, and before it those that it builds upon.
    pub chain: Vec<Member>,
    /// The archive.
    pub store: Store,
    /// The timelines that replay follows.
    pub lineage: Lineage,
    /// What the WAL says.
    pub chronicle: Arc<Chronicle>,
    /// From where on the backup is consistent.
    pub consistent: u64,
    /// The last position that replay reaches on the right way.
    pub reached: u64,
    /// How far the WAL reaches, and why it ends there.
    pub end: WalEndEvidence,
    /// Where the archive itself ends: beyond `reached` where it breaks before.
    pub archive_end: u64,
}

/// Reads the WAL from the backup `chain` on, along the newest timeline. `closely` gives the positions between the
/// backup's end and the archive's end of which the neighbouring records are wanted.
///
/// # Errors
///
/// `TIMELINE_UNRELATED`, `TABLESPACE_OUTSIDE`, `WORKSPACE_UNUSABLE`. WAL that does not even make the backup consistent
/// is a finding.
pub async fn survey(
    drill: &Drill<'_>,
    chain: &[Member],
    closely: impl FnOnce(Range<u64>) -> Vec<u64>,
) -> Result<Result<Survey, Finding>, Unable> {
    let store = aim::store(drill)?;
    let timelines = Timelines::of(&store).map_err(|error| aim::unreadable(&error))?;
    let origin = aim::candidate(drill, chain)?.origin;
    let lineage = match timelines.resolve(Timeline::Latest, origin.begin, origin.end) {
        Ok(lineage) => match reached::off_the_way(drill, &lineage) {
            None => lineage,
            Some(finding) => return Ok(Err(finding)),
        },
        Err(why) => return aim::unrelated(&why, &timelines).map(Err),
    };
    let archive_end = archive_end(&store, &lineage)?;
    let mut closely = closely(origin.end.position..archive_end);
    if let Consistent::At(position) = origin.consistent {
        closely.push(position);
    }
    let (files, along, begin) = (store.clone(), lineage.clone(), origin.begin);
    let chronicle = on_a_thread(move || Chronicle::read(files, begin, along, &closely)).await?;
    aim::readable(&chronicle)?;
    refuse_tablespaces(&chronicle)?;
    let end = wal_end::evidence(drill, &store, &lineage, &chronicle);
    let consistent = match target::stop(&chronicle, &target::Target::Immediate, origin.consistent) {
        Stop::At(stopped) | Stop::TooEarly { stopped, .. } => stopped.replayed_to,
        Stop::NeverReached(reach) => {
            let at_once = Target { at: Point::Immediate, inclusive: true };
            return Ok(Err(reach.beyond(&at_once, &end.why)));
        }
    };
    let reached = chronicle.strayed().map_or(chronicle.reached(), |strayed| strayed.at);
    Ok(Ok(Survey {
        chain: chain.to_vec(),
        store,
        lineage,
        chronicle: Arc::new(chronicle),
        consistent,
        reached,
        end,
        archive_end,
    }))
}

impl Survey {
    /// Why the WAL breaks before the archive's end, where it does.
    pub fn broken(&self) -> Option<Finding> {
        if let Some(Strayed { at, timeline, expected }) = self.chronicle.strayed() {
            let message = format!(
                "the WAL of timeline {expected} is not in the archive from {} on, and replay would follow timeline \
                 {timeline} instead",
                Lsn(at)
            );
            return Some(Finding::new(Code::WalGap, Stage::Recover, message));
        }
        wal_end::finding(&self.end)
    }
}

/// Where the last segment of the lineage's timelines ends.
fn archive_end(store: &Store, lineage: &Lineage) -> Result<u64, Unable> {
    let size = u64::from(store.segment_size());
    let segments = store.segments().map_err(|error| aim::unreadable(&error))?;
    let last = segments
        .iter()
        .filter(|(timeline, number)| {
            // What was given up with a timeline is not on the way.
            lineage.contains(*timeline)
                && lineage.left_at(*timeline).is_none_or(|left_at| number * size < left_at)
        })
        .map(|(_, number)| (number + 1) * size)
        .max();
    Ok(last.unwrap_or(0))
}

/// Refuses WAL that makes a tablespace outside of the data directory: replaying it links to the live one, and replaying
/// its DROP removes the live one's files.
fn refuse_tablespaces(chronicle: &Chronicle) -> Result<(), Unable> {
    let path = chronicle.events().find_map(|event| match event.what {
        What::CreateTablespace { path, .. } if !path.is_empty() => Some(path.to_owned()),
        _ => None,
    });
    path.map_or(Ok(()), |path| Err(tablespace_wal::outside(&path, "the moving server")))
}
