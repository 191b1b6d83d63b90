//! `pgdrill live triage`: the first five minutes of an incident, in one command.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use pgdrill_engine::clock::SystemClock;
use pgdrill_engine::live::Target;
use pgdrill_engine::live::triage::{Questions, collect};
use pgdrill_model::triage::{Assessment, Contacts, escalate};
use pgdrill_model::world::Clock;
use pgdrill_report::triage::Triaged;

use super::{expect_no_password, password, told};
use crate::args::LiveTriage;
use crate::exit::Exit;
use crate::{files, interrupt, printer};

pub(super) async fn triage(args: &LiveTriage) -> anyhow::Result<Exit> {
    let clock = SystemClock::start();
    let outputs: Vec<&Path> = [&args.json, &args.markdown].into_iter().flatten().map(AsRef::as_ref).collect();
    let to_stdout = outputs.iter().filter(|path| is_stdout(path)).count();
    if to_stdout > 1 {
        bail!("--json - and --markdown - would both write to standard output; give one of them a file");
    }
    let (server, pooler) = targets(args)?;
    let contacts = args.contacts.as_deref().map(contacts).transpose()?;
    for path in outputs.iter().filter(|path| !is_stdout(path)) {
        files::expect_report(path)?;
    }
    let interrupt = interrupt::listen().context("cannot listen for signals")?;
    let mode = files::make_private();
    let asked_unix_us = clock.unix_micros();
    let since_unix_us = args.since.map(|since| since.unix_us(asked_unix_us));
    if since_unix_us.is_some_and(|since| since > asked_unix_us) {
        bail!("--since is in the future; say when the incident began");
    }
    let questions = Questions {
        server,
        pooler,
        disks: args.disk.clone(),
        health: args.health.clone(),
        metrics: args.metrics.clone(),
        queries: args.queries,
        within: args.within.saturating_sub(clock.elapsed()),
        asked_unix_us,
    };
    let facts = tokio::select! {
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
        facts = collect(&questions) => facts,
    };

    let assessment = Assessment::of(&facts);
    let elapsed = since_unix_us.map(|since| Duration::from_micros(asked_unix_us.abs_diff(since)));
    let escalations = escalate(&assessment, elapsed);
    let triaged = Triaged {
        facts: &facts,
        assessment: &assessment,
        escalations: &escalations,
        contacts: contacts.as_ref(),
        since_unix_us,
    };
    if let Some(path) = &args.json {
        write(path, &format!("{:#}\n", triaged.json()), mode)?;
    }
    if let Some(path) = &args.markdown {
        write(path, &triaged.markdown(), mode)?;
    }
    if to_stdout == 0 {
        printer::out(&triaged.text(printer::style()))?;
    }
    Ok(match assessment.severity {
        Some(_) => Exit::Disproven,
        None if assessment.unknown.is_empty() => Exit::Proven,
        None => Exit::Unverified,
    })
}

/// The server and the pooler by their connection strings.
fn targets(args: &LiveTriage) -> anyhow::Result<(Target, Option<Target>)> {
    let password = password(&args.dsn)?;
    let server = Target::new(&args.dsn, password.as_deref(), args.within).map_err(|wrong| told(&wrong))?;
    let Some(dsn) = &args.pooler else { return Ok((server, None)) };
    expect_no_password(
        dsn,
        "--pooler",
        "PGDRILL_POOLER_DSN",
        "put the whole string into PGDRILL_POOLER_DSN",
    )?;
    let pooler =
        Target::pooler(dsn, None, args.within).map_err(|wrong| anyhow!("--pooler: {}", told(&wrong)))?;
    Ok((server, Some(pooler)))
}

fn contacts(path: &Path) -> anyhow::Result<Contacts> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the contacts {shown}"))?;
    Contacts::parse(&shown, &text).map_err(|misread| anyhow!("{misread}"))
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    if is_stdout(path) { printer::out(text) } else { files::write_report(path, text.as_bytes(), mode) }
}
