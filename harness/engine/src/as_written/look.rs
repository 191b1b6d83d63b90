//! What is there when the commands are done: files, and whether a server that is really started on them comes up, takes a
//! write, and holds what was captured.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::inspect;
use pgdrill_model::as_written::{START, Wanted};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::FoundEvidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Major;
use tokio::time::sleep;

use super::bench::Bench;
use super::shell::Ran;
use crate::check;
use crate::connections::Connections;
use crate::content::{Measure, measure};
use crate::drill::Drill;
use crate::recovery::first_write;
use crate::recovery::replay::{in_recovery, paused_at};
use crate::server::LOOK_AGAIN;
use crate::session::{Door, SUPERUSER, Session, describe};

const NAME: Name = Name::AsWritten;

/// A server of a drill comes up within seconds; a recovery that hangs must not hang the drill.
const LIMIT: Duration = Duration::from_secs(120);

/// The most names that are kept of what lies around.
const MOST: usize = 4;

/// Begins the name of a safety copy.
const COPY: &str = "data.backup.";

/// What came of a start.
#[derive(Debug)]
pub enum State {
    /// It ended, with these words.
    Ended(String),
    /// It is open for writing.
    Open,
    /// It is paused at its target.
    Paused,
    /// It is still in recovery.
    Recovering,
}

impl State {
    /// Whether it is open for writing.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// What the service manager says of the start: it waits until the server answers, and no longer.
    pub fn as_of_the_service(&self) -> Ran {
        match self {
            Self::Ended(words) => Ran { text: START, code: Some(1), said: words.clone() },
            _ => Ran { text: START, code: Some(0), said: String::new() },
        }
    }

    fn words(&self) -> Option<String> {
        match self {
            Self::Ended(_) => None,
            Self::Open => Some("promoted".to_owned()),
            Self::Paused => Some("paused at its target".to_owned()),
            Self::Recovering => Some("in recovery".to_owned()),
        }
    }
}

/// Starts a server on a directory as it lies there, and waits for what becomes of it.
///
/// # Errors
///
/// What the place cannot do; `SERVER_LOST` where somebody ended it; `TIME_LIMIT` where it neither ends nor answers.
pub async fn start(drill: &mut Drill<'_>, data: &Path) -> Result<State, Unable> {
    let (clock, major, workspace) = (drill.clock, drill.postgres, drill.workspace);
    let server = drill.server(NAME)?;
    server.forget_postmaster(data)?;
    server.start_as_is(workspace, data).await?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    let until = clock.elapsed() + LIMIT;
    let mut session: Option<Session> = None;
    loop {
        let running = server.running();
        if session.is_none() {
            match door.open().await {
                Ok(open) => session = Some(open),
                Err(error) if server.lets_nobody_in(&error) => return Ok(State::Ended(describe(&error))),
                Err(_) => {}
            }
        }
        match &session {
            Some(open) => match state(open, major).await {
                Some(State::Recovering) if clock.elapsed() >= until => return Ok(State::Recovering),
                Some(State::Recovering) => {}
                Some(state) => return Ok(state),
                None => session = None,
            },
            None if !running => {
                let exit = server.end().await.unwrap_or_default();
                let words = server.last_words();
                if exit.killed() {
                    let message =
                        format!("the server on what the runbook left was ended by somebody: {words}");
                    return Err(Unable::new(Code::ServerLost, message));
                }
                return Ok(State::Ended(words));
            }
            None if clock.elapsed() >= until => {
                let seconds = LIMIT.as_secs();
                let message =
                    format!("the server on what the runbook left did not answer within {seconds} s");
                return Err(Unable::new(Code::TimeLimit, message));
            }
            None => {}
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn state(session: &Session, major: Major) -> Option<State> {
    if !in_recovery(session).await? {
        return Some(State::Open);
    }
    // A server that is promoted meanwhile is not paused.
    Some(if paused_at(session, major).await.is_some() { State::Paused } else { State::Recovering })
}

/// Looks at the files, starts a server on them where none was started, and asks it.
///
/// # Errors
///
/// As of [`start`]; `SERVER_LOST` where the server could not be measured.
pub async fn at(
    drill: &mut Drill<'_>,
    bench: &Bench,
    wanted: Wanted,
    expected: Option<usize>,
    up: Option<State>,
    found: &mut FoundEvidence,
) -> Result<(), Unable> {
    let on = match wanted {
        Wanted::OnTheCopy => {
            copies(&bench.root).into_iter().next().unwrap_or_else(|| bench.root.join("no-copy"))
        }
        _ => bench.data.clone(),
    };
    files(drill, bench, &on, found);
    let state = match up {
        Some(state) => state,
        None => start(drill, &on).await?,
    };
    found.started = Some(!matches!(state, State::Ended(_)));
    found.state = state.words();
    if let State::Ended(words) = state {
        found.said = words;
        return Ok(());
    }
    let socket = drill.workspace.socket(NAME);
    if state.is_open()
        && let Some(baseline) = expected.and_then(|at| drill.baselines.get(at))
    {
        let (what, connections) = (Measure::default(), Connections::default());
        let content = measure(&socket, &what, &connections, drill.recorder).await.map_err(|error| {
            let words = describe(&error);
            let message = format!("the server on what the runbook left could not be measured: {words}");
            Unable::new(Code::ServerLost, message)
        })?;
        found.tables = Some(baseline.content.tables().count() as u64);
        found.differences = check::differences(&baseline.content, &content).len() as u64;
    }
    match first_write::order(&socket, &format!("{}/{}", drill.run_id, NAME.name()), NAME).await {
        Ok(()) => found.writes = Some(true),
        Err(words) => (found.writes, found.said) = (Some(false), words),
    }
    Ok(())
}

/// What lies where.
fn files(drill: &Drill<'_>, bench: &Bench, on: &Path, found: &mut FoundEvidence) {
    found.files = files_in(&bench.data);
    found.cluster = on.join("PG_VERSION").is_file() && on.join("global/pg_control").is_file();
    found.copy_bytes = copies(&bench.root).first().map(|copy| inspect::size(copy));
    if !found.cluster {
        found.inside = some_of(names(on));
    }
    let beside = names(&bench.root);
    let ours = |name: &String| name == "data" || name == "safety-copy" || name.starts_with(COPY);
    found.beside = some_of(beside.into_iter().filter(|name| !ours(name)).collect());
    let account =
        drill.workspace.owner().map_or_else(|| rustix::process::geteuid().as_raw(), |owner| owner.uid);
    let owner = fs::symlink_metadata(on).ok().map(|metadata| metadata.uid());
    found.owner = owner.filter(|owner| *owner != account);
}

/// The safety copies, by name.
fn copies(root: &Path) -> Vec<PathBuf> {
    names(root).into_iter().filter(|name| name.starts_with(COPY)).map(|name| root.join(name)).collect()
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The first of them, and how many more there are.
fn some_of(mut names: Vec<String>) -> Vec<String> {
    if names.len() > MOST {
        let more = names.len() - (MOST - 1);
        names.truncate(MOST - 1);
        names.push(format!("{more} more"));
    }
    names
}

/// How many files a tree has. Links are not followed.
pub fn files_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_in(&entry.path()),
            Ok(kind) if kind.is_file() => 1,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_around_is_named_and_counted() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "data/base/1/1259",
            "data.backup.2/PG_VERSION",
            "data.backup.1/PG_VERSION",
            "e",
            "d",
            "c",
            "b",
            "a",
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(files_in(&root.path().join("data")), 1);
        assert_eq!(files_in(&root.path().join("nothing")), 0);
        assert_eq!(copies(root.path())[0], root.path().join("data.backup.1"));
        assert_eq!(some_of(names(root.path())), ["a", "b", "c", "5 more"]);
    }
}
