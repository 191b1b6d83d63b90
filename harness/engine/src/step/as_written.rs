//! `as-written`: carries out a step of the restore runbook, command by command, on what a killed server left, and looks at
//! what is there then: files, a server that is started on them, a write, and what it holds.

use std::time::Duration;

use pgdrill_model::as_written::{Commands, START, Wanted};
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::{AsWrittenEvidence, AskedEvidence, CommandEvidence, Evidence, FoundEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::RunbookStep;

use crate::archiving;
use crate::as_written::bench::{self, BACKUPS, Bench};
use crate::as_written::look;
use crate::as_written::service::Service;
use crate::as_written::shell::{self, Ran, Shell};
use crate::baseline::Baseline;
use crate::drill::Drill;
use crate::server::Server;

const NAME: Name = Name::AsWritten;

/// What the plan says beside which step it is.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) of: Name,
    pub(super) backup: Option<&'a str>,
    pub(super) mark: Option<&'a str>,
}

pub(super) async fn run(
    drill: &mut Drill<'_>,
    step: RunbookStep,
    around: Around<'_>,
) -> Result<Vec<Finding>, Unable> {
    // Those who outlive their postmaster write for a moment.
    let mut findings = drill.primary_is_gone().await?;
    let outcome = carry_out(drill, step, around).await;
    if let Some(mut server) = drill.servers.remove(&NAME) {
        server.stop(drill.clock).await;
        findings.extend(server.close().await);
    }
    drill.recorder.measured(Evidence::AsWritten(outcome?));
    Ok(findings)
}

async fn carry_out(
    drill: &mut Drill<'_>,
    step: RunbookStep,
    around: Around<'_>,
) -> Result<AsWrittenEvidence, Unable> {
    let (entry, commands) = (step.row.entry(), step.row.commands(step.corrected));
    let began = drill.clock.elapsed();
    let bench = bench::prepare(drill, entry, around.of, around.backup).await?;
    open(drill, around.of).await?;
    let mut service = if entry.wanted == Wanted::Telling { Some(Service::begin().await?) } else { None };
    let shell = Shell {
        by: entry.by,
        one_second: entry.one_second,
        env: environment(drill, &bench, commands, around, service.as_ref())?,
        said: bench.said.clone(),
    };
    let mut evidence = AsWrittenEvidence {
        row: step.row,
        corrected: step.corrected,
        commands: Vec::new(),
        found: FoundEvidence {
            files_before: bench.files_before,
            bytes_before: bench.bytes_before,
            ..FoundEvidence::default()
        },
        took_us: 0,
        restored_us: None,
    };
    let typed = drill.clock.elapsed();
    let mut up = None;
    let ask: &[_] = if commands.ask.is_empty() { &[] } else { &[commands.ask] };
    let step_at = commands.before.len();
    let blocks = commands.before.iter().chain([&commands.step]).chain(commands.after).chain(ask);
    for (at, block) in blocks.enumerate() {
        let ran = shell.run(drill, block, at > 0).await?;
        let whole = ran.iter().all(|line| line.code.is_some());
        let of_the_step = at == step_at;
        if of_the_step && entry.wanted != Wanted::Newest {
            asked(&mut evidence.found, entry.wanted, &ran, service.is_none());
        }
        evidence.commands.extend(ran.into_iter().map(|line| told(line, of_the_step)));
        if block.last() == Some(&START) {
            let started = if whole && up.is_none() {
                let state = look::start(drill, &bench.data).await?;
                evidence.restored_us = state.is_open().then(|| micros(drill.clock.elapsed(), typed));
                let ran = state.as_of_the_service();
                up = Some(state);
                ran
            } else {
                Ran { text: START, code: None, said: String::new() }
            };
            evidence.commands.push(told(started, of_the_step));
        }
    }
    if let Some(service) = &mut service {
        service.recovers();
        let ran = shell.run(drill, commands.step, false).await?;
        asked(&mut evidence.found, entry.wanted, &ran, true);
    } else {
        let expected = expected(drill, entry.wanted, around.mark)?;
        look::at(drill, &bench, entry.wanted, expected, up, &mut evidence.found).await?;
    }
    evidence.took_us = micros(drill.clock.elapsed(), began);
    Ok(evidence)
}

fn micros(now: Duration, began: Duration) -> u64 {
    now.saturating_sub(began).as_micros() as u64
}

fn told(line: Ran, of_the_step: bool) -> CommandEvidence {
    CommandEvidence { text: line.text.to_owned(), of_the_step, code: line.code, said: line.said }
}

/// Takes down what was asked, of a server or of a service.
fn asked(found: &mut FoundEvidence, wanted: Wanted, ran: &[Ran], well: bool) {
    let asks = |text: &str| match wanted {
        Wanted::Telling => text.starts_with("curl "),
        Wanted::NewestAndAnswers => text.contains("psql "),
        _ => false,
    };
    found.asked.extend(ran.iter().filter(|line| asks(line.text)).map(|line| AskedEvidence {
        text: line.text.to_owned(),
        well,
        code: line.code,
        said: line.said.clone(),
    }));
}

/// Opens the place in which the server's account types, and a server is started.
async fn open(drill: &mut Drill<'_>, of: Name) -> Result<(), Unable> {
    let socket = format!("socket/{}", of.name());
    let mut readable = [vec!["backup", BACKUPS], archiving::directories(&drill.made.archive)].concat();
    readable.push(&socket);
    let place = drill.open_place(NAME, &[], &readable).await?;
    drill
        .recorder
        .happened(Happening::PlaceOpened { server: NAME.name().to_owned(), facts: place.facts().clone() });
    // From here on teardown closes it, whatever happens.
    drill.servers.insert(NAME, Server::new(NAME, drill.workspace, place));
    Ok(())
}

/// What the paths of the runbook are in a drill, and what its programs would find on the machine of the runbook.
fn environment(
    drill: &Drill<'_>,
    bench: &Bench,
    commands: &Commands,
    around: Around<'_>,
    service: Option<&Service>,
) -> Result<Vec<(String, String)>, Unable> {
    let workspace = drill.workspace;
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    // A server that was lost listens nowhere; the one that is to come back will listen where its clients ask.
    let live = drill.servers.contains_key(&around.of);
    let asked = workspace.socket(if live { around.of } else { NAME });
    let mut env = vec![
        ("ROOT", text(&bench.root)),
        ("BACKUP", text(&workspace.path(BACKUPS))),
        ("ARCHIVE", text(&workspace.path(archiving::directory(&drill.made.archive)))),
        ("SAID", text(&bench.said)),
        ("SECOND", (drill.clock.unix_micros() / 1_000_000).to_string()),
        ("PGHOST", text(&asked)),
        ("PGPORT", crate::settings::PORT.to_string()),
        ("PGUSER", crate::session::SUPERUSER.to_owned()),
    ];
    if let Some(service) = service {
        env.push(("API", service.address()));
    }
    if let Some(mark) = around.mark {
        let mark = drill.marks.get(mark).ok_or_else(|| Unable::bug(format!("there is no mark {mark}")))?;
        env.push(("TARGET", shell::wall_clock(mark.unix_us, commands.wall)));
    }
    Ok(env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Which of the drill's baselines a server must hold.
fn expected(drill: &Drill<'_>, wanted: Wanted, mark: Option<&str>) -> Result<Option<usize>, Unable> {
    let last = drill.baselines.len().checked_sub(1);
    if wanted != Wanted::Marked {
        return Ok(last);
    }
    let mark = mark.and_then(|mark| drill.marks.get(mark));
    let mark = mark.ok_or_else(|| Unable::bug("a step of the runbook goes to a mark that was not made"))?;
    let before = |base: &Baseline| base.settled <= mark.lsn;
    Ok(drill.baselines.iter().rposition(before))
}
