//! The target of a recovery, as the server is told it (`recovery_target*`, `doc/src/sgml/config.sgml`).

use pgdrill_model::scenario::{self, Point};
use pgdrill_model::units::{Lsn, show_time};

/// `recovery_target` and its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The first position at which the backup is consistent.
    Immediate,
    /// The first restore point of a name.
    Name(String),
    /// The last position before the first commit or abort that is later.
    Time {
        /// Microseconds since 1970.
        micros: i64,
        /// Whether what ended exactly then is replayed.
        inclusive: bool,
    },
    /// The end of a transaction: its commit or abort.
    Xid {
        /// The transaction.
        xid: u32,
        /// Whether its end is replayed.
        inclusive: bool,
    },
    /// A position.
    Lsn {
        /// The position.
        position: u64,
        /// Whether the record that starts there, or first behind it, is replayed.
        inclusive: bool,
    },
    /// The end of the WAL: no target.
    Latest,
}

impl Target {
    /// The target that a scenario or a command names; none for a mark, which only a scenario knows.
    pub fn of(target: &scenario::Target) -> Option<Self> {
        let inclusive = target.inclusive;
        Some(match &target.at {
            Point::Latest => Self::Latest,
            Point::Immediate => Self::Immediate,
            Point::Mark(..) | Point::Baseline => return None,
            Point::Time(micros) => Self::Time { micros: *micros, inclusive },
            Point::Xid(xid) => Self::Xid { xid: *xid, inclusive },
            Point::Lsn(Lsn(position)) => Self::Lsn { position: *position, inclusive },
            Point::Name(name) => Self::Name(name.clone()),
        })
    }

    /// The server's setting for it, and its value; none for the end of the WAL.
    pub fn setting(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Latest => return None,
            Self::Immediate => ("recovery_target", "immediate".to_owned()),
            Self::Name(name) => ("recovery_target_name", name.clone()),
            Self::Time { micros, .. } => ("recovery_target_time", show_time(*micros)),
            Self::Xid { xid, .. } => ("recovery_target_xid", xid.to_string()),
            Self::Lsn { position, .. } => ("recovery_target_lsn", Lsn(*position).to_string()),
        })
    }

    /// Whether what stands exactly there is replayed too (`recovery_target_inclusive`).
    pub fn is_inclusive(&self) -> bool {
        match self {
            Self::Time { inclusive, .. } | Self::Xid { inclusive, .. } | Self::Lsn { inclusive, .. } => {
                *inclusive
            }
            Self::Latest | Self::Immediate | Self::Name(_) => true,
        }
    }
}
