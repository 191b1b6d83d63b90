//! The baseline of a user's own running server: what a restored copy of it must hold, and where in the WAL that belongs. The
//! server is only asked: in transactions that read, with at most one connection more than there are readers, and never waiting
//! long for a lock.

mod capture;
mod file;
mod reading;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use pgdrill_backup::wal::Chronicle;
use pgdrill_backup::wal::chronicle::What;
use pgdrill_model::recovery_point::{Ended, Leg, Path, Wal};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::Lineage;

pub use capture::capture;
pub use file::{Baseline, Captured, Database, Defined, NotABaseline, Numbers, open, seal};

/// What to capture, and how gently.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The connection string.
    pub dsn: String,
    /// A password that is not in it.
    pub password: Option<String>,
    /// The databases; all but templates where none is named.
    pub databases: Vec<String>,
    /// What may be missing: `database.schema.table`, which is not read then; or the name of a database or of what else cannot be
    /// read, as it is told.
    pub skip: Vec<String>,
    /// Tables that are read at the same time.
    pub jobs: NonZeroUsize,
    /// The longest that one table may take.
    pub each: Duration,
    /// How long to wait for a moment at which no transaction is on its way; without one the position is found in the WAL.
    pub wait_quiet: Duration,
}

/// What the WAL that was read along a lineage says of transactions.
pub fn wal(chronicle: &Chronicle, lineage: &Lineage) -> Wal {
    let ends = chronicle.events().filter_map(|event| {
        let (committed, finished) = match event.what {
            What::Commit(finished) => (true, finished),
            What::Abort(finished) => (false, finished),
            _ => return None,
        };
        let subxids = finished.subxids.to_vec();
        Some(Ended { xid: finished.xid, subxids, committed, start: Lsn(event.start), end: Lsn(event.end) })
    });
    Wal {
        path: path(lineage),
        from: Lsn(chronicle.begin().position),
        to: Lsn(chronicle.reached()),
        ends: ends.collect(),
    }
}

/// The path along a lineage.
pub fn path(lineage: &Lineage) -> Path {
    let legs = lineage.stretches().iter().map(|stretch| Leg {
        timeline: stretch.timeline,
        until: (stretch.end != u64::MAX).then_some(Lsn(stretch.end)),
    });
    Path(legs.collect())
}

/// What could not be read, by name, and why.
pub type Unread = BTreeMap<String, String>;
