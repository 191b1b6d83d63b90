//! The arguments of `pgdrill live witness`.

use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::units::{Lsn, parse_duration};

#[derive(Debug, clap::Args)]
pub struct Witness {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Make the table pgdrill.witness, where it is not there
    Install(Server),
    /// Write a beat into it, and what the server answered into the witness file
    Beat(Beat),
    /// Hold a restored server against the witness file: whether it is this database, how far it came back, how old it is
    Check(Check),
    /// Take the table away again
    Remove(Remove),
}

/// Which server.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The server and the database: `host=... user=... dbname=...`, or postgresql://...; a password only by PGPASSWORD or within
    /// PGDRILL_DSN. TLS with a trusted certificate, except on this host, unless its sslmode says otherwise
    #[arg(long, value_name = "DSN", env = "PGDRILL_DSN", hide_env_values = true)]
    pub dsn: String,
}

/// Which witness file.
#[derive(Debug, clap::Args)]
pub struct State {
    /// The witness file: what the server acknowledged, one line for each beat. Keep it away from the server
    #[arg(long, value_name = "FILE", env = "PGDRILL_WITNESS", default_value = "pgdrill-witness.jsonl")]
    pub state: PathBuf,
}

/// Ends with 0 where every beat was acknowledged, and with 2 where one was not.
#[derive(Debug, clap::Args)]
pub struct Beat {
    #[command(flatten)]
    pub server: Server,

    #[command(flatten)]
    pub state: State,

    /// Go on for so long, as in 8h [default: one beat, as a timer wants it]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasting: Option<Duration>,

    /// How often, with --for
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration, requires = "lasting")]
    pub every: Duration,
}

/// Ends with 0 where it is this database and all came back that had to, with 1 where not, and with 2 where nobody can tell.
/// Without --reached or --everything only what it is and how old it is can be told.
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    pub server: Server,

    #[command(flatten)]
    pub state: State,

    /// Where its recovery stopped: what was acknowledged before must be there, and nothing else
    #[arg(long, value_name = "LSN", requires = "timeline", conflicts_with = "everything")]
    pub reached: Option<Lsn>,

    /// On which timeline that is
    #[arg(long, value_name = "N", requires = "reached")]
    pub timeline: Option<u32>,

    /// Everything that was ever acknowledged must be there
    #[arg(long)]
    pub everything: bool,

    /// How old the newest beat may be
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_age: Option<Duration>,
}

/// The witness file stays, and notes it.
#[derive(Debug, clap::Args)]
pub struct Remove {
    #[command(flatten)]
    pub server: Server,

    #[command(flatten)]
    pub state: State,
}
