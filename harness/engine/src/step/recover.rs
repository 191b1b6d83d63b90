//! `recover`: unpacks a backup, replays the archive, promotes, and writes as the application: the whole of the
//! recovery time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::archive::{self, Snapshot};
use pgdrill_backup::{inspect, tablespaces};
use pgdrill_model::code::Code;
use pgdrill_model::event::{Happening, Unit};
use pgdrill_model::evidence::{Evidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{RecoverBy, Target};
use pgdrill_model::units::Lsn;
use pgdrill_model::world::Command;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::history;
use tokio::time::sleep;

use crate::drill::{Drill, disk_full, on_a_thread};
use crate::recovery::phases::Clocked;
use crate::recovery::{first_write, replay, tablespace_wal};
use crate::server::Server;
use crate::{settings, tool};

const FETCH_WAL: &str = include_str!("../sh/fetch-wal.sh");

/// How often the size of what is unpacked so far is looked at.
const ASK_AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn run(
    drill: &mut Drill<'_>,
    backup: &str,
    by: RecoverBy,
    to: Target,
    within: Duration,
) -> Result<Vec<Finding>, Unable> {
    let until = drill.clock.elapsed() + within;
    let mut evidence = RecoveryEvidence {
        by: match by {
            RecoverBy::Tar => "tar".to_owned(),
            RecoverBy::Copy => "copy".to_owned(),
        },
        target: match to {
            Target::Latest => "latest".to_owned(),
        },
        ..RecoveryEvidence::default()
    };
    let mut clocked = Clocked::begin(drill)?;
    let outcome = recover(drill, backup, by, until, &mut evidence, &mut clocked).await;
    evidence.phases = clocked.phases();
    // Whatever the end, what was measured until then is evidence.
    drill.recorder.measured(Evidence::Recovery(evidence));
    outcome
}

async fn recover(
    drill: &mut Drill<'_>,
    backup: &str,
    by: RecoverBy,
    until: Duration,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Vec<Finding>, Unable> {
    let source = drill.workspace.path("backup").join(backup);
    refuse_tablespaces(drill, &source).await?;
    let place = drill.open_place(Name::Restored, &[], &["backup", "archive"]).await?;
    drill.recorder.happened(Happening::PlaceOpened {
        server: Name::Restored.name().to_owned(),
        facts: place.facts().clone(),
    });
    drill.restored = Some(Server::new(Name::Restored, drill.workspace, place));
    drill.workspace.make_dir(&PathBuf::from(Name::Restored.name()))?;
    clocked.fetched(drill.clock.elapsed());

    // What an operator would not do goes on beside the unpacking, so that it costs no recovery time: the archive is
    // taken down before anything can change it, and the WAL is looked through before anything can replay it.
    let archive = drill.workspace.path("archive");
    let server = drill.restored.as_ref().ok_or_else(|| Unable::bug("the restored server has no place"))?;
    let (unpacked, snapshot, refusal) = tokio::join!(
        async {
            let outcome = unpack(drill, server, &source, by).await;
            clocked.unpacked(drill.clock.elapsed());
            outcome
        },
        on_a_thread(move || archive::snapshot(&archive, &Snapshot::new())),
        tablespace_wal::refuse(drill.workspace, server.place(), &source),
    );
    let mut findings = drill.primary_is_gone().await?;
    if let Some(unable) = refusal? {
        return Err(unable);
    }
    let snapshot = snapshot?.map_err(|error| Unable::new(Code::WorkspaceUnusable, error.to_string()))?;
    if let Some(finding) = unpacked? {
        findings.push(finding);
        return Ok(findings);
    }
    drill.archive = Some(snapshot);

    let control = match configure(drill).await? {
        Ok(configuration) => configuration,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    };
    let workspace = drill.workspace;
    drill.server(Name::Restored)?.start(workspace, &control).await?;
    let replayed = replay::wait(drill, until, evidence, clocked).await;
    note_fetched(drill, evidence);
    if let Some(finding) = replayed? {
        findings.push(finding);
        return Ok(findings);
    }
    evidence.state = Some("promoted".to_owned());
    note_timeline(drill, evidence);

    findings.extend(first_write::write(drill, clocked, evidence).await?);
    findings.extend(short_of_the_baseline(drill, evidence));
    Ok(findings)
}

/// Refuses a backup whose tablespaces lead anywhere but into the restored server's own files: before anything is
/// unpacked.
async fn refuse_tablespaces(drill: &Drill<'_>, source: &Path) -> Result<(), Unable> {
    let (source, own) = (source.to_owned(), drill.workspace.data(Name::Restored));
    let found = on_a_thread(move || tablespaces::of_backup(&source)).await?;
    // A backup that cannot be read is for the unpacking to judge.
    let outside = found
        .unwrap_or_default()
        .into_iter()
        .find(|mapping| tablespaces::leaves(Path::new(&mapping.path), &own));
    outside.map_or(Ok(()), |mapping| {
        Err(Unable::new(
            Code::TablespaceOutside,
            format!(
                "tablespace {} of the backup leads to {}, which is not the restored server's own; a server started \
                 on it could destroy the live tablespace",
                mapping.oid, mapping.path
            ),
        ))
    })
}

/// Unpacks the backup; a finding when the backup is not what can be unpacked.
async fn unpack(
    drill: &Drill<'_>,
    server: &Server,
    source: &Path,
    by: RecoverBy,
) -> Result<Option<Finding>, Unable> {
    let data = drill.workspace.data(Name::Restored);
    let commands: Vec<Command> = match by {
        RecoverBy::Tar => tool::tar::commands(source, &data),
        RecoverBy::Copy => vec![tool::copy::command(source, &data)],
    };
    let (path, recorder) = (source.to_owned(), drill.recorder);
    let total =
        on_a_thread(move || inspect::summary(&path)).await?.ok().map(|summary| summary.manifest.bytes);
    for command in commands {
        let watched = data.clone();
        let watch = async {
            loop {
                sleep(ASK_AGAIN).await;
                let directory = watched.clone();
                let done = on_a_thread(move || inspect::size(&directory)).await.unwrap_or(0);
                recorder.progress("unpack", done, total.map(|total| total.max(done)), Unit::Bytes);
            }
        };
        let exit = tokio::select! {
            exit = server.place().run(&command) => exit?,
            () = watch => return Err(Unable::bug("the watch of an unpacking ended")),
        };
        if exit.success() {
            continue;
        }
        let words =
            format!("{} ended with {}: {}", command.program.name(), exit.describe(), exit.last_words());
        if disk_full(&exit.stderr) {
            return Err(Unable::new(Code::DiskFull, words));
        }
        let message = format!("the backup could not be unpacked: {words}");
        return Ok(Some(Finding::new(Code::UnpackFailed, Stage::Recover, message)));
    }
    Ok(None)
}

/// Makes the unpacked files ready for a start on our own configuration, and gives that.
async fn configure(drill: &mut Drill<'_>) -> Result<Result<String, Finding>, Unable> {
    let workspace = drill.workspace;
    let path = workspace.data(Name::Restored).join("global/pg_control");
    let control = fs::read(&path)
        .map_err(|error| error.to_string())
        .and_then(|bytes| Control::read(&bytes).map_err(|error| error.to_string()));
    let control = match control {
        Ok(control) => control,
        Err(words) => {
            let message = format!("the restored control file is not one: {words}");
            return Ok(Err(
                Finding::new(Code::RecoveryFailed, Stage::Recover, message).about("global/pg_control")
            ));
        }
    };
    // It would be read after our own configuration, and say what production says.
    workspace.write("restored/postgresql.auto.conf", "", 0o600)?;
    workspace.write("restored/recovery.signal", "", 0o600)?;
    let script = FETCH_WAL
        .replace("@ARCHIVE@", &workspace.path("archive").to_string_lossy())
        .replace("@LOG@", &workspace.path("log/fetch.log").to_string_lossy());
    let fetch_wal = workspace.write("bin/fetch-wal", &script, 0o700)?;
    Ok(Ok(settings::restored(&workspace.socket(Name::Restored), &fetch_wal, control.minima)))
}

/// Takes from the log of fetches how far the archive was read.
fn note_fetched(drill: &Drill<'_>, evidence: &mut RecoveryEvidence) {
    let log = fs::read_to_string(drill.workspace.path("log/fetch.log")).unwrap_or_default();
    let fetched = log.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let name = words.next()?;
        (name.len() == 24 && words.next()? == "0").then(|| name.to_owned())
    });
    let fetched: Vec<String> = fetched.collect();
    evidence.segments = fetched.len() as u64;
    evidence.last_segment = fetched.last().cloned();
}

/// Takes from the new timeline's history where the old one ended.
fn note_timeline(drill: &Drill<'_>, evidence: &mut RecoveryEvidence) {
    let wal = drill.workspace.data(Name::Restored).join("pg_wal");
    let newest = fs::read_dir(&wal).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let timeline = u32::from_str_radix(name.strip_suffix(".history")?, 16).ok()?;
        Some((timeline, entry.path()))
    });
    let Some((timeline, path)) = newest.max_by_key(|(timeline, _)| *timeline) else { return };
    evidence.timeline = Some(timeline);
    let ancestors = fs::read_to_string(path).ok().and_then(|text| history::read(&text).ok());
    evidence.reached_lsn = ancestors.and_then(|all| all.last().map(|last| Lsn(last.switched_at)));
}

/// Notes when recovery ended before the captured position. Only WAL without a commit may lie between: whether that
/// is so is for the content checks to say.
fn short_of_the_baseline(drill: &Drill<'_>, evidence: &RecoveryEvidence) -> Option<Finding> {
    let (baseline, reached) = (drill.baseline.as_ref()?, evidence.reached_lsn?);
    if reached >= baseline.lsn {
        return None;
    }
    let missing = baseline.lsn.0 - reached.0;
    let message = format!(
        "recovery ended at {reached}, {missing} bytes of WAL before {}, where the content was captured",
        baseline.lsn
    );
    Some(
        Finding::new(Code::RecoveryShort, Stage::Recover, message)
            .with("reached", reached)
            .with("wanted", baseline.lsn),
    )
}
