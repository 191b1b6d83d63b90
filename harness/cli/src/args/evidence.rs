//! The arguments of `pgdrill report` that are about the records themselves: whether they are what was written, and who says
//! so.

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

    /// Check the signatures of this public key (PEM) as well, or of any of several
    #[arg(long, value_name = "PUBLIC.pem", conflicts_with_all = REPORTS)]
    pub key: Vec<PathBuf>,
}

const REPORTS: [&str; 6] = ["format", "out", "latest", "max_age", "project", "project_wal"];

impl Evidence {
    /// Whether nothing is told of what the records say.
    pub fn is_asked_for(&self) -> bool {
        self.check || self.sign.is_some() || !self.key.is_empty()
    }
}
