//! What archive directories hold, and how far a recovery from them would come: every segment is read, along each
//! timeline, in memory that does not depend on how much there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pgdrill_model::scenario;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::{End, Lineage, Segments, Stretch};
use serde::Serialize;

use super::Store;
use super::files::{self, Files};
use super::pieces::{self, Begin, Task};
use super::run::{Kind, Run};
use super::store::Gradual;
use super::tally::Tally;
use super::timelines::{Place, Timelines};
use crate::Unreadable;

/// What archive directories hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The directories; a file of the same name is taken from the first that has it.
    pub directories: Vec<String>,
    /// Bytes per segment.
    pub segment_size: u32,
    /// Their files, by name.
    pub files: Files,
    /// The timelines, oldest first.
    pub timelines: Vec<Timeline>,
    /// Why recovery along the newest timeline would be refused, where it would; the window is then that along the one
    /// with which reading begins.
    pub refused: Option<String>,
    /// What recovery replays: from the beginning that was asked for, or from the oldest segment, along the newest
    /// timeline, to where that ends or breaks. None where there is no segment to begin with.
    pub window: Option<Run>,
    /// What lies behind the end of the window on the same lineage, and which no recovery reaches: it is lost.
    pub beyond: Vec<Run>,
    /// What lies on other timelines: branches that were left.
    pub branches: Vec<Run>,
}

/// A timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// Its number.
    pub timeline: u32,
    /// How many whole segments are there of it.
    pub segments: u64,
    /// The timeline that it left, and where; none without a history file, or when that is damaged.
    pub left: Option<Left>,
    /// What is wrong with its history file.
    pub wrong: Option<String>,
}

/// Where a timeline left its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The parent.
    pub timeline: u32,
    /// Where.
    pub at: Lsn,
}

impl Survey {
    /// Whether all is well as far as the archive itself can tell: the window ends because the WAL does, nothing lies
    /// behind it, and recovery along the newest timeline stays on it.
    pub fn is_whole(&self) -> bool {
        self.refused.is_none()
            && self.beyond.is_empty()
            && self.window.as_ref().is_some_and(|window| {
                matches!(window.ends.kind, Kind::Clean | Kind::Partial)
                    && window.strayed.is_none()
                    && window.records > 0
            })
    }

    /// Whether something could not be read, so that nothing is known about it.
    pub fn is_unread(&self) -> bool {
        let runs = self.window.iter().chain(&self.beyond);
        runs.map(|run| run.ends.kind).any(|kind| kind == Kind::Unread)
    }
}

/// Surveys archive directories on `jobs` threads. The first directory comes before the others, as an archive comes before
/// a `pg_wal`. `from`: the position and timeline from which a backup is replayed. `progress` is told the bytes that are
/// done, from any thread.
///
/// # Errors
///
/// A directory that cannot be read. That WAL is damaged or missing is no error, but what the survey tells.
pub fn survey(
    directories: &[&Path],
    from: Option<Place>,
    jobs: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Survey, Unreadable> {
    let store = Store::open(directories)?.with_compressed();
    let histories = Timelines::of(&store)?;
    let left: BTreeSet<(u32, u64)> = store.segments()?.into_iter().collect();
    let all = left.clone();
    let (lineage, refused) = newest(&histories, &all, from);
    let files = files::look(&store, store.segment_size())?;
    let pg_wal = files.pg_wal;
    let mut reading = Reading { store: &store, all: &all, left, pg_wal, jobs, progress };
    let (mut window, mut beyond) = (None, Vec::new());
    if let Some(lineage) = &lineage {
        let mut runs = reading.along(lineage, from);
        if !runs.is_empty() {
            window = Some(runs.remove(0));
        }
        beyond = runs;
    }
    let branches = reading.others(&histories, lineage.as_ref(), from);
    Ok(Survey {
        directories: directories.iter().map(|directory| directory.display().to_string()).collect(),
        segment_size: store.segment_size(),
        files,
        timelines: timelines(&histories, &all),
        refused,
        window,
        beyond,
        branches,
    })
}

/// The lineage that recovery follows to the newest timeline, and why it would be refused; none where nothing is there.
pub(super) fn newest(
    histories: &Timelines,
    all: &BTreeSet<(u32, u64)>,
    from: Option<Place>,
) -> (Option<Lineage>, Option<String>) {
    let Some(begin) = from else {
        // Without a backup the oldest segment stands for its beginning.
        let Some(oldest) = all.iter().min_by_key(|(timeline, number)| (*number, *timeline)) else {
            return (None, None);
        };
        let (oldest, newest) = (oldest.0, histories.latest(oldest.0));
        return match histories.lineage(newest) {
            Ok(lineage) if lineage.contains(oldest) => (Some(lineage), None),
            Ok(_) => (Some(own(histories, oldest)), None),
            Err(error) => (Some(own(histories, oldest)), Some(error.to_string())),
        };
    };
    match histories.resolve(scenario::Timeline::Latest, begin, begin) {
        Ok(lineage) => (Some(lineage), None),
        Err(refused) => (Some(own(histories, begin.timeline)), Some(refused.to_string())),
    }
}

/// The first segment from `number` on that there is of a lineage: of a timeline that was left, only up to there.
pub(super) fn first_segment(
    all: &BTreeSet<(u32, u64)>,
    lineage: &Lineage,
    size: u64,
    number: u64,
) -> Option<u64> {
    let of = |stretch: &Stretch| {
        let begins = number.max(stretch.begin / size);
        let (timeline, end) = (stretch.timeline, (stretch.timeline, u64::MAX));
        let first = all.range((timeline, begins)..=end).next().map(|(_, number)| *number);
        first.filter(|number| number.saturating_mul(size) < stretch.end)
    };
    lineage.stretches().iter().filter_map(of).min()
}

/// The lineage of a timeline, without ancestors where its history cannot be read.
fn own(histories: &Timelines, timeline: u32) -> Lineage {
    histories.lineage(timeline).unwrap_or_else(|_| Lineage::alone(timeline))
}

fn timelines(histories: &Timelines, all: &BTreeSet<(u32, u64)>) -> Vec<Timeline> {
    let mut counted: BTreeMap<u32, u64> = histories.known().map(|timeline| (timeline, 0)).collect();
    for (timeline, _) in all {
        *counted.entry(*timeline).or_default() += 1;
    }
    let told = counted.into_iter().map(|(timeline, segments)| {
        let (left, wrong) = match histories.lineage(timeline) {
            Ok(lineage) => (lineage.stretches().iter().rev().nth(1).copied(), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let left = left.map(|parent| Left { timeline: parent.timeline, at: Lsn(parent.end) });
        Timeline { timeline, segments, left, wrong }
    });
    told.collect()
}

/// Reading of all that is there.
struct Reading<'a> {
    store: &'a Store,
    all: &'a BTreeSet<(u32, u64)>,
    /// What was not read yet.
    left: BTreeSet<(u32, u64)>,
    /// Whether one of the directories is a `pg_wal`.
    pg_wal: bool,
    jobs: usize,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Reading<'_> {
    fn size(&self) -> u64 {
        self.store.segment_size().into()
    }

    /// The file that would be read as segment `number`, behind one of timeline `floor`.
    fn file(&self, lineage: &Lineage, number: u64, floor: u32) -> Option<u32> {
        let mut candidates = lineage.candidates(number, self.size(), floor);
        candidates.find(|timeline| self.all.contains(&(*timeline, number)))
    }

    fn next(&self, lineage: &Lineage, number: u64) -> Option<u64> {
        first_segment(self.all, lineage, self.size(), number)
    }

    /// The runs of a lineage, one behind the other: the first from the beginning that is asked for, the others from
    /// where there is something to read again.
    fn along(&mut self, lineage: &Lineage, from: Option<Place>) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut next = match from {
            Some(place) => {
                Some((place.position / self.size(), Begin::Record(place.position), place.timeline))
            }
            None => self.next(lineage, 0).map(|number| self.begin(lineage, number)),
        };
        while let Some((number, begin, timeline)) = next {
            let (run, following) = self.run(lineage, number, begin, timeline);
            push(&mut runs, run);
            next = self.next(lineage, following).map(|number| self.begin(lineage, number));
        }
        settle(&mut runs, self.pg_wal);
        runs
    }

    fn begin(&self, lineage: &Lineage, number: u64) -> (u64, Begin, u32) {
        let position = number.saturating_mul(self.size());
        let timeline = lineage.timeline_at(position).unwrap_or(lineage.timeline());
        (number, Begin::Segment(number), timeline)
    }

    /// Reads one run, and tells from which segment on there is more to read.
    fn run(&mut self, lineage: &Lineage, number: u64, begin: Begin, timeline: u32) -> (Run, u64) {
        let mut last = number;
        let mut floor = 0;
        while let Some(file) = self.file(lineage, last, floor) {
            (floor, last) = (file, last + 1);
        }
        let last = last.saturating_sub(1).max(number);
        let task = Task { lineage, begin, timeline, last, jobs: self.jobs };
        let read = pieces::read(&Gradual::of(self.store), &task, || Tally::new(lineage), self.progress);
        let following = following(number, &read.gathered, &read.end, self.size());
        let within = self.visit(lineage, number, following - 1);
        let started = match begin {
            Begin::Record(position) => position,
            Begin::Segment(number) => number.saturating_mul(self.size()),
        };
        let name = |number: u64| {
            let file = self.file(lineage, number, 0).unwrap_or(timeline);
            self.store.name(file, number)
        };
        let last = within.unwrap_or(number);
        let (first_name, last_name) = (name(number), name(last));
        let names = (lineage.timeline(), first_name.as_str(), last_name.as_str());
        let run = Run::new(names, last - number + 1, started, &read.gathered, read.identity, &read.end);
        (run, following)
    }

    /// Takes the files that a run read from what is left; tells the last that there is.
    fn visit(&mut self, lineage: &Lineage, first: u64, last: u64) -> Option<u64> {
        let (mut floor, mut within) = (0, None);
        for number in first..=last.max(first) {
            let Some(file) = self.file(lineage, number, floor) else { break };
            self.left.remove(&(file, number));
            (floor, within) = (file, Some(number));
        }
        within
    }

    /// The runs of what is not on the lineage, timeline by timeline.
    fn others(&mut self, histories: &Timelines, main: Option<&Lineage>, from: Option<Place>) -> Vec<Run> {
        if let Some(from) = from {
            // Older than the backup: of no use to it, and no loss.
            let first = from.position / self.size();
            self.left.retain(|(_, number)| *number >= first);
        }
        let mut runs = Vec::new();
        while let Some((timeline, number)) = self.left.first().copied() {
            let mut lineage = own(histories, timeline);
            if lineage.candidates(number, self.size(), 0).next() != Some(timeline) {
                lineage = Lineage::alone(timeline);
            }
            // Where the main lineage has left this timeline within the segment, what is before that was read.
            let begin = number.saturating_mul(self.size());
            let left_at =
                main.and_then(|main| main.left_at(timeline)).filter(|at| at / self.size() == number);
            let begin = left_at.filter(|at| *at > begin).map_or(Begin::Segment(number), Begin::Record);
            let (run, _) = self.run(&lineage, number, begin, timeline);
            self.left.remove(&(timeline, number));
            let nothing = run.records == 0 && run.ends.kind == Kind::Clean;
            if !nothing {
                push(&mut runs, run);
            }
        }
        let mut settled = Vec::new();
        for mut of_one in runs.chunk_by(|a, b| a.timeline == b.timeline).map(<[Run]>::to_vec) {
            settle(&mut of_one, self.pg_wal);
            settled.extend(of_one);
        }
        settled
    }
}

/// Takes segments that wait for their use out of the runs of a timeline, and tells of the others what their ends mean.
fn settle(runs: &mut Vec<Run>, pg_wal: bool) {
    while pg_wal
        && runs.len() > 1
        && runs.last().is_some_and(|last| last.records == 0 && last.ends.is_of_a_waiting_segment())
    {
        runs.pop();
    }
    let count = runs.len();
    for (number, run) in runs.iter_mut().enumerate() {
        run.ends.settle(number + 1 < count, pg_wal);
    }
}

/// The segment from which on there is more to read behind the end of a run: that in which it ended where nothing of that
/// was read, or else the next.
fn following(first: u64, tally: &Tally, end: &End, size: u64) -> u64 {
    let broke = (end.at / size).max(first);
    let untouched = tally.reached.map_or(first, |(start, _)| start / size) < broke;
    if untouched { broke } else { broke + 1 }
}

/// Adds a run. Segments of which nothing can be read, one behind the other, are one run.
fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last)
            if last.records == 0
                && run.records == 0
                && last.timeline == run.timeline
                && last.ends.why == run.ends.why =>
        {
            last.last_segment = run.last_segment;
            last.segments += run.segments;
        }
        _ => runs.push(run),
    }
}
