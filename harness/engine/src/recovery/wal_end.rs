//! How far the WAL of an archive reaches, and whether it ends there or breaks there. PostgreSQL takes both for its end,
//! and promotes.

use pgdrill_backup::wal::chronicle::What;
use pgdrill_backup::wal::{Chronicle, Store};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::WalEndEvidence;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::page::Header;
use pgdrill_ondisk::wal::{End, Lineage, Reason, Segments, lsn};

use crate::drill::Drill;

/// Where and why the WAL that was read ends.
pub fn evidence(
    drill: &Drill<'_>,
    store: &Store,
    lineage: &Lineage,
    chronicle: &Chronicle,
) -> WalEndEvidence {
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let end = chronicle.end();
    let timeline = chronicle.last().map_or(chronicle.begin().timeline, |last| last.timeline);
    let segment =
        if end.segment.is_empty() { segment::name(timeline, end.at, size) } else { end.segment.clone() };
    let later = store.segments().unwrap_or_default().into_iter().find(|(of, number)| {
        // A timeline's segments beyond where it was left belong to what was given up.
        let given_up = lineage.left_at(*of).is_some_and(|left_at| number * size >= left_at);
        let behind = lineage.contains(*of) && *of >= timeline && !given_up && *number > end.at / size;
        behind && is_written(store, *of, *number, size)
    });
    let whole = match &drill.given {
        Some(taken) => taken.archived(&segment),
        None => drill.workspace.path("archive").join(&segment).is_file(),
    };
    // A segment that was archived is full, or ends with a switch to the next: whatever else ends replay in it is damage.
    let breaks = later.is_some() || (whole && !matches!(end.reason, Reason::Missing { .. }));
    let mut commits = 0_u64;
    let mut last = None;
    for event in chronicle.events() {
        if let What::Commit(_) = event.what {
            commits += 1;
            last = event.time;
        }
    }
    WalEndEvidence {
        lsn: Some(Lsn(chronicle.reached())),
        timeline,
        commit_unix_us: last,
        commits,
        why: words(end, &segment, later.map(|(of, number)| segment::name(of, number * size, size))),
        missing: matches!(end.reason, Reason::Missing { .. }),
        segment: Some(segment),
        breaks,
    }
}

/// Whether a segment holds what its name says. In a saved `pg_wal` lie segments that were only made ready: empty, or used
/// before (`InstallXLogFileSegment`, `src/backend/access/transam/xlog.c`).
fn is_written(store: &Store, timeline: u32, number: u64, size: u64) -> bool {
    let mut bytes = Vec::new();
    let found = store.clone().read(timeline, number, &mut bytes);
    found.is_ok() && Header::read(&bytes).is_some_and(|header| header.address == number * size)
}

/// Why it ends there, in one sentence without its full stop.
fn words(end: &End, segment: &str, later: Option<String>) -> String {
    let what = match &end.reason {
        Reason::Missing { instead: Some(instead) } => {
            format!("segment {segment} is there only as {instead}, which PostgreSQL does not read")
        }
        Reason::Missing { instead: None } => format!("segment {segment} is not in the archive"),
        _ => end.to_string(),
    };
    match later {
        Some(later) => format!("{what}, although {later} is"),
        None => what,
    }
}

/// Where replay leaves the timelines that it should follow: PostgreSQL reads on in the parent's files where the child's
/// are missing, and promotes.
pub fn strayed(chronicle: &Chronicle) -> Option<Finding> {
    let strayed = chronicle.strayed()?;
    let message = format!(
        "replay goes on along timeline {} from {} on, where timeline {} should be followed, whose WAL is missing: what \
         follows was given up",
        strayed.timeline,
        lsn(strayed.at),
        strayed.expected
    );
    Some(Finding::new(Code::WalGap, Stage::Recover, message))
}

/// What it means for a recovery that wants everything.
pub fn finding(end: &WalEndEvidence) -> Option<Finding> {
    if !end.breaks {
        return None;
    }
    let reached = end.lsn.map_or_else(String::new, |lsn| format!(" at {lsn}"));
    let code = if end.missing { Code::WalGap } else { Code::WalDamaged };
    let mut finding = Finding::new(code, Stage::Recover, format!("replay ended{reached}: {}", end.why))
        .with("commits", end.commits);
    if let Some(segment) = &end.segment {
        finding = finding.about(segment);
    }
    Some(finding)
}
