//! The arguments of `pgdrill prove`.

use std::path::PathBuf;

use pgdrill_model::check::Check;
use pgdrill_model::scenario::{Point, Timeline};

use super::Running;

/// Reads the backup where it lies, and writes nothing there; recovers it in a directory and a server of the drill's own, without
/// network, with nothing on that reaches outside; checks what came of it, and removes it again.
#[derive(Debug, clap::Args)]
pub struct Prove {
    /// The directory of a base backup, plain or with tars
    pub backup: PathBuf,

    /// A directory with the WAL that recovery goes on with, packed or not; repeatable [default: only what the backup brings]
    #[arg(long, value_name = "DIR", help_heading = "What to prove")]
    pub wal: Vec<PathBuf>,

    /// A command that gives one file of WAL instead, with %f for its name and %p for where to put it; it is run beside the
    /// quarantine, before the server starts
    #[arg(long, value_name = "COMMAND", conflicts_with = "wal", help_heading = "What to prove")]
    pub restore_command: Option<String>,

    /// Where recovery stops: latest, immediate, time=TIME, xid=NUMBER, lsn=POSITION, name=RESTORE_POINT
    #[arg(long, value_name = "TARGET", default_value = "latest", help_heading = "What to prove")]
    pub to: Point,

    /// Stop just before the time, transaction or position
    #[arg(long, help_heading = "What to prove")]
    pub exclusive: bool,

    /// The timeline to follow: latest, current, or its number
    #[arg(long, default_value = "latest", help_heading = "What to prove")]
    pub timeline: Timeline,

    /// By what it is checked, separated by commas [default: all that can be made of it]
    #[arg(long, value_name = "CHECKS", value_delimiter = ',', help_heading = "What to prove")]
    pub check: Vec<Check>,

    /// How long the recovery may take, as in 30m
    #[arg(long, value_name = "TIME", help_heading = "What to prove")]
    pub rto: Option<String>,

    /// How long all of it may take, as in 6h [default: 1h]
    #[arg(long, value_name = "TIME", help_heading = "What to prove")]
    pub time_limit: Option<String>,

    /// Write the drill to a file as a scenario, for `pgdrill run`
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub save: Option<PathBuf>,

    #[command(flatten)]
    pub running: Running,
}
