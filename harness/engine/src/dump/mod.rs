//! Dumps: what the drill itself takes by `pg_dump` and `pg_dumpall`, and how a dump is loaded into a new cluster, be it the drill's
//! own or one that was there already.

mod load;
mod recover;
mod take;

pub use load::{Load, begin, close, files, open, run};
pub use recover::recover;
pub use take::take;

use std::path::PathBuf;

use crate::tool::pg_dump::Part;

/// A dump that the drill took of all databases of a server.
#[derive(Clone, Debug)]
pub struct Dumped {
    /// Which of the drill's baselines it holds.
    pub base: usize,
    /// The SQL of what the databases share.
    pub globals: PathBuf,
    /// The databases.
    pub parts: Vec<Part>,
}
