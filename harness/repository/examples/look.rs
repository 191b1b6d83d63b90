//! Prints what a path holds: `cargo run -p pgdrill-repository --example look -- PATH... [--pick WHICH] [--key PASSPHRASE]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example that prints")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pgdrill_model::units::{show_bytes, show_time};
use pgdrill_repository::{
    Backup, Found, Held, NotABackup, Options, Passphrase, Pick, State, look_together, look_with,
};

fn main() -> ExitCode {
    let (mut paths, mut pick, mut options) = (Vec::new(), None, Options::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--key" => options.key = arguments.next().map(Passphrase::new),
            "--pick" => pick = arguments.next().map(|which| Pick::read(&which, 1)),
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    match all(&paths, &options) {
        Ok(found) => {
            tell(&found);
            if pick.is_none_or(|pick| restore(&found, &pick)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(not) => {
            eprintln!("{not}\n  {}", not.hint());
            ExitCode::FAILURE
        }
    }
}

fn all(paths: &[PathBuf], options: &Options) -> Result<Found, NotABackup> {
    match paths {
        [path] => look_with(path, options),
        paths => look_together(&paths.iter().map(PathBuf::as_path).collect::<Vec<&Path>>(), options),
    }
}

fn tell(found: &Found) {
    println!("{}: {}, {} backups", found.path.display(), found.kind.words(), found.backups.len());
    for backup in &found.backups {
        println!("  {}", line(backup));
        match &backup.state {
            State::Complete => {}
            State::Unfit(why) => println!("      unfit: {why}"),
        }
        match &backup.held {
            Held::Dump(dump) => println!(
                "      {}; {} entries",
                dump.form.words(),
                dump.toc.as_ref().map_or(0, |toc| toc.count)
            ),
            Held::PgBackRest(of) => println!("      {of:?}"),
            Held::Barman(of) => println!("      {of:?}"),
            Held::WalG(of) => println!("      {of:?}"),
            Held::Base(of) => println!("      {of:?}"),
        }
    }
    for place in &found.wal {
        let (first, last) = (place.first.as_deref().unwrap_or("-"), place.last.as_deref().unwrap_or("-"));
        println!(
            "  WAL {}: {} segments, {first} to {last} ({:?})",
            place.path.display(),
            place.segments,
            place.layout
        );
    }
    for remark in &found.remarks {
        println!("  remark: {remark}");
    }
}

fn line(backup: &Backup) -> String {
    let mut words = vec![backup.label.clone()];
    words.extend(backup.server.clone().map(|server| format!("of {server}")));
    words.extend(backup.name.clone().map(|name| format!("named '{name}'")));
    words.push(backup.major.map_or("of an unknown major".to_owned(), |major| format!("PostgreSQL {major}")));
    words.extend(backup.system_identifier.map(|system| format!("system {system}")));
    words.extend(backup.start.map(|start| format!("from {start}")));
    words.extend(backup.stop.map(|stop| format!("to {stop}")));
    words.extend(backup.time_us().map(show_time));
    words.extend(backup.bytes.map(show_bytes));
    words.extend(backup.stored_bytes.map(|bytes| format!("stored {}", show_bytes(bytes))));
    words.extend(backup.prior.clone().map(|prior| format!("on {prior}")));
    words.join(", ")
}

fn restore(found: &Found, pick: &Pick) -> bool {
    match pick.of(found) {
        Ok(backups) => backups.iter().all(|backup| match found.layout(backup) {
            Ok(layout) => {
                println!("restore: {layout:#?}");
                true
            }
            Err(no) => {
                eprintln!("{no}\n  {}", no.hint);
                false
            }
        }),
        Err(no) => {
            eprintln!("{no}\n  {}", no.hint);
            false
        }
    }
}
