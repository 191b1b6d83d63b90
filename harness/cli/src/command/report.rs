//! `pgdrill report`: tells again what sealed records say, and what they say together.

use anyhow::Context;
use pgdrill_model::forecast::Wanted;
use pgdrill_model::history;
use pgdrill_model::run::Run;
use pgdrill_report::{Style, forecast, history as table, html, json, junit, markdown, metrics, text};

use super::evidence;
use crate::args::{Form, Report};
use crate::exit::Exit;
use crate::records::{self, Read};
use crate::{clock, files, printer};

pub(super) fn run(args: &Report) -> anyhow::Result<Exit> {
    if args.evidence.is_asked_for() {
        return evidence::run(&args.records, &args.evidence, clock::unix_micros());
    }
    let Read { runs, refused } = records::read(&args.records)?;
    refused.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));
    if let Some(wanted) = args.project.wanted() {
        return forecasted(&runs, wanted, args, !refused.is_empty());
    }
    let now = clock::unix_micros();
    let exit = judge(&runs, args, now, !refused.is_empty());
    let runs = if args.latest { latest(&runs) } else { runs };
    let style = style(args);
    let told = match args.format {
        Form::History => table::text(&runs, now, args.max_age, style),
        Form::Text if runs.len() == 1 => runs.iter().map(|run| text::drill(run, style)).collect(),
        Form::Text => text::summary(&runs, style),
        Form::Json => json::runs(&runs, exit.code()),
        Form::Junit => junit::runs(&runs).context("cannot render the JUnit report")?,
        Form::Markdown => markdown::runs(&runs),
        Form::Html => html::runs(
            &runs,
            now,
            &html::Terms { max_age: args.max_age, refused: &refused, every_run: false },
        ),
        Form::Prometheus => metrics::runs(&runs),
    };
    put(args, &told)?;
    Ok(exit)
}

/// Tells forecasts; without any, or with records that cannot be read, nobody knows.
fn forecasted(runs: &[Run], wanted: Wanted, args: &Report, refused: bool) -> anyhow::Result<Exit> {
    let (told, made) = forecast::text(runs, wanted, style(args));
    put(args, &told)?;
    Ok(if refused || made == 0 { Exit::Unverified } else { Exit::Proven })
}

/// Colours and the width of a terminal are for one.
fn style(args: &Report) -> Style {
    if args.out.is_some() { Style::default() } else { printer::style() }
}

/// Writes what is told to where it was asked for.
fn put(args: &Report, told: &str) -> anyhow::Result<()> {
    match &args.out {
        Some(path) => files::write_report(path, told.as_bytes(), files::make_private()),
        None => printer::out(told),
    }
}

/// What the newest runs say together. What was mended since is not held against anybody; that a record cannot be read, or that
/// none is new enough, is.
fn judge(runs: &[Run], args: &Report, now: i64, refused: bool) -> Exit {
    let lines = history::lines(runs);
    let newest = lines.iter().filter_map(history::Line::newest).map(Exit::of).max();
    let stale = args.max_age.is_some_and(|limit| lines.iter().any(|line| line.is_stale(now, limit)));
    let least = if refused || stale { Exit::Unverified } else { Exit::Proven };
    newest.unwrap_or(Exit::Unverified).max(least)
}

fn latest(runs: &[Run]) -> Vec<Run> {
    history::lines(runs).iter().filter_map(history::Line::newest).cloned().collect()
}
