//! The arguments of `pgdrill report` that are about the records themselves: whether they are what was written, who says so, and
//! where they are put together.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The records themselves")]
pub struct Evidence {
    /// Hold the records of each directory against the chain in which they were sealed, and tell what was changed, taken away, put in
    /// or put elsewhere since
    #[arg(long, conflicts_with_all = REPORTS)]
    pub check: bool,

    /// Check, and where everything holds sign it with this key (PKCS#8 PEM of ed25519, readable by you alone)
    #[arg(long, value_name = "KEY.pem", conflicts_with_all = REPORTS)]
    pub sign: Option<PathBuf>,

    /// Check the signatures of this public key (PEM) as well, or of any of several; there must be one, with --sign as well
    #[arg(long, value_name = "PUBLIC.pem", conflicts_with_all = REPORTS)]
    pub key: Vec<PathBuf>,

    /// Check, and where everything holds put the records of all directories together in a new one, with one chain
    #[arg(long, value_name = "DIR", conflicts_with_all = REPORTS, conflicts_with = "sign")]
    pub merge: Option<PathBuf>,

    /// With --merge: leave out the records of this scenario
    #[arg(long, value_name = "SCENARIO", requires = "merge")]
    pub without: Vec<String>,
}

const REPORTS: [&str; 6] = ["format", "out", "latest", "max_age", "project", "project_wal"];

impl Evidence {
    /// Whether nothing is told of what the records say.
    pub fn is_asked_for(&self) -> bool {
        self.check || self.sign.is_some() || self.merge.is_some() || !self.key.is_empty()
    }
}
