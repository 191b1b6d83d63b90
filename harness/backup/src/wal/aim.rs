//! Where recovery goes that begins from a backup and has a target, and what is said where it does not come there: told from the
//! WAL before any server is started.

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::scenario::{self, MarkBy, Point, Timeline};
use pgdrill_model::units::{Lsn, show_time};
use pgdrill_ondisk::wal::Lineage;

use super::clock::SetBack;
use super::target::{self, Consistent, Reach, Stop, Stopped, Target};
use super::timelines::{Place, Timelines, Unresolved};
use super::{Chronicle, Store};

/// A backup, as recovery begins from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where its replay begins.
    pub begin: Place,
    /// Where it ended.
    pub end: Place,
    /// What makes it consistent.
    pub consistent: Consistent,
    /// When it was done, or a time before that at which it was under way, microseconds since 1970 UTC.
    pub ended_unix_us: i64,
}

/// What came of aiming from a backup.
pub enum Aimed {
    /// It stops there: the timelines that it follows, what the WAL says along them, and where.
    At(Box<(Lineage, Chronicle, Stopped)>),
    /// The target lies before the end of the backup.
    TooEarly,
    /// The WAL does not reach the target.
    NeverReached(Box<(Chronicle, Reach)>),
    /// The timelines do not lead there from the backup.
    Unresolved(Unresolved),
}

impl Origin {
    /// Reads the WAL from the backup on, `along` a timeline, and tells where recovery to `wanted` stops.
    pub fn aim(&self, store: &Store, timelines: &Timelines, along: Timeline, wanted: &Target) -> Aimed {
        // PostgreSQL would stop before the first commit after the backup, which is another state than that of the time.
        if matches!(wanted, Target::Time { micros, .. } if *micros < self.ended_unix_us) {
            return Aimed::TooEarly;
        }
        let lineage = match timelines.resolve(along, self.begin, self.end) {
            Ok(lineage) => lineage,
            Err(why) => return Aimed::Unresolved(why),
        };
        let closely = match wanted {
            Target::Lsn { position, .. } => vec![*position],
            _ => Vec::new(),
        };
        let chronicle = Chronicle::read(store.clone(), self.begin, lineage.clone(), &closely);
        match target::stop(&chronicle, wanted, self.consistent) {
            Stop::At(stop) => Aimed::At(Box::new((lineage, chronicle, stop))),
            Stop::TooEarly { .. } => Aimed::TooEarly,
            Stop::NeverReached(reach) => Aimed::NeverReached(Box::new((chronicle, reach))),
        }
    }

    /// What is said of a target before the end of `backup`.
    pub fn too_early(&self, target: &scenario::Target, backup: &str) -> String {
        format!("{target} lies before {}, where {backup} ends", Lsn(self.end.position))
    }
}

impl Reach {
    /// The finding that the archive does not reach `target`; `why` it ends there.
    pub fn beyond(&self, target: &scenario::Target, why: &str) -> Finding {
        let commit = match &self.last_commit {
            Some(commit) => {
                format!("its last commit is transaction {} of {}", commit.xid, show_time(commit.time))
            }
            None => "there is no commit in it".to_owned(),
        };
        let message = format!(
            "the archive does not reach {target}: it ends at {} on timeline {}, and {commit}; {why}",
            Lsn(self.reached),
            self.timeline
        );
        let finding = Finding::new(Code::TargetBeyondArchive, Stage::Recover, message)
            .with("reached", Lsn(self.reached))
            .with("timeline", self.timeline)
            .with("commits", self.commits);
        match (&target.at, self.restore_points.as_slice()) {
            (Point::Time(_) | Point::Mark(_, MarkBy::Time), _) if self.set_back => finding.hint(
                "the server's clock was set back before the archive's end, so the point may lie before it all the same; name \
                 it by its position, or by a restore point",
            ),
            (Point::Name(_), points @ [_, ..]) => {
                let names: Vec<&str> = points.iter().map(|(name, _)| name.as_str()).collect();
                finding.hint(format!("the restore points in it are {}", names.join(", ")))
            }
            _ => finding,
        }
    }
}

impl Stopped {
    /// What is said where the name of a restore point was used more than once, or a clock showed a time more than once;
    /// none where neither was.
    pub fn ambiguity(&self, target: &scenario::Target) -> Option<String> {
        if let Some(SetBack { at, from, to }) = self.set_back {
            return Some(format!(
                "{target} is more than one point: the server's clock was set back from {} to {}, at {}; PostgreSQL would \
                 stop at {}, before the first commit that it finds later",
                show_time(from),
                show_time(to),
                Lsn(at),
                Lsn(self.replayed_to)
            ));
        }
        if self.same_name.is_empty() {
            return None;
        }
        let others: Vec<String> = self.same_name.iter().map(|at| Lsn(*at).to_string()).collect();
        let first = self.record.map_or_else(String::new, |at| format!(" at {}", Lsn(at)));
        Some(format!(
            "{target} was made more than once: PostgreSQL would stop at the first{first}, and there is another at {}",
            others.join(", ")
        ))
    }
}
