//! The arguments of `pgdrill live baseline`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::units::parse_duration;

use super::witness::Server;

/// Reads every table once, in transactions that only read, of which one stays open as long as it takes. Needs CONNECT to each
/// database and SELECT on each table: pg_read_all_data from 14 on. A standby must have its replay paused. Ends with 0, and with
/// 2 where something could not be read.
#[derive(Debug, clap::Args)]
pub struct Baseline {
    #[command(flatten)]
    pub server: Server,

    /// Where to write it: counts, hashes and definitions, and no row
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Only this database; may be given several times [default: all but templates]
    #[arg(long, value_name = "NAME")]
    pub database: Vec<String>,

    /// Leave this table out, as database.schema.table; or do without something that cannot be read, by the name that it is told by;
    /// may be given several times
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,

    /// Tables that are read at the same time; there is one connection more than that
    #[arg(long, short, value_name = "N", default_value = "1")]
    pub jobs: NonZeroUsize,

    /// The longest that one table may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub each: Duration,

    /// Wait so long for a moment at which no transaction is on its way, so that its position is known without the WAL
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait_quiet: Option<Duration>,

    /// Take the newest beat of this witness file along
    #[arg(long, value_name = "FILE")]
    pub witness: Option<PathBuf>,
}
