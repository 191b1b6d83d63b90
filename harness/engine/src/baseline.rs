//! What was there at quiet moments, and which of them a recovered server is compared with.

use pgdrill_model::evidence::ServerEvidence;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::Lineage;

use crate::content::Content;
use crate::definitions::Definitions;
use crate::sequences::Sequences;

/// What was there at a quiet moment.
#[derive(Clone)]
pub struct Baseline {
    /// The server's timeline.
    pub timeline: u32,
    /// Its position in the WAL.
    pub lsn: Lsn,
    /// Which transactions were over, as the server tells it: where it is the same, nothing began to write.
    pub snapshot: String,
    /// Where the last step before it that wrote had ended. Only checkpoints and the like moved the WAL since.
    pub settled: Lsn,
    /// Its content.
    pub content: Content,
    /// Its definitions, where they were asked for.
    pub definitions: Option<Definitions>,
    /// Its sequences, where they were asked for.
    pub sequences: Option<Sequences>,
    /// By which versions it orders text, where that could be asked.
    pub collations: Option<ServerEvidence>,
}

/// A stretch of WAL in which something wrote that no ledger tells. What must be there at a point within it, nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// The timeline.
    pub timeline: u32,
    /// Not before here: the end of what had been written by others.
    pub from: Lsn,
    /// Not after here.
    pub to: Lsn,
}

/// How a step wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Each transaction is in the ledger.
    InTheLedger,
    /// Nobody took it down.
    Unrecorded,
}

/// Which baseline a recovery along `lineage` that stopped at `reached` is compared with: the newest that had settled by
/// then. Where everything was wanted it is the newest of all, unless only transactions of the ledger lie between: what
/// else was written since is lost, and must show.
pub fn choose(
    baselines: &[Baseline],
    lineage: &Lineage,
    reached: Option<Lsn>,
    to_the_end: bool,
) -> Option<usize> {
    let on_the_way = |base: &Baseline| {
        let left_at = lineage.left_at(base.timeline).unwrap_or(u64::MAX);
        lineage.contains(base.timeline) && base.settled.0 <= left_at
    };
    let newest = baselines.iter().rposition(on_the_way)?;
    if to_the_end {
        return Some(newest);
    }
    let reached = reached?;
    baselines.iter().rposition(|base| on_the_way(base) && base.settled <= reached)
}

#[cfg(test)]
impl Baseline {
    /// One of which only its place counts.
    pub(crate) fn sketch(timeline: u32, settled: u64) -> Self {
        Self {
            timeline,
            lsn: Lsn(settled + 8),
            snapshot: String::new(),
            settled: Lsn(settled),
            content: Content::default(),
            definitions: None,
            sequences: None,
            collations: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_ondisk::history::Ancestor;

    #[test]
    fn the_newest_that_had_settled_before_the_recovery_point_is_taken() {
        let baselines = [Baseline::sketch(1, 100), Baseline::sketch(1, 200), Baseline::sketch(1, 300)];
        let one = Lineage::single(1);
        assert_eq!(choose(&baselines, &one, Some(Lsn(250)), false), Some(1));
        // Between its settling and its measurement nothing was written.
        assert_eq!(choose(&baselines, &one, Some(Lsn(200)), false), Some(1));
        assert_eq!(choose(&baselines, &one, Some(Lsn(99)), false), None);
        // Where everything was wanted, what is not there is lost.
        assert_eq!(choose(&baselines, &one, Some(Lsn(250)), true), Some(2));
        assert_eq!(choose(&baselines, &one, None, true), Some(2));
    }

    #[test]
    fn what_was_given_up_with_a_timeline_is_no_baseline() {
        let baselines = [Baseline::sketch(1, 100), Baseline::sketch(1, 300), Baseline::sketch(2, 250)];
        let two = Lineage::of(2, &[Ancestor { timeline: 1, switched_at: 200 }]).unwrap();
        assert_eq!(choose(&baselines, &two, Some(Lsn(260)), false), Some(2));
        assert_eq!(choose(&baselines, &two, Some(Lsn(240)), false), Some(0));
        // The old branch again.
        assert_eq!(choose(&baselines, &Lineage::single(1), Some(Lsn(400)), true), Some(1));
    }
}
