//! `pgdrill prove`: makes a scenario of a backup that is there already, and runs it.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, bail};
use pgdrill_backup::standing;
use pgdrill_model::scenario::{Point, Timeline, parse};
use pgdrill_model::units::show_time;
use serde_json::json;

use crate::args::{self, Prove};
use crate::exit::Exit;
use crate::{files, printer};

pub(super) fn run(args: Prove) -> anyhow::Result<Exit> {
    let (id, text) = written(&args)?;
    let scenario = match parse(&id, "the drill that was made of the arguments", &text) {
        Ok(scenario) => scenario,
        Err(mistakes) => {
            printer::say(mistakes.to_string().trim_end());
            return Ok(Exit::Usage);
        }
    };
    if let Some(path) = &args.save {
        files::expect_report(path)?;
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    super::run::drills(&as_run(args), &[scenario])
}

/// The same as `pgdrill run` would have it.
fn as_run(args: Prove) -> args::Run {
    args::Run {
        paths: Vec::new(),
        postgres: Vec::new(),
        jobs: NonZeroUsize::MIN,
        shard: None,
        shard_by: None,
        seed: None,
        lasting: None,
        mutants: false,
        repeat: None,
        baseline: None,
        scale: Vec::new(),
        wal: Vec::new(),
        project: args::Project { project: None, project_wal: None },
        no_cache: true,
        list: false,
        running: args.running,
    }
}

/// The scenario's id and text.
fn written(args: &Prove) -> anyhow::Result<(String, String)> {
    if let Point::Mark(name, _) = &args.to {
        bail!("{name} is a mark of a scenario, which only `pgdrill run` knows");
    }
    let exact = matches!(args.to, Point::Time(_) | Point::Xid(_) | Point::Lsn(_));
    if args.exclusive && !exact {
        bail!("only a time, a transaction and a position can be exclusive");
    }
    let path = absolute(&args.backup)?;
    let mut text = format!("title: {}\n", quoted(&format!("Prove the backup in {path}")));
    // What cannot be looked at, the drill itself says, in its record.
    if let Ok(standing::Standing { major: Some(major), .. }) = standing::look(&args.backup) {
        let _ = writeln!(text, "postgres: {major}");
    }
    if let Some(limit) = &args.time_limit {
        let _ = writeln!(text, "time-limit: {}", quoted(limit));
    }
    let _ = writeln!(text, "steps:\n  - backup:\n      from:\n        path: {}", quoted(&path));
    if !args.wal.is_empty() {
        text.push_str("        wal:\n");
        for directory in &args.wal {
            let _ = writeln!(text, "          - {}", quoted(&absolute(directory)?));
        }
    }
    if let Some(command) = &args.restore_command {
        let _ = writeln!(text, "        restore-command: {}", quoted(command));
    }
    text.push_str("  - recover:\n");
    let _ = writeln!(text, "      to: {}", target(&args.to, args.exclusive));
    if args.timeline != Timeline::Latest {
        let _ = writeln!(text, "      timeline: {}", args.timeline);
    }
    if let Some(within) = &args.time_limit {
        let _ = writeln!(text, "      within: {}", quoted(within));
    }
    if args.check.is_empty() {
        text.push_str("  - check: all\n");
    } else {
        text.push_str("  - check:\n");
        for check in &args.check {
            let _ = writeln!(text, "      {check}: all");
        }
    }
    if let Some(rto) = &args.rto {
        let _ = writeln!(text, "objectives:\n  rto: {}", quoted(rto));
    }
    let name = args.backup.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((format!("prove/{}", name.unwrap_or_else(|| "backup".to_owned())), text))
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("cannot use {}", path.display()))?;
    match path.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(path) => bail!("{} is not UTF-8, which a scenario is written in", path.display()),
    }
}

/// A text as YAML has it: JSON is part of that.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn target(to: &Point, exclusive: bool) -> String {
    let inclusive = if exclusive { ", exclusive: on" } else { ", exclusive: off" };
    match to {
        Point::Latest => "latest".to_owned(),
        Point::Immediate => "immediate".to_owned(),
        Point::Mark(name, _) => name.clone(),
        Point::Time(unix_us) => format!("{{ time: {}{inclusive} }}", quoted(&show_time(*unix_us))),
        Point::Xid(xid) => format!("{{ xid: {xid}{inclusive} }}"),
        Point::Lsn(lsn) => format!("{{ lsn: {}{inclusive} }}", quoted(&lsn.to_string())),
        Point::Name(name) => format!("{{ name: {} }}", quoted(name)),
    }
}
