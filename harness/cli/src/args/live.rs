//! The arguments of `pgdrill live`.

mod baseline;
mod witness;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pgdrill_engine::live::triage::Url;
use pgdrill_model::units::parse_duration;

pub use baseline::Baseline;
pub use witness::{Beat, Check, Remove, Server, What as WitnessWhat, Witness};

#[derive(Debug, clap::Args)]
pub struct Live {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Watch a server until an alert fires: connections, archiving, growth, queries, disks, errors
    Watch(Watch),
    /// The first five minutes of an incident: how bad it is, what is likely behind it, what to look at, whom to call
    Triage(Triage),
    /// A few bytes a minute in a database of your own, by which a restored copy is known: which it is, how far, how old
    Witness(Witness),
    /// Capture what a running server holds, and where in its WAL that belongs, for a restored copy to be compared with
    Baseline(Baseline),
}

/// Ends with 0 where no alert fired, with 1 where one did, and with 2 where the server was never reached.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The server: `host=... user=...`, or postgresql://...; a password only by PGPASSWORD or within PGDRILL_DSN. TLS with a
    /// trusted certificate, except on this host, unless its sslmode says otherwise
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

/// Asks everything at the same time, changes nothing, and ends in time whatever hangs. Ends with 0 where nothing is wrong, with
/// 1 where something is, and with 2 where the facts do not suffice to tell.
#[derive(Debug, clap::Args)]
pub struct Triage {
    /// The server: `host=... user=...`, or postgresql://...; a password only by PGPASSWORD or within PGDRILL_DSN. TLS with a
    /// trusted certificate, except on this host, unless its sslmode says otherwise
    #[arg(long, value_name = "DSN", env = "PGDRILL_DSN", hide_env_values = true)]
    pub dsn: String,

    /// The console of the PgBouncer in front of it, in the same way; a password only within PGDRILL_POOLER_DSN
    #[arg(long, value_name = "DSN", env = "PGDRILL_POOLER_DSN", hide_env_values = true)]
    pub pooler: Option<String>,

    /// A directory on a disk of the server, as seen from here; may be given several times
    #[arg(long, value_name = "DIR")]
    pub disk: Vec<PathBuf>,

    /// Where an application tells of its health: anything but 2xx is trouble; may be given several times
    #[arg(long, value_name = "URL")]
    pub health: Vec<Url>,

    /// Where an application shows metrics, which must have samples of a database, a connection or a query
    #[arg(long, value_name = "URL")]
    pub metrics: Option<Url>,

    /// Whom to call: a YAML file with `primary` and `secondary`, each a list of role, name, phone, email
    #[arg(long, value_name = "FILE")]
    pub contacts: Option<PathBuf>,

    /// Since when the incident lasts: a time with its offset (2026-03-01 04:05:06+00), or for how long (20m)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,

    /// How long all of it may take
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_duration)]
    pub within: Duration,

    /// Tell the beginning of the texts of long queries, too: they may hold data
    #[arg(long)]
    pub queries: bool,

    /// Write everything as one JSON object to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-", help_heading = "Output")]
    pub json: Option<PathBuf>,

    /// Write the report as Markdown to a file, or to standard output with -
    #[arg(long, value_name = "PATH|-", help_heading = "Output")]
    pub markdown: Option<PathBuf>,
}

/// Since when something lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Microseconds since 1970.
    Time(i64),
    /// For so long.
    Ago(Duration),
}

impl Since {
    /// When it began, microseconds since 1970.
    pub fn unix_us(self, now_unix_us: i64) -> i64 {
        match self {
            Self::Time(unix_us) => unix_us,
            Self::Ago(ago) => now_unix_us.saturating_sub(ago.as_micros() as i64),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::Time(time.as_microsecond()));
        }
        if text.parse::<jiff::civil::DateTime>().is_ok() {
            return Err(format!(
                "'{text}' has no offset from UTC; write it behind the time, as in '{text}+00'"
            ));
        }
        parse_duration(text).map(Self::Ago).map_err(|_| {
            format!("'{text}' is neither a time with its offset (2026-03-01 04:05:06+00) nor how long it lasts (20m)")
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-03-01 04:05:06+00", Ok(Since::Time(1_772_337_906_000_000)))]
    #[case("20m", Ok(Since::Ago(Duration::from_secs(1200))))]
    #[case("2026-03-01 04:05:06", Err("has no offset"))]
    #[case("yesterday", Err("neither a time"))]
    fn since_when_it_lasts_is_a_time_or_how_long(#[case] text: &str, #[case] expected: Result<Since, &str>) {
        match (text.parse::<Since>(), expected) {
            (Ok(since), Ok(expected)) => assert_eq!(since, expected),
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn how_long_ago_is_counted_from_now() {
        assert_eq!(Since::Ago(Duration::from_secs(1)).unix_us(5_000_000), 4_000_000);
        assert_eq!(Since::Time(3).unix_us(5_000_000), 3);
    }
}
