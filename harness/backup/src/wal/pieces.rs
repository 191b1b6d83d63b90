//! Reads the WAL of a lineage in pieces, on several threads, so that the outcome is that of one walk from the beginning:
//! each piece begins where its first segment does, and is taken over only where the walk before it would have gone on in
//! exactly that way (`Standing::is_continued_by`). Where it would not, the walk itself goes on through that piece.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use pgdrill_ondisk::wal::page::Identity;
use pgdrill_ondisk::wal::{Beginning, Content, End, Lineage, Reason, Record, Segments, Standing, Walker};

use super::replayed;

/// Bytes of WAL in a piece: enough that the segment behind it, which is read for the record that crosses over, costs
/// little, and little enough that all threads have something to do until the end.
const PIECE: u64 = 128 << 20;

/// What is gathered of the records that are read.
pub(super) trait Gather: Send + Sized {
    /// Takes a record, with what it says.
    fn take(&mut self, record: &Record<'_>, content: &Content<'_>);

    /// Takes over what was gathered of the records behind.
    fn append(&mut self, later: Self);
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the record of a position.
    Record(u64),
    /// At the first record that starts in the segment of this number, or behind it.
    Segment(u64),
}

/// What is to be read.
#[derive(Clone, Debug)]
pub(super) struct Task<'a> {
    /// The lineage that is followed.
    pub lineage: &'a Lineage,
    /// Where reading begins.
    pub begin: Begin,
    /// The timeline that is replayed there.
    pub timeline: u32,
    /// The last segment that there is before the first that is missing. It is only for planning: reading ends where it
    /// must.
    pub last: u64,
    /// How many threads read.
    pub jobs: usize,
}

/// What was read.
pub(super) struct Outcome<G> {
    /// What was gathered.
    pub gathered: G,
    /// Where and why reading ended.
    pub end: End,
    /// Whose WAL it is.
    pub identity: Option<Identity>,
}

/// Reads to the end of the WAL.
pub(super) fn read<S, G>(
    segments: &S,
    task: &Task<'_>,
    new: impl Fn() -> G + Sync,
    progress: &(dyn Fn(u64) + Sync),
) -> Outcome<G>
where
    S: Segments + Clone + Sync,
    G: Gather,
{
    let size = u64::from(segments.segment_size()).max(1);
    let first = match task.begin {
        Begin::Record(position) => position / size,
        Begin::Segment(number) => number,
    };
    let borders = borders(first, task.last, size, task.jobs);
    let job = Job { segments, task, size, first, borders: &borders, new: &new, progress };
    let pieces: Vec<Mutex<Option<Piece<G>>>> = borders.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let stop = AtomicUsize::new(usize::MAX);
    let done = AtomicU64::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= borders.len() || number > stop.load(Ordering::Relaxed) {
                return;
            }
            let piece = job.piece(number, &done);
            // Beyond an end nothing is wanted, unless it is only that the piece could not begin.
            if piece.end.is_some() && (number == 0 || piece.began) {
                stop.fetch_min(number, Ordering::Relaxed);
            }
            if let Ok(mut place) = pieces[number].lock() {
                *place = Some(piece);
            }
        }
    };
    let jobs = task.jobs.clamp(1, borders.len().max(1));
    thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    let pieces = pieces.into_iter().map(|piece| piece.into_inner().ok().flatten());
    job.join(pieces)
}

/// The numbers of the segments behind each piece; none behind the last, which goes to the end of the WAL.
fn borders(first: u64, last: u64, size: u64, jobs: usize) -> Vec<Option<u64>> {
    let count = last.checked_sub(first).map_or(0, |more| more + 1);
    let even = count.div_ceil(jobs.max(1) as u64 * 2);
    let step = even.min(PIECE / size).max(1);
    let mut borders = Vec::new();
    if jobs > 1 {
        let inner = (1..).map(|piece| first + piece * step).take_while(|border| *border <= last);
        borders.extend(inner.map(Some));
    }
    borders.push(None);
    borders
}

/// What all pieces have in common.
struct Job<'a, S, N> {
    segments: &'a S,
    task: &'a Task<'a>,
    size: u64,
    first: u64,
    borders: &'a [Option<u64>],
    new: &'a N,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// A piece that was read.
struct Piece<G> {
    beginning: Beginning,
    began: bool,
    gathered: G,
    /// Where the walk stands at its border; none where it could not begin.
    standing: Option<Standing>,
    identity: Option<Identity>,
    /// Where and why it ended before its border.
    end: Option<End>,
    timeline: Told,
}

impl<G> Piece<G> {
    fn is_continued_by(&self, later: &Self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.is_continued_by(&later.beginning))
    }
}

/// What the records of a piece tell of the timeline that is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it is this one all the time.
    Only(u32),
    /// That it changes: for this the walk must come along itself.
    Changes,
}

impl Told {
    fn hear(&mut self, content: &Content<'_>) {
        let Some(said) = replayed::said(content) else { return };
        *self = match *self {
            Self::Nothing if said.now == said.from => Self::Only(said.now),
            Self::Only(known) if said.now == known && said.from == known => return,
            _ => Self::Changes,
        };
    }

    fn allows(self, replayed: u32) -> bool {
        match self {
            Self::Nothing => true,
            Self::Only(timeline) => timeline == replayed,
            Self::Changes => false,
        }
    }
}

impl<S, G, N> Job<'_, S, N>
where
    S: Segments + Clone + Sync,
    G: Gather,
    N: Fn() -> G + Sync,
{
    /// Reads a piece without knowing what is before it.
    fn piece(&self, number: usize, done: &AtomicU64) -> Piece<G> {
        let (segments, lineage) = (self.segments.clone(), self.task.lineage.clone());
        let begin = match number.checked_sub(1).and_then(|before| self.borders[before]) {
            Some(border) => Begin::Segment(border),
            None => self.task.begin,
        };
        let mut piece = Piece {
            beginning: Beginning::default(),
            began: false,
            gathered: (self.new)(),
            standing: None,
            identity: None,
            end: None,
            timeline: Told::Nothing,
        };
        let walker = match begin {
            Begin::Record(position) => Ok(Walker::new(segments, lineage, position)),
            Begin::Segment(segment) => Walker::at_segment(segments, lineage, segment),
        };
        let mut walker = match walker {
            Ok(walker) => walker,
            Err(end) => {
                piece.end = Some(end);
                return piece;
            }
        };
        let mut behind = (walker.position() / self.size + 1).saturating_mul(self.size);
        let until = self.borders[number].map_or(u64::MAX, |border| border.saturating_mul(self.size));
        let end = self.walk(&mut walker, until, &mut piece.gathered, |content, position| {
            piece.timeline.hear(content);
            if position >= behind {
                let bytes = position - position % self.size + self.size - behind;
                behind += bytes;
                (self.progress)(done.fetch_add(bytes, Ordering::Relaxed) + bytes);
            }
            Ok(())
        });
        piece.beginning = walker.beginning().clone();
        let standing = walker.standing();
        piece.began = standing.previous.is_some();
        piece.standing = Some(standing);
        piece.identity = walker.identity();
        piece.end = end;
        piece
    }

    /// Takes records until the next one would start at `until` or behind it; tells where it ended before that.
    fn walk(
        &self,
        walker: &mut Walker<S>,
        until: u64,
        gathered: &mut G,
        mut hear: impl FnMut(&Content<'_>, u64) -> Result<(), Reason>,
    ) -> Option<End> {
        let mut reached = walker.position();
        while reached < until {
            let record = match walker.next() {
                Ok(record) => record,
                Err(end) => return Some(end),
            };
            let content = match record.content() {
                Ok(content) => content,
                Err(error) => {
                    let reason = Reason::Undecodable { what: error.to_string() };
                    return Some(replayed::end_at(&record, self.size, reached, reason));
                }
            };
            if let Err(reason) = hear(&content, record.end) {
                return Some(replayed::end_at(&record, self.size, reached, reason));
            }
            gathered.take(&record, &content);
            reached = record.end;
        }
        None
    }

    /// Joins the pieces, and reads again what does not fit.
    fn join(&self, mut pieces: impl Iterator<Item = Option<Piece<G>>>) -> Outcome<G> {
        let mut replayed = self.task.timeline;
        let mut joined: Option<Piece<G>> = None;
        for border in self.borders {
            let piece = pieces.next().flatten();
            joined = Some(match (joined, piece) {
                (None, Some(piece)) if piece.timeline.allows(replayed) => piece,
                (None, _) => self.again(None, *border, &mut replayed),
                (Some(before), _) if before.end.is_some() => before,
                (Some(before), Some(piece))
                    if before.is_continued_by(&piece) && piece.timeline.allows(replayed) =>
                {
                    let mut gathered = before.gathered;
                    gathered.append(piece.gathered);
                    Piece { gathered, ..piece }
                }
                (Some(before), _) => self.again(Some(before), *border, &mut replayed),
            });
        }
        let position = self.first.saturating_mul(self.size);
        match joined {
            Some(Piece { gathered, end: Some(end), identity, .. }) => Outcome { gathered, end, identity },
            // The last piece has no border, so it has an end.
            other => {
                let reason = Reason::Missing { instead: None };
                let end = End {
                    lsn: position,
                    at: position,
                    segment: String::new(),
                    offset: 0,
                    cuts_a_record: false,
                    reason,
                };
                let gathered = other.map_or_else(self.new, |piece| piece.gathered);
                Outcome { gathered, end, identity: None }
            }
        }
    }

    /// Goes on from where the walk stands, or begins it, up to the border.
    fn again(&self, before: Option<Piece<G>>, border: Option<u64>, replayed: &mut u32) -> Piece<G> {
        let (segments, lineage) = (self.segments.clone(), self.task.lineage.clone());
        let standing = before.as_ref().and_then(|piece| piece.standing.clone());
        let mut gathered = before.map_or_else(self.new, |piece| piece.gathered);
        let walker = match (standing, self.task.begin) {
            (Some(standing), _) => Ok(Walker::resume(segments, lineage, &standing)),
            (None, Begin::Record(position)) => Ok(Walker::new(segments, lineage, position)),
            (None, Begin::Segment(number)) => Walker::at_segment(segments, lineage, number),
        };
        let until = border.map_or(u64::MAX, |border| border.saturating_mul(self.size));
        let (walker, end) = match walker {
            Ok(mut walker) => {
                let lineage = self.task.lineage;
                let end = self.walk(&mut walker, until, &mut gathered, |content, _| {
                    let Some(said) = replayed::said(content) else { return Ok(()) };
                    replayed::follow(replayed, lineage, said).map(|_| ())
                });
                (Some(walker), end)
            }
            Err(end) => (None, Some(end)),
        };
        Piece {
            beginning: Beginning::default(),
            began: true,
            gathered,
            standing: walker.as_ref().map(Walker::standing),
            identity: walker.as_ref().and_then(Walker::identity),
            end,
            timeline: Told::Nothing,
        }
    }
}
