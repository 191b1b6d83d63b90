//! The commands: one file each, and this table of them.

use crate::args::{Args, Command};
use crate::exit::Exit;

mod clean;
mod doctor;
mod explain;
mod print;
mod run;

/// Runs a command.
///
/// # Errors
///
/// What the user can put right; shown as it is, with the exit code for usage.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Run(args) => run::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Clean(args) => clean::run(&args),
        Command::Explain { name } => explain::run(name.as_deref()),
        Command::Print { what } => print::run(&what),
    }
}
