//! `pgdrill live baseline`: writes what a running server holds to a file, with its position in the WAL.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use pgdrill_engine::live::Target;
use pgdrill_engine::live::baseline::{Baseline, Wanted, capture, seal};
use pgdrill_model::snapshot::Position;
use pgdrill_model::units::{show_count, show_time};
use pgdrill_model::witness::{Beat, Entry};

use super::witness::{contents, refused};
use super::{password, told};
use crate::args::LiveBaseline;
use crate::exit::Exit;
use crate::progress::clean;
use crate::{files, interrupt, printer};

/// The longest that a connection may take where only the string is looked at.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn baseline(args: &LiveBaseline) -> anyhow::Result<Exit> {
    let password = password(&args.server.dsn)?;
    Target::new(&args.server.dsn, password.as_deref(), LIMIT).map_err(|wrong| told(&wrong))?;
    let witness = match &args.witness {
        None => None,
        Some(path) => match newest(contents(path)?.entries) {
            Some(beat) => Some(beat),
            None => bail!("the witness file {} holds no beat that was acknowledged", path.display()),
        },
    };
    files::make_private();
    files::expect_report(&args.out)?;
    let interrupt = interrupt::listen().context("cannot listen for signals")?;
    let wanted = Wanted {
        dsn: args.server.dsn.clone(),
        password,
        databases: args.database.clone(),
        skip: args.skip.clone(),
        jobs: args.jobs,
        each: args.each,
        wait_quiet: args.wait_quiet.unwrap_or_default(),
    };
    let hear = |words: &str| printer::say(&format!("pgdrill: {}", clean(words)));
    let captured = tokio::select! {
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
        captured = capture(&wanted, &hear) => captured,
    };
    let mut baseline = match captured {
        Ok(baseline) => baseline,
        Err(why) => return Ok(refused(&why)),
    };
    if let Some(beat) = witness.as_ref().filter(|beat| beat.system != baseline.system) {
        bail!(
            "the server is cluster {}, and the witness file is of cluster {}",
            baseline.system,
            beat.system
        );
    }
    baseline.witness = witness;
    files::write_private(&args.out, &seal(&baseline)?)?;
    printer::out(&format!("{}{}", text(&baseline), args.out.display()))?;
    printer::out("\n")?;
    let unused = args.skip.iter().filter(|name| !baseline.skipped.contains(name));
    for name in unused {
        printer::say(&format!("pgdrill: there is nothing to skip by the name {}", clean(name)));
    }
    let complete = baseline.missing().next().is_none() && !baseline.databases.is_empty();
    Ok(if complete { Exit::Proven } else { Exit::Unverified })
}

/// The newest beat that was acknowledged.
fn newest(entries: Vec<Entry>) -> Option<Beat> {
    entries.into_iter().rev().find_map(|entry| match entry {
        Entry::Beat(beat) if beat.acknowledged => Some(beat),
        _ => None,
    })
}

/// What was captured.
fn text(baseline: &Baseline) -> String {
    let captured = baseline.captured();
    let mut text = format!(
        "baseline of cluster {}, PostgreSQL {}, of {}\n",
        baseline.system,
        clean(&baseline.version),
        show_time(baseline.captured_unix_us)
    );
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "  {label:<12} {value}");
    };
    line("tables", format!("{} with {} rows", show_count(captured.tables), show_count(captured.rows)));
    line("definitions", show_count(captured.definitions));
    line("sequences", show_count(captured.sequences));
    for (name, database) in &baseline.databases {
        let position = match &database.position {
            Position::Exact { timeline, lsn } => format!("exactly at {lsn} on timeline {timeline}"),
            Position::InTheWal { timeline, before, after, .. } => {
                format!(
                    "near {after} on timeline {timeline}; the commits from {before} on tell where, once they are archived"
                )
            }
        };
        line("position", format!("{}: {position}", clean(name)));
    }
    for (name, why) in baseline.missing() {
        line("NOT READ", format!("{}: {}", clean(name), clean(why)));
    }
    if baseline.missing().next().is_some() {
        line("", "let this role read it (pg_read_all_data), or leave it out with --skip NAME".to_owned());
    }
    for name in &baseline.skipped {
        line("skipped", clean(name).to_string());
    }
    text
}
