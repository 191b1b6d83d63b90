//! `pgdrill print`: what is made from pgdrill's own definitions.

use clap::CommandFactory;

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
        Print::Completions { shell } => {
            clap_complete::generate(*shell, &mut Args::command(), "pgdrill", &mut bytes);
        }
        Print::Man => clap_mangen::Man::new(Args::command()).render(&mut bytes)?,
    }
    printer::out(&String::from_utf8(bytes)?)?;
    Ok(Exit::Proven)
}
