//! The command line, as it is written. What it means is for the commands to say.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand, ValueEnum};
use pgdrill_model::event::Limits;
use pgdrill_model::forecast::Wanted;
use pgdrill_model::scenario::MOST_ORDERS;
use pgdrill_model::units::{Major, parse_bytes, parse_count, parse_duration};

use crate::runtimes::Where;
use crate::shard::Shard;

mod evidence;
mod live;
mod prove;
mod report;
mod restore;
mod running;
mod trading_app;
mod verify;
mod wal;

pub use evidence::Evidence;
pub use live::{
    Baseline as LiveBaseline, Beat as WitnessBeat, Check as WitnessCheck, Live, Remove as WitnessRemove,
    Server as LiveServer, Triage as LiveTriage, Watch as LiveWatch, What, Witness as LiveWitness,
    WitnessWhat,
};
pub use prove::Prove;
pub use report::{Form, Report};
pub use restore::{AtTarget, Restore};
pub use running::Running;
pub use trading_app::TradingApp;
pub use verify::Verify;
pub use wal::{Moment, Wal};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit codes:
  0    proven
  1    disproven: the backup, the restore or an objective failed
  2    could not verify
  64   usage, or a mistake in a scenario file
  70   a bug in pgdrill
  130  interrupted
Of several drills the worst decides, in the order 130, 70, 1, 2, 0.";

/// Prove that PostgreSQL backups restore.
#[derive(Debug, Parser)]
#[command(name = "pgdrill", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them, and it is taken apart at once")]
pub enum Command {
    /// Rehearse: start disposable servers, back up, lose them, restore, compare, time
    Run(Run),
    /// Prove a backup that is there already: recover it in quarantine, and check what comes of it
    Prove(Prove),
    /// Verify a backup, or a WAL archive, without a server: what pg_verifybackup sees, its data pages, and its WAL
    Verify(Verify),
    /// Restore a backup into an empty directory, verified by the time it is there
    Restore(Restore),
    /// List the transactions in a WAL archive, to find the moment before an accident
    Wal(Wal),
    /// Tell again what sealed records say, and what they say together: how often, when last, how fast
    Report(Report),
    /// Look at a server of your own, which is only asked, but for the beats of a witness
    Live(Live),
    /// Tell what of the machine pgdrill can use, what is missing, and how to mend it
    Doctor(Doctor),
    /// Remove what dead or kept drills have left, and kept clusters; seal the records of dead ones
    Clean(Clean),
    /// Explain a finding code, a check, a fault, an alert or a signal of triage; without one, list them all
    Explain {
        /// For example ROW_COUNT_MISMATCH, row-counts, segment-missing, or connection-failures
        name: Option<String>,
    },
    /// Print the scenario schema, shell completions or the manual page
    #[command(hide = true)]
    Print {
        #[command(subcommand)]
        what: Print,
    },
    /// Run a part of the trading application of drills, until standard input ends
    #[command(hide = true)]
    TradingApp {
        #[command(subcommand)]
        role: TradingApp,
    },
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Scenario files, or directories of them [default: scenarios]
    pub paths: Vec<PathBuf>,

    /// PostgreSQL majors to run on, separated by commas [default: the newest that is there]
    #[arg(long, value_delimiter = ',', value_name = "MAJORS", help_heading = "What to run")]
    pub postgres: Vec<Major>,

    /// How many drills run at the same time, as far as memory and processors allow; drills with a recovery time
    /// objective run alone all the same
    #[arg(long, short, value_name = "N", default_value = "1", help_heading = "What to run")]
    pub jobs: NonZeroUsize,

    /// Only one part of the drills, as in 2/5: the parts of several machines together are all of them
    #[arg(long, value_name = "K/N", conflicts_with = "lasting", help_heading = "What to run")]
    pub shard: Option<Shard>,

    /// Records, or a directory of them, that say how long drills take, so that the parts take equally long; the same for
    /// every part
    #[arg(long, value_name = "RECORDS", requires = "shard", help_heading = "What to run")]
    pub shard_by: Option<PathBuf>,

    /// Where all chance comes from, instead of the scenario's own
    #[arg(long, help_heading = "What to run")]
    pub seed: Option<u64>,

    /// Draw drills from the seed, with faults, and run one after the other for so long, as in 1h; the first wrong verdict
    /// ends it
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, conflicts_with_all = ["list", "plan", "mutants", "project", "project_wal"],
          help_heading = "What to run")]
    pub lasting: Option<Duration>,

    /// When a drill is proven, damage copies of its backup and archive, and see whether its checks notice each
    #[arg(long, help_heading = "What to run")]
    pub mutants: bool,

    /// Recover so often from the same backup and archive, each time checked, and tell how the recovery time is spread
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), conflicts_with_all = ["mutants", "lasting"],
          help_heading = "How fast")]
    pub repeat: Option<u64>,

    /// Records, or a directory of them: a recovery that is slower than in those that were proven is not
    #[arg(long, value_name = "RECORDS", conflicts_with = "lasting", help_heading = "How fast")]
    pub baseline: Option<PathBuf>,

    /// Each scenario with so many orders instead of its own, separated by commas, as in 100k,1M,5M
    #[arg(long, value_name = "ORDERS", value_delimiter = ',', value_parser = orders, conflicts_with = "lasting", help_heading = "How fast")]
    pub scale: Vec<u64>,

    /// Each scenario with so much WAL to replay, separated by commas, as in 64MB,512MB
    #[arg(long, value_name = "BYTES", value_delimiter = ',', value_parser = bytes, conflicts_with = "lasting", help_heading = "How fast")]
    pub wal: Vec<u64>,

    #[command(flatten)]
    pub project: Project,

    /// Make every cluster anew: start none from a kept copy, and keep none
    #[arg(long, help_heading = "What to run")]
    pub no_cache: bool,

    /// List the scenarios, and do nothing
    #[arg(long, conflicts_with = "plan", help_heading = "What to run")]
    pub list: bool,

    #[command(flatten)]
    pub running: Running,
}

/// For which size a forecast is made.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Project {
    /// Forecast the recovery time of a database of this size, from recoveries of at least three smaller ones, as in 2TB
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "How fast")]
    pub project: Option<u64>,

    /// The same with so much WAL to replay, as in 50GB
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "How fast")]
    pub project_wal: Option<u64>,
}

impl Project {
    /// What is wanted, where anything is.
    pub fn wanted(self) -> Option<Wanted> {
        (self.project.is_some() || self.project_wal.is_some())
            .then_some(Wanted { size: self.project, wal: self.project_wal })
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "write a number of bytes with a unit, as in 64MB or 2TB".to_owned())
}

fn orders(text: &str) -> Result<u64, String> {
    parse_count(text)
        .filter(|orders| (1..=MOST_ORDERS).contains(orders))
        .ok_or_else(|| format!("write a number of orders from 1 to {MOST_ORDERS}, as in 100k or 5M"))
}

/// Where servers run.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Where servers run
    #[arg(
        long,
        value_enum,
        env = "PGDRILL_RUNTIME",
        default_value_t = Where::Auto,
        help_heading = "What to run"
    )]
    pub runtime: Where,

    /// The image of containers, with {major} in it [default: pgdrill/postgres:{major} if there, else postgres:{major}]
    #[arg(long, value_name = "IMAGE", env = "PGDRILL_IMAGE", help_heading = "What to run")]
    pub image: Option<String>,

    /// The most memory that each server may take, with the pages of files that it has read, as in 4GB; containers alone
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "What to run")]
    pub memory: Option<u64>,

    /// The most processors that each server may take, as in 2 or 1.5; containers alone
    #[arg(long, value_name = "N", value_parser = cpus, help_heading = "What to run")]
    pub cpus: Option<u64>,
}

impl Place {
    /// What each server may take of the machine.
    pub fn limits(&self) -> Limits {
        Limits { memory_bytes: self.memory, cpu_millis: self.cpus }
    }
}

/// A number of processors, in thousandths.
fn cpus(text: &str) -> Result<u64, String> {
    let number: Option<f64> = text.parse().ok().filter(|number| (0.01..=100_000.0).contains(number));
    number
        .map(|number| (number * 1_000.0).round() as u64)
        .ok_or_else(|| "write a number of processors, as in 2 or 1.5".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    Always,
    OnFailure,
    Never,
}

#[derive(Debug, clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    pub place: Place,

    #[command(flatten)]
    pub workspace: Workspace,

    /// The directory of sealed records
    #[arg(long, value_name = "DIR", env = "PGDRILL_EVIDENCE", default_value = ".pgdrill/runs")]
    pub evidence: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Clean {
    #[command(flatten)]
    pub workspace: Workspace,

    /// The directory of sealed records
    #[arg(long, value_name = "DIR", env = "PGDRILL_EVIDENCE", default_value = ".pgdrill/runs")]
    pub evidence: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Workspace {
    /// The directory in which drills make their workspaces [default: pgdrill-UID in the temporary directory]
    #[arg(long, value_name = "DIR", env = "PGDRILL_WORKSPACE", help_heading = "Files")]
    pub workspace: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Print {
    /// The JSON Schema of scenario files, for editors
    Schema,
    /// The JSON Schema of reports and records, for programs that read them
    ReportSchema,
    /// Completions for a shell
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// The manual page; with a directory, the pages of all commands, as files in it
    Man {
        /// Where to put them; made if need be
        directory: Option<PathBuf>,
    },
    /// The trading data as binary COPY files, one per table, for other programs to load
    Copy {
        /// Where to put them; made if need be
        directory: PathBuf,
        /// Rows of "Order"
        #[arg(long, default_value_t = 200_000)]
        orders: u64,
        /// Where all chance comes from
        #[arg(long, default_value_t = 42)]
        seed: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
