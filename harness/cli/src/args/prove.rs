//! The arguments of `pgdrill prove`.

use std::path::PathBuf;

use pgdrill_model::check::Check;
use pgdrill_model::scenario::{Point, Timeline};
use pgdrill_model::units::Major;

use super::Running;

/// Reads the backup where it lies, and writes nothing there; recovers it in a directory and a server of the drill's own, without
/// network, with nothing on that reaches outside; checks what came of it, and removes it again.
#[derive(Debug, clap::Args)]
pub struct Prove {
    /// A base backup, plain, in tars or in one tar; a dump, in any format; a repository of pgBackRest or a server of Barman; a directory
    /// of backups; a URL of one (s3://, gs://, az://, file://), which is fetched first, with credentials from the environment; or -
    /// for a tar or a dump on standard input, packed or not
    pub backup: PathBuf,

    /// Which of several: newest, oldest, random, a label, or all, one after the other
    #[arg(long, value_name = "WHICH", default_value = "newest", help_heading = "What to prove")]
    pub pick: String,

    /// For an incremental backup of pg_basebackup, a directory with those that it is built on, or with one of them; repeatable, in
    /// any order [default: what lies beside it in the directory of backups]
    #[arg(long, value_name = "DIR", help_heading = "What to prove")]
    pub upon: Vec<PathBuf>,

    /// Whose, where there are backups of several servers: pgBackRest's stanza, Barman's server
    #[arg(long, value_name = "NAME", help_heading = "What to prove")]
    pub server: Option<String>,

    /// By what `random` is chosen, so that the same is chosen again [default: another each time]
    #[arg(long, help_heading = "What to prove")]
    pub seed: Option<u64>,

    /// For a dump, the SQL of what the databases of its cluster share, by `pg_dumpall --globals-only`
    #[arg(long, value_name = "FILE", help_heading = "What to prove")]
    pub globals: Option<PathBuf>,

    /// A directory with the WAL that recovery goes on with, packed or not; repeatable [default: what the repository has, or else
    /// only what the backup brings]
    #[arg(long, value_name = "DIR", help_heading = "What to prove")]
    pub wal: Vec<PathBuf>,

    /// A command that gives one file of WAL instead, with %f for its name and %p for where to put it; it is run beside the
    /// quarantine, before the server starts
    #[arg(long, value_name = "COMMAND", conflicts_with = "wal", help_heading = "What to prove")]
    pub restore_command: Option<String>,

    /// Where recovery stops: latest, immediate, baseline, time=TIME, xid=NUMBER, lsn=POSITION, name=RESTORE_POINT [default: where
    /// the baseline belongs, if there is one; else latest]
    #[arg(long, value_name = "TARGET", help_heading = "What to prove")]
    pub to: Option<Point>,

    /// What production held at a moment, as `pgdrill live baseline` wrote it: every row and definition must be there
    #[arg(long, value_name = "FILE", help_heading = "What it must hold")]
    pub baseline: Option<PathBuf>,

    /// What production was told of its beats, as `pgdrill live witness beat` wrote it: it must be this database, with every beat
    /// before the point to which it is recovered
    #[arg(long, value_name = "FILE", help_heading = "What it must hold")]
    pub witness: Option<PathBuf>,

    /// How old the newest beat that comes back may be, as in 26h
    #[arg(long, value_name = "TIME", requires = "witness", help_heading = "What it must hold")]
    pub max_age: Option<String>,

    /// Queries of your own, in YAML as below `queries:` in a scenario: each with a name, what to ask, and what must be answered
    #[arg(long, value_name = "FILE", help_heading = "What it must hold")]
    pub queries: Option<PathBuf>,

    /// A database that may come back without a row; may be said several times
    #[arg(long, value_name = "DATABASE", help_heading = "What it must hold")]
    pub empty: Vec<String>,

    /// By how much of what it held a table may differ from the last proven drill of the same source, as in 20% [default: tables
    /// that have lost all rows are told, and disprove nothing]
    #[arg(long, value_name = "PERCENT", help_heading = "What it must hold")]
    pub max_drift: Option<String>,

    /// Stop just before the time, transaction or position
    #[arg(long, help_heading = "What to prove")]
    pub exclusive: bool,

    /// The timeline to follow: latest, current, or its number
    #[arg(long, default_value = "latest", help_heading = "What to prove")]
    pub timeline: Timeline,

    /// For a dump, another major than the one that it was made by, into which it is loaded
    #[arg(long, value_name = "MAJOR", help_heading = "What to prove")]
    pub postgres: Option<Major>,

    /// Recover so often, each time checked, and tell how the recovery time is spread
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), help_heading = "What to prove")]
    pub repeat: Option<u64>,

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
