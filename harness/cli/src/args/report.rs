//! The arguments of `pgdrill report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use pgdrill_model::units::parse_duration;

use super::Project;
use super::evidence::Evidence;

#[derive(Debug, clap::Args)]
pub struct Report {
    /// Sealed records, or directories of them
    #[arg(env = "PGDRILL_EVIDENCE", default_value = ".pgdrill/runs")]
    pub records: Vec<PathBuf>,

    /// What to make of them
    #[arg(long, short, value_enum, default_value_t = Form::History, conflicts_with_all = FORECAST)]
    pub format: Form,

    /// Where it goes; whole or not at all [default: standard output]
    #[arg(long, short, value_name = "PATH")]
    pub out: Option<PathBuf>,

    #[command(flatten)]
    pub project: Project,

    /// Only the newest record of each scenario, major, runtime and class of machine
    #[arg(long, conflicts_with_all = FORECAST)]
    pub latest: bool,

    /// Could not verify, where the last proven drill of any of them is older, as in 26h: so that a job that does not run any
    /// more is noticed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with_all = FORECAST)]
    pub max_age: Option<Duration>,

    #[command(flatten)]
    pub evidence: Evidence,
}

/// A forecast is of all records, and a text of its own.
const FORECAST: [&str; 2] = ["project", "project_wal"];

/// What is made of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table: how often each was proven, when last, and how its recovery time goes
    History,
    /// For a person, as at the end of a run
    Text,
    /// One JSON object, as of `run --json`
    Json,
    /// For a CI server
    Junit,
    /// For a merge request, a ticket, a wiki
    Markdown,
    /// One file for a browser, which needs no network: verdicts, pictures of time and loss, history
    Html,
    /// For the textfile collector of Prometheus' node exporter
    Prometheus,
}
