//! The arguments of `pgdrill live`.

use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::units::parse_duration;

#[derive(Debug, clap::Args)]
pub struct Live {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Watch a server until an alert fires: connections, archiving, growth, queries, disks, errors
    Watch(Watch),
}

/// Ends with 0 where no alert fired, with 1 where one did, and with 2 where the server was never reached.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The server: `host=... user=...`, or postgresql://...; a password only by PGPASSWORD or within PGDRILL_DSN
    #[arg(long, value_name = "DSN", env = "PGDRILL_DSN", hide_env_values = true)]
    pub dsn: String,

    /// A directory on a disk of the server that is to be watched, as seen from here; may be given several times
    #[arg(long, value_name = "DIR")]
    pub disk: Vec<PathBuf>,

    /// End after this time, as in 10m [default: goes on]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasting: Option<Duration>,

    /// End when the first alert fires
    #[arg(long)]
    pub until_alert: bool,

    /// How often to look, as in 5s [default: twelve times in the shortest window]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub every: Option<Duration>,

    /// Divide every window, and every limit that is a time, by this: to rehearse
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub scale: u32,

    /// Keep metrics for Prometheus in this file, for the node exporter's textfile collector
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub prometheus: Option<PathBuf>,

    /// Write what was seen as one JSON object to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-", help_heading = "Output")]
    pub json: Option<PathBuf>,
}
