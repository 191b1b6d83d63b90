//! Many recovery points, proven for the price of about one replay.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mistake::Note;
use super::slot::Slot;
use super::value::{FromText, Span, read_from_text, whole_number};
use super::wrong::Words;

/// A sweep over recovery points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sweep {
    /// How many targets.
    pub targets: u32,
    /// How many of them are repeated as real recoveries; never more than there are targets.
    pub repeat: u32,
    /// How long all of it may take.
    pub within: Duration,
}

/// The most targets.
pub(super) const MOST_TARGETS: u32 = 100_000;
/// The fewest real recoveries by which a sweep is believed: one just before a commit, one right after, one elsewhere.
pub(super) const FEWEST_REPEATS: u32 = 3;
/// The most real recoveries: each takes as long as a step `recover`.
pub(super) const MOST_REPEATS: u32 = 100;

/// A number of targets.
#[derive(Clone, Debug)]
pub(super) struct Targets(pub(super) u32);

impl FromText for Targets {
    const WANTED: &'static str = "a whole number, as in 100";

    fn from_text(text: &str) -> Result<Self, Words> {
        let number = whole_number(text, Self::WANTED)?;
        u32::try_from(number)
            .ok()
            .filter(|n| (FEWEST_REPEATS..=MOST_TARGETS).contains(n))
            .map(Self)
            .ok_or_else(|| {
                let hint = if number < u64::from(FEWEST_REPEATS) {
                    format!("at least {FEWEST_REPEATS} of the targets are repeated as real recoveries")
                } else {
                    "make several scenarios of it, each with a seed of its own".to_owned()
                };
                Words::predicate(
                    format!("must be between {FEWEST_REPEATS} and {MOST_TARGETS}; found {number}"),
                    hint,
                )
            })
    }
}

/// A number of recoveries.
#[derive(Clone, Debug)]
pub(super) struct Repeats(pub(super) u32);

impl FromText for Repeats {
    const WANTED: &'static str = "a whole number, as in 3";

    fn from_text(text: &str) -> Result<Self, Words> {
        let number = whole_number(text, Self::WANTED)?;
        let range = FEWEST_REPEATS..=MOST_REPEATS;
        u32::try_from(number).ok().filter(|n| range.contains(n)).map(Self).ok_or_else(|| {
            let hint = if number < u64::from(FEWEST_REPEATS) {
                "a sweep is believed because some of its targets agree with real recoveries"
            } else {
                "each takes as long as a step `recover`"
            };
            Words::predicate(
                format!("must be between {FEWEST_REPEATS} and {MOST_REPEATS}; found {number}"),
                hint,
            )
        })
    }
}

read_from_text!(Targets, Repeats);

/// A sweep over recovery points.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SweepArguments {
    /// How many targets, drawn from commit boundaries by the seed. Default: 100.
    pub(super) targets: Slot<Targets>,
    /// How many of them are repeated as real recoveries, which must agree. Default: 3.
    pub(super) repeat: Slot<Repeats>,
    /// How long all of it may take, as in 10m. Default: 10m.
    pub(super) within: Slot<Span>,
}

const TARGETS: u32 = 100;

/// What `arguments` mean. What makes no sense is noted.
pub(super) fn meaning(arguments: SweepArguments, notes: &mut Vec<Note>) -> Sweep {
    let repeated = arguments.repeat.span();
    let targets = arguments.targets.what().map_or(TARGETS, |targets| targets.0);
    let repeat = arguments.repeat.what().map_or(FEWEST_REPEATS, |repeat| repeat.0);
    if let (Some(place), true) = (repeated, repeat > targets) {
        notes.push(
            Note::new(place, format!("a sweep of {targets} targets cannot repeat {repeat} of them"))
                .hint(format!("write `repeat: {targets}` or less, or more targets")),
        );
    }
    Sweep {
        targets,
        repeat,
        within: arguments.within.what().map_or(Duration::from_secs(600), |within| within.0),
    }
}
