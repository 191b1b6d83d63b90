//! From which of the backups above it a recovery may begin, as far as the scenario tells before anything is done.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Point, Target, Timeline};

/// What stands above the next step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// How many backups.
    backups: usize,
    /// By mark, how many backups stand above it.
    marks: BTreeMap<String, usize>,
    /// Whether a recovery since the newest backup may have gone to a point before it: then the server's timeline may have
    /// left the one of that backup before the backup began, and only an older one leads there.
    branched: bool,
}

impl Origins {
    pub(crate) fn backup(&mut self) {
        self.backups += 1;
        self.branched = false;
    }

    pub(crate) fn mark(&mut self, name: &str) {
        self.marks.entry(name.to_owned()).or_insert(self.backups);
    }

    /// How many backups stand above the mark `name`; none where the mark does not stand above.
    pub(crate) fn above(&self, name: &str) -> Option<usize> {
        self.marks.get(name).copied()
    }

    /// The backups from which a recovery may begin, counted from the oldest.
    pub(crate) fn of(&self, to: &Target, timeline: Timeline) -> Range<usize> {
        let above = match &to.at {
            Point::Mark(name, _) => self.above(name).unwrap_or(0),
            _ => self.backups,
        };
        // Where it goes on to the end there is nothing to choose, unless the newest lies on another timeline.
        let newest = matches!(to.at, Point::Latest | Point::Immediate) && self.leads_on(timeline);
        (if newest { above.saturating_sub(1) } else { 0 })..above
    }

    /// The same, without those that are older than one that will do for sure: the end of a backup lies before every mark
    /// that stands below it.
    pub(crate) fn closest(&self, to: &Target, timeline: Timeline) -> Range<usize> {
        let range = self.of(to, timeline);
        let newest = matches!(to.at, Point::Mark(..)) && self.leads_on(timeline);
        if newest { range.end.saturating_sub(1)..range.end } else { range }
    }

    /// Takes note of a recovery.
    pub(crate) fn recover(&mut self, to: &Target, timeline: Timeline) {
        let range = self.of(to, timeline);
        let goes_on = matches!(&to.at, Point::Latest | Point::Immediate | Point::Mark(..))
            && range.end == self.backups
            && !matches!(timeline, Timeline::Number(_));
        self.branched |= !goes_on && self.backups > 1;
    }

    /// Whether the newest backup surely lies on the way.
    fn leads_on(&self, timeline: Timeline) -> bool {
        !self.branched && !matches!(timeline, Timeline::Number(_))
    }
}
