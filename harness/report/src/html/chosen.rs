//! What of many runs is told, and how: which of them decide, which have a part of their own, and what they come to together.

use std::collections::{BTreeMap, BTreeSet};

use pgdrill_model::history::{self, Line};
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;

use super::Terms;
use crate::history::stale;

/// Of the newest runs of a line, so many, those that are not proven have a part of their own, beside the newest.
const NEWEST: usize = 5;

/// More parts of single drills than this make a page that no phone opens. Those that are not proven go first.
const MOST_PARTS: usize = 250;

/// What is told.
pub(super) struct Chosen<'r> {
    pub(super) terms: Terms<'r>,
    pub(super) now_unix_us: i64,
    /// All runs.
    pub(super) all: &'r [Run],
    pub(super) lines: Vec<Line<'r>>,
    /// Those that decide, the worst first.
    pub(super) deciding: Vec<&'r Run>,
    /// The same in their own order, as other faces tell of them.
    pub(super) in_order: Vec<&'r Run>,
    /// Those with a part of their own, in the order of the page.
    pub(super) told: Vec<&'r Run>,
    /// The others, the newest first.
    pub(super) earlier: Vec<&'r Run>,
    /// Lines that were not proven for too long, each in words.
    pub(super) stale: Vec<String>,
    /// Where the part of a run is, by its address in memory: two records may have the same id.
    places: BTreeMap<*const Run, usize>,
}

impl<'r> Chosen<'r> {
    pub(super) fn of(runs: &'r [Run], now_unix_us: i64, terms: &Terms<'r>) -> Self {
        let lines = history::lines(runs);
        let in_order: Vec<&Run> = if terms.every_run {
            runs.iter().collect()
        } else {
            lines.iter().filter_map(Line::newest).collect()
        };
        let mut deciding = in_order.clone();
        // Sorted stably: else in the order of the lines, or of the command.
        deciding.sort_by_key(|run| std::cmp::Reverse(run.verdict));
        let decides: BTreeSet<*const Run> = deciding.iter().map(|run| std::ptr::from_ref(*run)).collect();
        let decides = |run: &Run| decides.contains(&std::ptr::from_ref(run));
        let recent = lines.iter().flat_map(|line| line.runs().iter().rev().take(NEWEST).copied());
        let unproven: Vec<&Run> = if terms.every_run {
            Vec::new()
        } else {
            recent.filter(|run| run.verdict != Verdict::Proven && !decides(run)).collect()
        };
        let (good, bad): (Vec<&Run>, Vec<&Run>) =
            deciding.iter().copied().partition(|run| run.verdict == Verdict::Proven);
        let told: Vec<&Run> = bad.into_iter().chain(unproven).chain(good).take(MOST_PARTS).collect();
        let places: BTreeMap<*const Run, usize> =
            told.iter().enumerate().map(|(place, run)| (std::ptr::from_ref(*run), place + 1)).collect();
        let mut earlier: Vec<&Run> = runs.iter().filter(|run| !decides(run)).collect();
        earlier.sort_by_key(|run| std::cmp::Reverse(run.started_unix_us));
        let stale = terms.max_age.map_or_else(Vec::new, |limit| {
            lines.iter().filter_map(|line| stale(line, now_unix_us, limit)).collect()
        });
        Self {
            terms: *terms,
            now_unix_us,
            all: runs,
            lines,
            deciding,
            in_order,
            told,
            earlier,
            stale,
            places,
        }
    }

    /// What all of it comes to: the worst decides, and what is not known or too old is not proven.
    pub(super) fn verdict(&self) -> Verdict {
        let least = if self.stale.is_empty() && self.terms.refused.is_empty() {
            Verdict::Proven
        } else {
            Verdict::Unverified
        };
        let worst = self.deciding.iter().map(|run| run.verdict).max();
        worst.unwrap_or(Verdict::Unverified).max(least)
    }

    /// How many of those that decide have a verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.deciding.iter().filter(|run| run.verdict == verdict).count()
    }

    /// The id of the part of a run, where it has one.
    pub(super) fn place(&self, run: &Run) -> Option<String> {
        self.places.get(&std::ptr::from_ref(run)).map(|place| format!("drill-{place}"))
    }
}
