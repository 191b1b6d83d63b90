//! The commands: one file each, and this table of them.

use std::num::NonZeroUsize;

use crate::args::{Args, Command};
use crate::exit::Exit;

mod clean;
mod doctor;
mod evidence;
mod explain;
mod live;
mod merge;
mod print;
mod prove;
mod report;
mod restore;
mod run;
mod trading_app;
mod verify;
mod wal;

/// Runs a command.
///
/// # Errors
///
/// What the user can put right; shown as it is, with the exit code for usage.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Run(args) => run::run(&args),
        Command::Prove(args) => prove::run(args),
        Command::Report(args) => report::run(&args),
        Command::Restore(args) => restore::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Wal(args) => wal::run(&args),
        Command::Live(args) => live::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Clean(args) => clean::run(&args),
        Command::Explain { name } => explain::run(name.as_deref()),
        Command::Print { what } => print::run(&what),
        Command::TradingApp { role } => trading_app::run(&role),
    }
}

/// How many threads work: as many as were asked for, or one per core.
fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from)
}
