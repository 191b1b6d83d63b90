//! The timelines that recovery follows, and which of their files serves a segment (`readTimeLineHistory` and
//! `tliOfPointInHistory` in `src/backend/access/transam/timeline.c`, `XLogFileReadAnyTLI` in `xlogrecovery.c`).

use crate::Malformed;
use crate::history::Ancestor;

/// One timeline of a lineage, with the part of the WAL that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The timeline.
    pub timeline: u32,
    /// Where it left its parent; 0 for the oldest.
    pub begin: u64,
    /// Where it was left, not included; `u64::MAX` for the newest.
    pub end: u64,
}

/// A timeline with its ancestors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Oldest first, never empty.
    stretches: Vec<Stretch>,
    /// Whether pages of any older timeline may be met.
    any_ancestor: bool,
}

impl Lineage {
    /// A timeline without known ancestors.
    pub fn single(timeline: u32) -> Self {
        Self { stretches: vec![Stretch { timeline, begin: 0, end: u64::MAX }], any_ancestor: false }
    }

    /// The files of one timeline, whatever its ancestors were: its first file begins with the pages of one of them
    /// (`pg_waldump --timeline` reads so).
    pub fn alone(timeline: u32) -> Self {
        Self { any_ancestor: true, ..Self::single(timeline) }
    }

    /// A timeline with the ancestors that its history file tells.
    ///
    /// # Errors
    ///
    /// An ancestor that is not older than the timeline.
    pub fn of(timeline: u32, ancestors: &[Ancestor]) -> Result<Self, Malformed> {
        if let Some(last) = ancestors.last().filter(|last| last.timeline >= timeline) {
            let what = format!("timeline {} cannot be an ancestor of {timeline}", last.timeline);
            return Err(Malformed::new("timeline history", what));
        }
        let mut begin = 0;
        let mut stretches = Vec::with_capacity(ancestors.len() + 1);
        for ancestor in ancestors {
            stretches.push(Stretch { timeline: ancestor.timeline, begin, end: ancestor.switched_at });
            begin = ancestor.switched_at;
        }
        stretches.push(Stretch { timeline, begin, end: u64::MAX });
        Ok(Self { stretches, any_ancestor: false })
    }

    /// The timeline itself, the newest.
    pub fn timeline(&self) -> u32 {
        self.stretches.last().map_or(1, |stretch| stretch.timeline)
    }

    /// All timelines, oldest first.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Whether a timeline is this one or an ancestor.
    pub fn contains(&self, timeline: u32) -> bool {
        (self.any_ancestor && timeline <= self.timeline())
            || self.stretches.iter().any(|stretch| stretch.timeline == timeline)
    }

    /// The timeline to which the byte at `position` belongs. None where a history contradicts itself: then a timeline
    /// ends before it begins.
    pub fn timeline_at(&self, position: u64) -> Option<u32> {
        let newest_first = self.stretches.iter().rev();
        let mut at = newest_first.filter(|stretch| stretch.begin <= position && position < stretch.end);
        at.next().map(|stretch| stretch.timeline)
    }

    /// Where a timeline was left; none for the newest, and for one that is not in the lineage.
    pub fn left_at(&self, timeline: u32) -> Option<u64> {
        let stretch = self.stretches.iter().find(|stretch| stretch.timeline == timeline)?;
        (stretch.end != u64::MAX).then_some(stretch.end)
    }

    /// The timelines whose file of segment `number` PostgreSQL would read, the one that it prefers first: the newest
    /// that had begun by then. It takes an older one's where a newer one's is missing, even beyond the position at which
    /// that was left, but never one that is older than `floor`, the timeline of the segment before.
    pub fn candidates(&self, number: u64, segment_size: u64, floor: u32) -> impl Iterator<Item = u32> + '_ {
        let newest_first = self.stretches.iter().rev();
        newest_first
            .take_while(move |stretch| stretch.timeline >= floor)
            .filter(move |stretch| number >= stretch.begin / segment_size)
            .map(|stretch| stretch.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    fn three() -> Lineage {
        let ancestors = [
            Ancestor { timeline: 1, switched_at: 5 * SIZE + 100 },
            Ancestor { timeline: 3, switched_at: 7 * SIZE },
        ];
        Lineage::of(4, &ancestors).unwrap()
    }

    #[test]
    fn a_position_belongs_to_the_timeline_that_was_not_yet_left() {
        let lineage = three();
        let at = |position| lineage.timeline_at(position).unwrap();
        assert_eq!([at(0), at(5 * SIZE + 99), at(5 * SIZE + 100), at(7 * SIZE - 1)], [1, 1, 3, 3]);
        assert_eq!([at(7 * SIZE), at(u64::MAX - 1)], [4, 4]);
        assert_eq!(
            (lineage.left_at(3), lineage.left_at(4), lineage.left_at(2)),
            (Some(7 * SIZE), None, None)
        );
        assert!(lineage.contains(3) && !lineage.contains(2));
    }

    #[test]
    fn the_file_of_the_newest_timeline_that_had_begun_comes_first() {
        let lineage = three();
        let of = |number, floor| lineage.candidates(number, SIZE, floor).collect::<Vec<_>>();
        assert_eq!(of(4, 0), [1]);
        // The switch lies within segment 5: the new timeline's file holds the whole segment.
        assert_eq!(of(5, 1), [3, 1]);
        assert_eq!(of(7, 1), [4, 3, 1]);
        assert_eq!(of(7, 3), [4, 3]);
    }

    #[test]
    fn alone_it_has_files_of_its_own_only_with_pages_of_any_older_one() {
        let alone = Lineage::alone(4);
        assert!(alone.contains(1) && alone.contains(4) && !alone.contains(5));
        assert_eq!(alone.candidates(3, SIZE, 0).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn an_ancestor_is_older() {
        assert!(Lineage::of(2, &[Ancestor { timeline: 2, switched_at: 1 }]).is_err());
    }
}
