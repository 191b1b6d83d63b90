//! The arguments of commands that run drills: where servers run, and what becomes of the records.

use std::path::PathBuf;

use super::{Keep, Place, Workspace};

#[derive(Debug, clap::Args)]
pub struct Running {
    #[command(flatten)]
    pub place: Place,

    /// Let a server that comes from a backup which was there already reach the host's network, where it runs on the host itself
    #[arg(long, help_heading = "What to run")]
    pub allow_host_network: bool,

    /// Show what would be done, and do nothing
    #[arg(long, help_heading = "What to run")]
    pub plan: bool,

    /// Write the runs as one JSON object to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-", help_heading = "Output")]
    pub json: Option<PathBuf>,

    /// Write a JUnit report
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub junit: Option<PathBuf>,

    /// Write a report in Markdown
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub markdown: Option<PathBuf>,

    /// Write a report for a browser: one file, which needs no network
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub html: Option<PathBuf>,

    /// The directory of sealed records
    #[arg(
        long,
        value_name = "DIR",
        env = "PGDRILL_EVIDENCE",
        default_value = ".pgdrill/runs",
        help_heading = "Output"
    )]
    pub evidence: PathBuf,

    /// No progress and no report; only errors and what is asked for by other flags
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,

    /// Whether to keep the workspace for a look at it
    #[arg(long, value_enum, default_value_t = Keep::Never, help_heading = "Files")]
    pub keep: Keep,

    #[command(flatten)]
    pub workspace: Workspace,
}
