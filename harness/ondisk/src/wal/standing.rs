//! Where a walker stands between two records, and whether a walk that began behind it, without knowing what is before,
//! is its continuation: then WAL can be read in pieces, side by side, and the outcome is that of one walk.

use super::page::{self, Identity};

/// Where a walker stands between two records: all that decides how it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where the next record is looked for: the end of the last one.
    pub position: u64,
    /// Position of the last record; none before the first.
    pub previous: Option<u64>,
    pub(super) identity: Option<(u16, Identity)>,
    /// Number of the segment that is open.
    pub(super) open: Option<u64>,
    /// Its timeline.
    pub(super) floor: u32,
    /// Position and timeline of the latest page.
    pub(super) latest: (u64, u32),
    pub(super) given_up: Option<u64>,
}

/// How a walk began at the beginning of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Where that segment begins.
    pub(super) segment: u64,
    /// The timeline of its file.
    pub(super) file_timeline: u32,
    /// The timeline of its first page.
    pub(super) page_timeline: u32,
    pub(super) identity: Option<(u16, Identity)>,
    /// The first record that was read; none when there was none.
    pub(super) first: Option<First>,
}

/// The first record of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    pub(super) start: u64,
    /// Which record it says is before it.
    pub(super) previous: u64,
    /// Whether it says that another one was given up.
    pub(super) overwrites: bool,
}

impl Standing {
    /// Whether a walk that stands here would go on exactly as the walk did that began so. Where that is not certain, it
    /// is not said: a record that was given up at the border is left to a walk that has seen it.
    pub fn is_continued_by(&self, beginning: &Beginning) -> bool {
        let Some(first) = beginning.first else { return false };
        self.starts_at(first.start)
            && self.previous.is_none_or(|previous| previous == first.previous)
            && self.given_up.is_none()
            && !first.overwrites
            && self.identity.is_some()
            && self.identity == beginning.identity
            // No older timeline's file is taken: that of the beginning was the newest that there is.
            && self.floor <= beginning.file_timeline
            // Pages of the segment that this walk has seen have been compared with those before them already.
            && (self.latest.0 >= beginning.segment || self.latest.1 <= beginning.page_timeline)
    }

    /// Whether the next record starts at `start`: where this walk stands, or behind the page header that is there.
    fn starts_at(&self, start: u64) -> bool {
        let Some((_, identity)) = self.identity else { return false };
        if !self.position.is_multiple_of(identity.block_size.into()) {
            return start == self.position;
        }
        let at_segment = self.position.is_multiple_of(identity.segment_size.into());
        let header = if at_segment { page::LONG } else { page::SHORT };
        start.checked_sub(self.position) == Some(header as u64)
    }
}
