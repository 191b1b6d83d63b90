//! The arguments of `pgdrill restore`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use pgdrill_model::scenario::{Point, Timeline};

#[derive(Debug, clap::Args)]
pub struct Restore {
    /// A directory with a backup in plain or tar format, one of its archives (base.tar.gz), a data directory in one tar,
    /// or - for one on standard input
    pub backup: PathBuf,

    /// The data directory: one that is not there yet, or is empty
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,

    /// Where a tablespace goes that lay in OLD; repeatable
    #[arg(long, short = 'T', value_name = "OLD=NEW")]
    pub tablespace_mapping: Vec<String>,

    /// Who is to own it, when root restores [default: postgres, if there is such an account]
    #[arg(long, value_name = "ACCOUNT")]
    pub owner: Option<String>,

    /// The manifest, where it does not lie in the backup
    #[arg(long, short, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,

    /// A WAL archive, from which the server is to recover, and which is verified too; repeatable
    #[arg(long, value_name = "DIR")]
    pub wal: Vec<PathBuf>,

    /// What the server recovers to: latest, immediate, time=TIME, xid=NUMBER, lsn=POSITION, name=RESTORE_POINT
    #[arg(long, value_name = "TARGET", help_heading = "Recovery")]
    pub to: Option<Point>,

    /// Stop just before the time, transaction or position
    #[arg(long, requires = "to", help_heading = "Recovery")]
    pub exclusive: bool,

    /// The timeline to follow: latest, current, or its number
    #[arg(long, requires = "to", default_value = "latest", help_heading = "Recovery")]
    pub timeline: Timeline,

    /// What the server does at its target: promote, pause, shutdown
    #[arg(long, requires = "to", value_enum, default_value_t = AtTarget::Pause, help_heading = "Recovery")]
    pub action: AtTarget,

    /// The server's restore_command [default: a copy from the archives of --wal]
    #[arg(long, requires = "to", value_name = "COMMAND", help_heading = "Recovery")]
    pub restore_command: Option<String>,

    /// Do not wait until it is on disk
    #[arg(long)]
    pub no_sync: bool,

    /// Let PostgreSQL start on it although something is wrong with it
    #[arg(long)]
    pub accept_damage: bool,

    /// How many threads work [default: one per core]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,

    /// Write the report as one JSON object to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-")]
    pub json: Option<PathBuf>,

    /// Show progress also where there is no terminal
    #[arg(long, short = 'P', conflicts_with = "quiet")]
    pub progress: bool,

    /// Nothing but what is wrong
    #[arg(long, short)]
    pub quiet: bool,
}

/// What a server does at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AtTarget {
    Promote,
    Pause,
    Shutdown,
}
