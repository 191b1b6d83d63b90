//! pgdrill: proves that PostgreSQL backups restore.

mod args;
mod clock;
mod command;
mod drills;
mod examination;
mod exit;
mod fetched;
mod files;
mod interrupt;
mod key_file;
mod matrix;
mod memory;
mod place;
mod printer;
mod progress;
mod records;
mod runtimes;
mod scenarios;
mod schedule;
mod shard;
mod soak;
mod spooled;
mod window;

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::exit::Exit;

fn main() -> ExitCode {
    // A bug of ours is told in one line, with its own exit code, and never as a verdict.
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        anstream::eprintln!("pgdrill: a bug in pgdrill, please report it: {message} ({place})");
    }));
    match panic::catch_unwind(run) {
        Ok(exit) => exit.into(),
        Err(_) => Exit::Bug.into(),
    }
}

fn run() -> Exit {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            // clap would exit with 2, which here means "could not verify".
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Proven,
                _ => Exit::Usage,
            };
        }
    };
    let filter = EnvFilter::try_from_env("PGDRILL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(printer::color_on_stderr())
        .init();
    match command::run(args) {
        Ok(exit) => exit,
        Err(error) => {
            anstream::eprintln!("pgdrill: {error:#}");
            Exit::Usage
        }
    }
}
