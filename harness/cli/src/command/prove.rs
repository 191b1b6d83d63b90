//! `pgdrill prove`: makes a scenario of each backup that is meant, and runs them.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pgdrill_fetch::Kind;
use pgdrill_model::check::Check;
use pgdrill_model::finding::Unable;
use pgdrill_model::query::{Expected, Number, Query};
use pgdrill_model::scenario::{Mistakes, Point, Scenario, Timeline, parse, parse_queries};
use pgdrill_model::units::{Major, show_time};
use pgdrill_repository::{Backup, Found, Options, Passphrase, Pick, look_upon, pgbackrest};
use serde_json::json;

use crate::args::{self, Prove};
use crate::exit::Exit;
use crate::spooled::Stopped;
use crate::{clock, fetched, files, printer, spooled};

/// A backup that is meant, as far as a scenario must name it.
struct Meant {
    /// Its label; none where nothing could be looked at, which the drill itself says, in its record.
    label: Option<String>,
    /// Whose it is.
    server: Option<String>,
    /// Its major.
    major: Option<Major>,
}

pub(super) fn run(mut args: Prove) -> anyhow::Result<Exit> {
    let by_input = spooled::is_meant(&args.backup);
    let sources: Vec<&Path> =
        std::iter::once(&args.backup).chain(&args.upon).chain(&args.wal).map(PathBuf::as_path).collect();
    if let Some(path) = sources.iter().skip(1).find(|path| spooled::is_meant(path)) {
        bail!("{} stands for standard input, by which only the backup itself can come", path.display());
    }
    let urls: Vec<&Path> = sources.into_iter().filter(|path| fetched::is_url(path)).collect();
    let shown = if by_input { spooled::NAME.to_owned() } else { absolute(&args.backup)? };
    if let Some(path) = args.save.as_ref().filter(|_| by_input || !urls.is_empty()) {
        let first = if by_input { "write the backup to a file" } else { "fetch the backup yourself" };
        bail!("{} would name files that are removed in the end: {first} first", path.display());
    }
    let base = args.running.evidence.parent().unwrap_or(Path::new(".")).join("fetched");
    let fetched = match fetched::all(&urls, &base, args.running.quiet)? {
        Ok(fetched) => fetched,
        Err(trouble) if trouble.kind == Kind::Interrupted => return Ok(Exit::Interrupted),
        // Nothing can be proven then, and the record of the drill says why.
        Err(trouble) => return prove(args, &shown, Some(&trouble.into())),
    };
    let mut paths = fetched.iter().map(|fetched| fetched.path.clone());
    let named = std::iter::once(&mut args.backup).chain(&mut args.upon).chain(&mut args.wal);
    for path in named.filter(|path| fetched::is_url(path)) {
        *path = paths.next().unwrap_or_default();
    }
    if !by_input {
        return prove(args, &shown, None);
    }
    match spooled::all(&base, args.running.quiet)? {
        Ok(spooled) => {
            args.backup.clone_from(&spooled.path);
            // It is removed only when all is done.
            prove(args, &shown, None)
        }
        Err(Stopped::Interrupted) => Ok(Exit::Interrupted),
        Err(Stopped::Unable(unable)) => prove(args, &shown, Some(&unable)),
    }
}

/// Proves what lies on this host, and in records is called `shown`; where it does not, `unable` says why.
fn prove(args: Prove, shown: &str, unable: Option<&Unable>) -> anyhow::Result<Exit> {
    if args.exclusive && !matches!(to(&args), Point::Time(_) | Point::Xid(_) | Point::Lsn(_)) {
        bail!("only a time, a transaction and a position can be exclusive");
    }
    let queries = match asked(&args)? {
        Ok(queries) => queries,
        Err(mistakes) => {
            printer::say(mistakes.to_string().trim_end());
            return Ok(Exit::Usage);
        }
    };
    let meant = meant(&args)?;
    if let (Some(path), true) = (&args.save, meant.len() > 1) {
        bail!("{} would have to hold {} drills: name one backup with --pick", path.display(), meant.len());
    }
    let mut scenarios: Vec<Scenario> = Vec::new();
    for backup in &meant {
        let text = written(&args, backup, &queries, shown)?;
        match parse(&id(shown, backup), "the drill that was made of the arguments", &text) {
            Ok(scenario) => scenarios.push(scenario.called(shown)),
            Err(mistakes) => {
                printer::say(mistakes.to_string().trim_end());
                return Ok(Exit::Usage);
            }
        }
        if let Some(path) = &args.save {
            files::expect_report(path)?;
            std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    super::run::drills(&as_run(args), &scenarios, unable)
}

/// The queries that are asked.
fn asked(args: &Prove) -> anyhow::Result<Result<Vec<Query>, Mistakes>> {
    let Some(path) = &args.queries else { return Ok(Ok(Vec::new())) };
    let file = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {file}"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => parse_queries(&file, &text),
        Err(_) => Err(Mistakes::not_utf8(&file)),
    })
}

/// The backups that are meant.
fn meant(args: &Prove) -> anyhow::Result<Vec<Meant>> {
    let options = Options { key: std::env::var(pgbackrest::PASSPHRASE).ok().map(Passphrase::new) };
    let upon: Vec<&Path> = args.upon.iter().map(PathBuf::as_path).collect();
    let unknown = |label| vec![Meant { label, server: args.server.clone(), major: None }];
    let Ok(found) = look_upon(&args.backup, &upon, &options) else { return Ok(unknown(None)) };
    if !args.running.quiet {
        found.remarks.iter().for_each(|remark| printer::say(&format!("pgdrill: {remark}")));
    }
    let found = match &args.server {
        Some(server) => found.of_server(server),
        None => found,
    };
    let seed = args.seed.unwrap_or_else(|| clock::unix_micros().unsigned_abs());
    let picked = match Pick::read(&args.pick, seed).of(&found) {
        Ok(picked) => picked,
        // That none is good is a verdict, which the drill itself comes to.
        Err(_)
            if found.servers().len() < 2 && matches!(args.pick.as_str(), "newest" | "oldest" | "random") =>
        {
            return Ok(unknown(Some(args.pick.clone())));
        }
        Err(why) => bail!("{}; {}", why.message, why.hint),
    };
    let newer = picked.last().filter(|_| args.pick == "newest").and_then(|newest| {
        let at = found.backups.iter().position(|backup| backup == *newest)?;
        found.backups.get(at + 1..)
    });
    // Somebody who asks for the newest thinks of these.
    for backup in newer.into_iter().flatten() {
        let why = found.lacks(backup).or_else(|| found.why_unfit(backup)).unwrap_or_default();
        printer::say(&format!("pgdrill: {}, which is newer, is left out: {why}", backup.label));
    }
    if args.pick == "random" && !args.running.quiet {
        printer::say(&format!("pgdrill: chosen by --seed {seed}"));
    }
    Ok(picked.into_iter().map(|backup| named(&found, backup)).collect())
}

fn named(found: &Found, backup: &Backup) -> Meant {
    let several = found.backups.len() > 1;
    Meant { label: several.then(|| backup.label.clone()), server: backup.server.clone(), major: backup.major }
}

/// Where recovery is to stop.
fn to(args: &Prove) -> Point {
    let by_default = if args.baseline.is_some() { Point::Baseline } else { Point::Latest };
    args.to.clone().unwrap_or(by_default)
}

/// The same as `pgdrill run` would have it.
fn as_run(args: Prove) -> args::Run {
    args::Run {
        paths: Vec::new(),
        postgres: args.postgres.into_iter().collect(),
        jobs: NonZeroUsize::MIN,
        shard: None,
        shard_by: None,
        seed: args.seed,
        lasting: None,
        mutants: false,
        repeat: args.repeat,
        baseline: None,
        scale: Vec::new(),
        wal: Vec::new(),
        project: args::Project { project: None, project_wal: None },
        no_cache: true,
        list: false,
        running: args.running,
    }
}

fn id(shown: &str, backup: &Meant) -> String {
    let name = shown.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
    let parts = [Some("prove"), name.or(Some("backup")), backup.server.as_deref(), backup.label.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// The text of the scenario that proves a backup.
fn written(args: &Prove, backup: &Meant, queries: &[Query], shown: &str) -> anyhow::Result<String> {
    let path = absolute(&args.backup)?;
    let what = match backup.label.as_deref() {
        Some(which @ ("newest" | "oldest" | "random")) => format!("{which} backup"),
        Some(label) => format!("backup {label}"),
        None => "backup".to_owned(),
    };
    let mut text = format!("title: {}\n", quoted(&format!("Prove the {what} in {shown}")));
    // A dump may be loaded into a later major as well.
    // One that is too old, the drill itself refuses.
    let major = backup.major.filter(|major| *major >= Major::OLDEST);
    if let (Some(major), None) = (major, args.postgres) {
        let _ = writeln!(text, "postgres: {major}");
    }
    if let Some(limit) = &args.time_limit {
        let _ = writeln!(text, "time-limit: {}", quoted(limit));
    }
    let _ = writeln!(text, "steps:\n  - backup:\n      from:\n        path: {}", quoted(&path));
    let named = [
        ("server", &backup.server),
        ("backup", &backup.label),
        ("restore-command", &args.restore_command),
        ("max-age", &args.max_age),
        ("max-drift", &args.max_drift),
    ];
    for (key, value) in named {
        if let Some(value) = value {
            let _ = writeln!(text, "        {key}: {}", quoted(value));
        }
    }
    for (key, directories) in [("upon", &args.upon), ("wal", &args.wal)] {
        if !directories.is_empty() {
            let _ = writeln!(text, "        {key}:");
        }
        for directory in directories {
            let _ = writeln!(text, "          - {}", quoted(&absolute(directory)?));
        }
    }
    if !args.empty.is_empty() {
        let names: Vec<String> = args.empty.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(text, "        empty: [{}]", names.join(", "));
    }
    let files = [("globals", &args.globals), ("baseline", &args.baseline), ("witness", &args.witness)];
    for (key, file) in files {
        if let Some(file) = file {
            let _ = writeln!(text, "        {key}: {}", quoted(&absolute(file)?));
        }
    }
    let _ = writeln!(text, "  - recover:\n      to: {}", target(&to(args), args.exclusive));
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
        // Whoever bounds rows wants them to be counted, and whoever names queries wants them to be asked.
        if args.max_drift.is_some() && !args.check.iter().any(|check| check.counts_rows()) {
            let _ = writeln!(text, "      {}: all", Check::ReadAll);
        }
        if !(queries.is_empty() || args.check.contains(&Check::Queries)) {
            let _ = writeln!(text, "      {}: all", Check::Queries);
        }
    }
    if !queries.is_empty() {
        text.push_str("queries:\n");
        queries.iter().for_each(|query| question(&mut text, query));
    }
    if let Some(rto) = &args.rto {
        let _ = writeln!(text, "objectives:\n  rto: {}", quoted(rto));
    }
    Ok(text)
}

/// Writes a query as a scenario has it.
fn question(text: &mut String, query: &Query) {
    let Query { name, sql, expected, database, role, within } = query;
    let _ = writeln!(text, "  - name: {}\n    query: {}", quoted(name), quoted(sql));
    let bounds = |least: Option<String>, most: Option<String>| {
        let bounds = [("at-least", least), ("at-most", most)];
        let written = bounds.into_iter().filter_map(|(key, bound)| Some(format!("{key}: {}", bound?)));
        format!("{{ {} }}", written.collect::<Vec<_>>().join(", "))
    };
    let expected = match expected {
        Expected::Value(value) => quoted(value),
        Expected::Number { at_least, at_most } => {
            bounds(at_least.as_ref().map(Number::to_string), at_most.as_ref().map(Number::to_string))
        }
        Expected::Rows { at_least, at_most } => {
            let rows = bounds(Some(at_least.to_string()), at_most.map(|most| most.to_string()));
            format!("{{ rows: {rows} }}")
        }
    };
    let _ = writeln!(text, "    expect: {expected}");
    for (key, value) in [("database", database), ("role", role)] {
        if let Some(value) = value {
            let _ = writeln!(text, "    {key}: {}", quoted(value));
        }
    }
    let within = match within.subsec_nanos() {
        0 => format!("{}s", within.as_secs()),
        _ => format!("{}ms", within.as_millis().max(1)),
    };
    let _ = writeln!(text, "    within: {within}");
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    if let Some(url) = path.to_str().filter(|_| fetched::is_url(path)) {
        return Ok(url.to_owned());
    }
    if spooled::is_meant(path) {
        return Ok(path.display().to_string());
    }
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
    let exclusive = if exclusive { "on" } else { "off" };
    match to {
        Point::Latest => "latest".to_owned(),
        Point::Immediate => "immediate".to_owned(),
        Point::Baseline => "baseline".to_owned(),
        Point::Mark(name, _) => name.clone(),
        Point::Time(unix_us) => {
            format!("{{ time: {}, exclusive: {exclusive} }}", quoted(&show_time(*unix_us)))
        }
        Point::Xid(xid) => format!("{{ xid: {xid}, exclusive: {exclusive} }}"),
        Point::Lsn(lsn) => format!("{{ lsn: {}, exclusive: {exclusive} }}", quoted(&lsn.to_string())),
        Point::Name(name) => format!("{{ name: {} }}", quoted(name)),
    }
}
