//! The arguments of `pgdrill verify`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Verify {
    /// A directory with a backup in plain or tar format, one of its archives (base.tar.gz), a data directory in one tar,
    /// or - for one on standard input; several directories are a chain of incremental backups, the full one first; none to
    /// verify only the archives of --wal
    pub backup: Vec<PathBuf>,

    /// End with the first thing that is wrong
    #[arg(long, short, help_heading = "As pg_verifybackup has them")]
    pub exit_on_error: bool,

    /// The format of the backup: p, plain, t, tar [default: what it looks like]
    #[arg(long, short = 'F', value_name = "FORMAT", help_heading = "As pg_verifybackup has them")]
    pub format: Option<String>,

    /// Leave out a path, relative to the data directory, and everything below it
    #[arg(long, short, value_name = "PATH", help_heading = "As pg_verifybackup has them")]
    pub ignore: Vec<PathBuf>,

    /// The manifest, where it does not lie in the backup
    #[arg(long, short, value_name = "PATH", help_heading = "As pg_verifybackup has them")]
    pub manifest_path: Option<PathBuf>,

    /// Leave out the WAL that the backup needs
    #[arg(long, short, help_heading = "As pg_verifybackup has them")]
    pub no_parse_wal: bool,

    /// Show progress also where there is no terminal
    #[arg(long, short = 'P', conflicts_with = "quiet", help_heading = "As pg_verifybackup has them")]
    pub progress: bool,

    /// Nothing but what is wrong
    #[arg(long, short, help_heading = "As pg_verifybackup has them")]
    pub quiet: bool,

    /// Leave out the content of files: checksums and data pages
    #[arg(long, short, help_heading = "As pg_verifybackup has them")]
    pub skip_checksums: bool,

    /// The directory of the WAL that the backup needs, where it does not lie in the backup
    #[arg(long, short, value_name = "PATH", help_heading = "As pg_verifybackup has them")]
    pub wal_directory: Option<PathBuf>,

    /// A WAL archive: tells how far recovery would come; repeatable, the first comes before the others
    #[arg(long, value_name = "DIR")]
    pub wal: Vec<PathBuf>,

    /// How many threads work [default: one per core]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,

    /// Write the report as one JSON object to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-")]
    pub json: Option<PathBuf>,
}
