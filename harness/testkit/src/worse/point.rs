//! Evidence about points in time made worse: what was lost, where replay stopped, what a sweep showed.

use pgdrill_model::evidence::{Evidence, PointEvidence, RecoveryEvidence, SweepEvidence, TallyEvidence};
use pgdrill_model::units::Lsn;

/// One way in which evidence about points in time speaks against the backup, or contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// An acknowledged transaction is lost.
    Lost,
    /// A transaction is there that must not be.
    Unexpected,
    /// What had to be brought back is neither there nor lost.
    Unaccounted,
    /// The ledger was compared with another server.
    TalliedElsewhere,
    /// Replay was to pause at its target, and nobody saw it pause.
    NeverPaused,
    /// The server was to shut down at its target, and nobody saw it do so.
    NeverShutDown,
    /// Everything was wanted, and the archive breaks.
    ArchiveBreaks,
    /// Replay stopped at another position than the WAL says.
    OtherPosition,
    /// Replay stopped on another timeline than the WAL says.
    OtherTimeline,
    /// Nobody knows where replay had to stop.
    WantedNowhere,
    /// Nobody knows where it did.
    ReachedNowhere,
    /// The recovery made another server than was planned.
    OtherServer,
    /// A mark has the name of another.
    MarkedTwice,
    /// A recovery point of a sweep is not proven.
    PointNotProven,
    /// A sweep drew no recovery point.
    NoPoints,
    /// Too few recovery points of a sweep were repeated.
    FewRepeats,
    /// A repeated recovery point of a sweep disagrees.
    RepeatDisagrees,
    /// A sweep tells of a point that failed.
    PointFailed,
}

impl Point {
    /// Every one.
    pub const ALL: [Self; 18] = [
        Self::Lost,
        Self::Unexpected,
        Self::Unaccounted,
        Self::TalliedElsewhere,
        Self::NeverPaused,
        Self::NeverShutDown,
        Self::ArchiveBreaks,
        Self::OtherPosition,
        Self::OtherTimeline,
        Self::WantedNowhere,
        Self::ReachedNowhere,
        Self::OtherServer,
        Self::MarkedTwice,
        Self::PointNotProven,
        Self::NoPoints,
        Self::FewRepeats,
        Self::RepeatDisagrees,
        Self::PointFailed,
    ];

    /// Makes one piece of evidence worse; tells whether it is one that this can be said of.
    pub fn apply(self, evidence: &mut Evidence) -> bool {
        match evidence {
            Evidence::Tally(tally) => self.of_tally(tally),
            Evidence::Recovery(recovery) => self.of_recovery(recovery),
            Evidence::Sweep(sweep) => self.of_sweep(sweep),
            Evidence::Mark(mark) if self == Self::MarkedTwice => {
                "one for all".clone_into(&mut mark.name);
                true
            }
            _ => false,
        }
    }

    fn of_tally(self, tally: &mut TallyEvidence) -> bool {
        match self {
            Self::Lost => tally.lost += 1,
            Self::Unexpected => tally.unexpected += 1,
            Self::Unaccounted => tally.required += 1,
            Self::TalliedElsewhere => "elsewhere".clone_into(&mut tally.server),
            _ => return false,
        }
        true
    }

    fn of_recovery(self, recovery: &mut RecoveryEvidence) -> bool {
        match (self, &recovery.wanted, &mut recovery.reached) {
            (Self::NeverPaused, ..) => {
                "pause".clone_into(&mut recovery.action);
                recovery.paused_at = None;
            }
            (Self::NeverShutDown, ..) => {
                "shutdown".clone_into(&mut recovery.action);
                recovery.shut_down = false;
            }
            (Self::ArchiveBreaks, ..) => {
                "latest".clone_into(&mut recovery.target);
                recovery.archive_end.get_or_insert_default().breaks = true;
            }
            (Self::OtherServer, ..) => "elsewhere".clone_into(&mut recovery.server),
            (Self::OtherPosition, Some(PointEvidence { lsn: Some(_), .. }), Some(reached)) => {
                reached.lsn = Some(Lsn(reached.lsn.map_or(1, |lsn| lsn.0 + 1)));
            }
            // No recovery makes it: on one that began just there, the position would be the same.
            (Self::OtherTimeline, Some(_), Some(reached)) => reached.timeline += 90,
            // Records of recoveries to the end need not say where that was.
            (Self::WantedNowhere, Some(_), _) if recovery.target != "latest" => recovery.wanted = None,
            (Self::ReachedNowhere, _, Some(_)) if recovery.target != "latest" => recovery.reached = None,
            _ => return false,
        }
        true
    }

    fn of_sweep(self, sweep: &mut SweepEvidence) -> bool {
        match self {
            Self::PointNotProven => sweep.proven = sweep.proven.saturating_sub(1),
            Self::NoPoints => (sweep.targets, sweep.proven) = (0, 0),
            Self::FewRepeats => (sweep.repeated, sweep.agreed) = (2, 2),
            Self::RepeatDisagrees => sweep.agreed = sweep.agreed.saturating_sub(1),
            Self::PointFailed => sweep.first_failure = Some("0/3000000 is not what it must be".to_owned()),
            _ => return false,
        }
        true
    }
}
