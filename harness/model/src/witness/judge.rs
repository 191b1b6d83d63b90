//! The judgement of a restored server by a witness file and the rows of its table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Beat, Entry, Found, KEPT, Nonce, Removal, Row};
use crate::code::Code;
use crate::finding::{Finding, Stage};
use crate::recovery_point::{RecoveryPoint, Wal};
use crate::units::{show_count, show_duration, show_time};

/// What had to come back.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// What the server had acknowledged up to a point, which is told by positions; the WAL decides about a beat whose commit
    /// may lie on either side.
    Point(&'a RecoveryPoint, Option<&'a Wal>),
    /// All that was ever acknowledged.
    Everything,
    /// It is not known up to where: what is there is told, and nothing required.
    Unknown,
}

/// A beat that is the newest of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its number.
    pub beat: u64,
    /// When it was written, microseconds since 1970 UTC.
    pub written_unix_us: i64,
}

/// What a witness says of a restored server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Rows of the table that were held against the file.
    pub examined: u64,
    /// How many of them the file knows.
    pub known: u64,
    /// The newest beat that came back.
    pub returned: Option<Newest>,
    /// The newest one that had to.
    pub expected: Option<Newest>,
    /// Beats that had to come back and did not.
    pub lost: u64,
    /// From the newest that came back to the newest that had to, in microseconds.
    pub lost_us: u64,
    /// Beats of which nobody can say whether they had to.
    pub indeterminate: u64,
    /// Beats that were acknowledged later than the recovery point.
    pub beyond: u64,
    /// How old the newest that came back is, in microseconds, by the clock of who asks.
    pub age_us: Option<i64>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What the recovery point makes of a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It has to be there.
    Required,
    /// It must not be there.
    Forbidden,
    /// Nobody knows.
    Open,
}

/// Judges a restored server: `entries` are the file's, in its order; `now_unix_us` is the time by which the age counts.
pub fn judge(
    entries: &[Entry],
    found: &Found,
    wanted: Wanted<'_>,
    now_unix_us: i64,
    max_age: Option<Duration>,
) -> Judgement {
    let mut judgement = Judgement::default();
    let beats = beats(entries);
    let rows = found.rows.as_deref().unwrap_or_default();
    judgement.examined = rows.len() as u64;
    let by_nonce: BTreeMap<Nonce, &Row> = rows.iter().map(|row| (row.nonce, row)).collect();
    let known: Vec<(&Beat, &Row)> =
        beats.iter().filter_map(|beat| Some((*beat, *by_nonce.get(&beat.nonce)?))).collect();
    judgement.known = known.len() as u64;
    let newest = rows.iter().max_by_key(|row| (row.beat, row.written_unix_us));
    judgement.returned = newest.map(|row| Newest { beat: row.beat, written_unix_us: row.written_unix_us });
    judgement.age_us = judgement.returned.map(|newest| now_unix_us.saturating_sub(newest.written_unix_us));

    let due: Vec<Due> = beats.iter().map(|beat| due(beat, wanted)).collect();
    let required = required(entries, &beats, &due, rows, wanted);
    judgement.expected =
        required.last().map(|beat| Newest { beat: beat.beat, written_unix_us: beat.written_unix_us });
    judgement.indeterminate = due.iter().filter(|due| **due == Due::Open).count() as u64;
    if !matches!(wanted, Wanted::Unknown) {
        judgement.beyond = count(&beats, &due, |beat, due| beat.acknowledged && due == Due::Forbidden);
    }
    if let Some(finding) = other_database(&beats, found, rows) {
        // Of another database nothing else can be said.
        judgement.findings.push(finding);
        return judgement;
    }
    let lost: Vec<&Beat> =
        required.iter().copied().filter(|beat| !by_nonce.contains_key(&beat.nonce)).collect();
    judgement.lost = lost.len() as u64;
    judgement.lost_us = lost_span(&judgement);
    judgement.findings.extend(lost_beats(&lost, &judgement));
    judgement.findings.extend(unexpected(&beats, &due, &known));
    if judgement.findings.is_empty() {
        judgement.findings.extend(missing(&beats, found, &judgement));
    }
    judgement.findings.extend(stale(&judgement, max_age));
    judgement
}

/// The beats of a file, each once, in its order.
fn beats(entries: &[Entry]) -> Vec<&Beat> {
    let mut seen = BTreeSet::new();
    let beats = entries.iter().filter_map(|entry| match entry {
        Entry::Beat(beat) => Some(beat),
        Entry::Removed(_) => None,
    });
    beats.filter(|beat| seen.insert(beat.nonce)).collect()
}

fn due(beat: &Beat, wanted: Wanted<'_>) -> Due {
    match wanted {
        Wanted::Unknown => Due::Open,
        Wanted::Everything if beat.acknowledged => Due::Required,
        Wanted::Everything => Due::Open,
        Wanted::Point(point, wal) => {
            let Some(replayed) = point.replayed(beat.timeline) else { return Due::Forbidden };
            if beat.before >= replayed {
                return Due::Forbidden;
            }
            match beat.after {
                Some(after) if beat.acknowledged && after <= replayed => Due::Required,
                _ => of_the_wal(beat, point, wal),
            }
        }
    }
}

/// What the WAL says of a beat whose commit may lie on either side of the recovery point, or was not acknowledged.
fn of_the_wal(beat: &Beat, point: &RecoveryPoint, wal: Option<&Wal>) -> Due {
    // A number is given again after 2^32 others, and WAL that was read from further on does not have the commit.
    let Some(wal) = wal.filter(|wal| wal.from <= beat.before && wal.to >= point.lsn) else {
        return Due::Open;
    };
    let end = wal.end_of((beat.xid & u64::from(u32::MAX)) as u32).filter(|ended| ended.start >= beat.before);
    match end {
        Some(ended) if ended.committed && ended.end <= point.lsn => Due::Required,
        _ => Due::Forbidden,
    }
}

/// The beats that must have a row, in the order of the file. Older ones may have been thinned out. Where a number is given
/// again, production itself had lost what the file has from that number on; and where the table was taken away, all of it.
fn required<'b>(
    entries: &[Entry],
    beats: &[&'b Beat],
    due: &[Due],
    rows: &[Row],
    wanted: Wanted<'_>,
) -> Vec<&'b Beat> {
    let due_of: BTreeMap<Nonce, Due> = beats.iter().zip(due).map(|(beat, due)| (beat.nonce, *due)).collect();
    let by_nonce: BTreeMap<Nonce, &'b Beat> = beats.iter().map(|beat| (beat.nonce, *beat)).collect();
    let mut required: Vec<&Beat> = Vec::new();
    let mut highest = rows.iter().map(|row| row.beat).max().unwrap_or_default();
    for entry in entries {
        let beat = match entry {
            Entry::Removed(removal) => {
                if removed(removal, wanted) {
                    required.clear();
                }
                continue;
            }
            Entry::Beat(beat) => beat,
        };
        let (Some(beat), Some(due)) = (by_nonce.get(&beat.nonce), due_of.get(&beat.nonce)) else { continue };
        match due {
            Due::Required => {
                while required.pop_if(|earlier| earlier.beat >= beat.beat).is_some() {}
                required.push(beat);
                highest = highest.max(beat.beat);
            }
            Due::Open => highest = highest.max(beat.beat),
            Due::Forbidden => {}
        }
    }
    required.retain(|beat| beat.beat + KEPT > highest);
    required
}

/// Whether the recovered server may be without the table because of this.
fn removed(removal: &Removal, wanted: Wanted<'_>) -> bool {
    match wanted {
        Wanted::Point(point, _) => {
            point.replayed(removal.timeline).is_some_and(|replayed| removal.before < replayed)
        }
        Wanted::Everything | Wanted::Unknown => true,
    }
}

fn other_database(beats: &[&Beat], found: &Found, rows: &[Row]) -> Option<Finding> {
    let last = beats.last()?;
    if !beats.iter().any(|beat| beat.system == found.system) {
        let message = format!(
            "the restored server is cluster {}, and the witness file is of cluster {}",
            found.system, last.system
        );
        return Some(wrong(message).with("found", found.system).with("expected", last.system));
    }
    if let Some(row) = rows.iter().find(|row| !beats.iter().any(|beat| beat.system == row.system)) {
        let message = format!(
            "beat {} of the restored server was written in cluster {}, and the witness file is of cluster {}",
            row.beat, row.system, last.system
        );
        return Some(wrong(message).with("found", row.system).with("expected", last.system));
    }
    // Every number that the file has, it has with another nonce.
    let numbers: BTreeMap<u64, Vec<Nonce>> = beats.iter().fold(BTreeMap::new(), |mut numbers, beat| {
        numbers.entry(beat.beat).or_default().push(beat.nonce);
        numbers
    });
    let foreign = |row: &&Row| numbers.get(&row.beat).is_some_and(|nonces| !nonces.contains(&row.nonce));
    let foreign: Vec<&Row> = rows.iter().filter(foreign).collect();
    let first = foreign.first()?;
    let message = format!(
        "the restored server holds {} under numbers that the witness file has with other nonces, the first of them beat {} of {}: \
         it is a copy of the same cluster that went another way",
        plural(foreign.len() as u64, "beat"),
        first.beat,
        show_time(first.written_unix_us)
    );
    Some(wrong(message).with("beat", first.beat).with("beats", foreign.len()))
}

fn wrong(message: String) -> Finding {
    Finding::new(Code::WrongDatabase, Stage::Check, message)
}

/// From the newest that came back to the newest that had to.
fn lost_span(judgement: &Judgement) -> u64 {
    match (judgement.expected, judgement.returned) {
        (Some(expected), Some(returned)) if judgement.lost > 0 => {
            expected.written_unix_us.saturating_sub(returned.written_unix_us).max(0).unsigned_abs()
        }
        _ => 0,
    }
}

fn lost_beats(lost: &[&Beat], judgement: &Judgement) -> Option<Finding> {
    let (first, last) = (lost.first()?, lost.last()?);
    let span = Duration::from_micros(judgement.lost_us);
    let back = match judgement.returned {
        None => "none came back".to_owned(),
        Some(newest) if newest.beat < last.beat => format!(
            "the newest that came back is beat {} of {}, {} before",
            newest.beat,
            show_time(newest.written_unix_us),
            show_duration(span)
        ),
        Some(newest) => format!("the newest that came back is beat {}, so there is a hole", newest.beat),
    };
    let message = format!(
        "{} that production had acknowledged before the recovery point {} not there, from beat {} to beat {} of {}; {back}",
        plural(lost.len() as u64, "beat"),
        if lost.len() == 1 { "is" } else { "are" },
        first.beat,
        last.beat,
        show_time(last.written_unix_us)
    );
    let finding = Finding::new(Code::WitnessLost, Stage::Check, message)
        .with("lost", lost.len())
        .with("first", first.beat)
        .with("last", last.beat)
        .with("seconds", judgement.lost_us / 1_000_000);
    Some(finding)
}

/// Beats that the recovery point excludes, and rows that are not what was acknowledged.
fn unexpected(beats: &[&Beat], due: &[Due], known: &[(&Beat, &Row)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let there: BTreeSet<Nonce> = known.iter().map(|(beat, _)| beat.nonce).collect();
    let forbidden: Vec<&Beat> = beats
        .iter()
        .zip(due)
        .filter(|(beat, due)| **due == Due::Forbidden && there.contains(&beat.nonce))
        .map(|(beat, _)| *beat)
        .collect();
    if let Some(first) = forbidden.first() {
        let message = format!(
            "{} there that production wrote after the recovery point, or on a timeline that the recovery did not follow, the \
             first of them beat {} at {} on timeline {}",
            if forbidden.len() == 1 {
                "a beat is".to_owned()
            } else {
                format!("{} beats are", forbidden.len())
            },
            first.beat,
            first.before,
            first.timeline
        );
        findings.push(unexpected_finding(message).with("beat", first.beat).with("beats", forbidden.len()));
    }
    let changed = known.iter().find(|(beat, row)| {
        (row.beat, row.system, row.written_unix_us) != (beat.beat, beat.system, beat.written_unix_us)
    });
    if let Some((beat, _)) = changed {
        let message = format!("the row of beat {} is not what production had acknowledged", beat.beat);
        findings.push(unexpected_finding(message).with("beat", beat.beat));
    }
    findings
}

fn unexpected_finding(message: String) -> Finding {
    Finding::new(Code::WitnessUnexpected, Stage::Check, message)
}

/// What is said where nothing is wrong and nothing is shown either.
fn missing(beats: &[&Beat], found: &Found, judgement: &Judgement) -> Option<Finding> {
    let why = if beats.is_empty() {
        "the witness file holds no beat".to_owned()
    } else if found.rows.is_none() {
        "the restored server has no table pgdrill.witness, and no beat had to be there".to_owned()
    } else if judgement.known == 0 {
        "no row of the restored server's pgdrill.witness is in the witness file, and no beat had to be there"
            .to_owned()
    } else {
        return None;
    };
    Some(Finding::new(Code::WitnessMissing, Stage::Check, why))
}

fn stale(judgement: &Judgement, max_age: Option<Duration>) -> Option<Finding> {
    let max_age = max_age?;
    let newest = judgement.returned?;
    let age = Duration::from_micros(judgement.age_us?.max(0).unsigned_abs());
    if age <= max_age {
        return None;
    }
    let message = format!(
        "the newest beat that came back is beat {} of {}, {} ago, and at most {} is allowed",
        newest.beat,
        show_time(newest.written_unix_us),
        show_duration(age),
        show_duration(max_age)
    );
    let finding = Finding::new(Code::BackupStale, Stage::Check, message)
        .with("beat", newest.beat)
        .with("age_seconds", age.as_secs());
    Some(finding)
}

fn count(beats: &[&Beat], due: &[Due], counts: impl Fn(&Beat, Due) -> bool) -> u64 {
    beats.iter().zip(due).filter(|(beat, due)| counts(beat, **due)).count() as u64
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{} {what}s", show_count(count)) }
}
