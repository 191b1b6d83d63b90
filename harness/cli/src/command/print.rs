//! `pgdrill print`: what is made from pgdrill's own definitions.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use pgdrill_engine::data::copy::{Stream, TABLES};

use crate::args::{Args, Print};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(what: &Print) -> anyhow::Result<Exit> {
    let mut bytes = Vec::new();
    match what {
        Print::Schema => {
            bytes = serde_json::to_vec_pretty(&pgdrill_model::scenario::schema())?;
            bytes.push(b'\n');
        }
        Print::ReportSchema => bytes = format!("{:#}\n", pgdrill_report::json::schema()).into_bytes(),
        Print::Completions { shell } => {
            clap_complete::generate(*shell, &mut Args::command(), "pgdrill", &mut bytes);
        }
        Print::Copy { directory, orders, seed } => copy(directory, *orders, *seed)?,
        Print::Man { directory: None } => clap_mangen::Man::new(Args::command()).render(&mut bytes)?,
        Print::Man { directory: Some(directory) } => man(directory)?,
    }
    printer::out(&String::from_utf8(bytes)?)?;
    Ok(Exit::Proven)
}

/// Writes a page for the program and for each command that its help shows.
fn man(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    clap_mangen::generate_to(Args::command(), directory)
        .with_context(|| format!("cannot write the manual pages into {}", directory.display()))
}

/// Writes the trading data, a file per table.
fn copy(directory: &Path, orders: u64, seed: u64) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for table in TABLES {
        let path = directory.join(format!("{}.copy", table.name()));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&path)?;
            let mut stream = Stream::new(table, seed, orders);
            let mut chunk = Vec::new();
            while stream.next_chunk(&mut chunk) {
                file.write_all(&chunk)?;
                chunk.clear();
            }
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
