//! `recover`: unpacks a backup, replays the archive, promotes, and writes as the application: the whole of the
//! recovery time.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use pgdrill_backup::archive::{self, Snapshot};
use pgdrill_backup::tablespaces::has_in_place;
use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::{Evidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::scenario::{RecoverBy, Target};
use pgdrill_model::units::Lsn;
use pgdrill_model::world::Place;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::history;

use crate::drill::{Drill, on_a_thread};
use crate::recovery::phases::Clocked;
use crate::recovery::unpack::{SCRATCH, unpack};
use crate::recovery::{first_write, remap, replay, tablespace_wal};
use crate::server::Server;
use crate::workspace::{Workspace, trouble};
use crate::{settings, tablespaces};

const FETCH_WAL: &str = include_str!("../sh/fetch-wal.sh");

pub(super) async fn run(
    drill: &mut Drill<'_>,
    chain: &[Member],
    by: RecoverBy,
    to: Target,
    within: Duration,
) -> Result<Vec<Finding>, Unable> {
    let until = drill.clock.elapsed() + within;
    let mut evidence = RecoveryEvidence {
        by: by.name().to_owned(),
        backups: chain.iter().map(|member| member.name.clone()).collect(),
        target: match to {
            Target::Latest => "latest".to_owned(),
        },
        ..RecoveryEvidence::default()
    };
    let mut clocked = Clocked::begin(drill)?;
    let outcome = recover(drill, chain, by, until, &mut evidence, &mut clocked).await;
    evidence.phases = clocked.phases();
    // Whatever the end, what was measured until then is evidence.
    drill.recorder.measured(Evidence::Recovery(evidence));
    outcome
}

async fn recover(
    drill: &mut Drill<'_>,
    chain: &[Member],
    by: RecoverBy,
    until: Duration,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Vec<Finding>, Unable> {
    let workspace = drill.workspace;
    let sources: Vec<PathBuf> =
        chain.iter().map(|member| workspace.path("backup").join(&member.name)).collect();
    for source in &sources {
        remap::refuse_backup(workspace, source).await?;
    }
    let newest = sources.last().ok_or_else(|| Unable::bug("a recovery of no backup"))?;
    workspace.make_dir(Path::new(Name::Restored.name()))?;
    tablespaces::make_root(workspace, Name::Restored)?;
    // Members of a chain are unpacked there before they are combined, and checks of the backup unpack what they must,
    // long after the recovery time.
    workspace.make_dir(Path::new(SCRATCH))?;
    let place = drill.open_place(Name::Restored, &[SCRATCH], &["backup", "archive"]).await?;
    drill.restored_from = chain.to_vec();
    drill.recorder.happened(Happening::PlaceOpened {
        server: Name::Restored.name().to_owned(),
        facts: place.facts().clone(),
    });
    drill.restored = Some(Server::new(Name::Restored, workspace, place));
    clocked.fetched(drill.clock.elapsed());

    // What an operator would not do goes on beside the unpacking, so that it costs no recovery time: the archive is
    // taken down before anything can change it, and the WAL is looked through before anything can replay it.
    let archive = drill.workspace.path("archive");
    let server = drill.restored.as_ref().ok_or_else(|| Unable::bug("the restored server has no place"))?;
    let (unpacked, snapshot, refusal) = tokio::join!(
        unpack(drill, server.place(), chain, by, clocked),
        on_a_thread(move || archive::snapshot(&archive, &Snapshot::new())),
        refuse_wal(workspace, server.place(), newest),
    );
    let mut findings = drill.primary_is_gone().await?;
    let looked = refusal?;
    let snapshot = snapshot?.map_err(|error| Unable::new(Code::WorkspaceUnusable, error.to_string()))?;
    match unpacked? {
        Ok(count) => evidence.tablespaces = count,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    }
    drill.archive = Some(snapshot);
    if !looked {
        refuse_wal_of_data(drill).await?;
    }
    remap::refuse_restored(workspace)?;

    let control = match configure(drill).await? {
        Ok(configuration) => configuration,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    };
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

/// Refuses WAL that makes a tablespace; tells whether it could be looked through at all.
async fn refuse_wal(workspace: &Workspace, place: &dyn Place, source: &Path) -> Result<bool, Unable> {
    let Some(start) = tablespace_wal::start_of_backup(source).await? else { return Ok(false) };
    tablespace_wal::refuse(workspace, place, start).await?.map_or(Ok(true), Err)
}

/// The same for a backup whose manifest does not say where replay begins.
async fn refuse_wal_of_data(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let workspace = drill.workspace;
    let Some(start) = tablespace_wal::start_of_data(&workspace.data(Name::Restored)) else { return Ok(()) };
    let place = drill.server(Name::Restored)?.place();
    tablespace_wal::refuse(workspace, place, start).await?.map_or(Ok(()), Err)
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
    // A standby's backup has it, and with it a server waits for more WAL for ever, whatever else says that it should
    // be promoted (`readRecoverySignalFile`, `xlogrecovery.c`).
    let standby_signal = workspace.data(Name::Restored).join("standby.signal");
    match fs::remove_file(&standby_signal) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(trouble(&standby_signal, &error));
        }
        _ => {}
    }
    // It would be read after our own configuration, and say what production says.
    workspace.write("restored/postgresql.auto.conf", "", 0o600)?;
    workspace.write("restored/recovery.signal", "", 0o600)?;
    let script = FETCH_WAL
        .replace("@ARCHIVE@", &workspace.path("archive").to_string_lossy())
        .replace("@LOG@", &workspace.path("log/fetch.log").to_string_lossy());
    let fetch_wal = workspace.write("bin/fetch-wal", &script, 0o700)?;
    Ok(Ok(settings::restored(
        &workspace.socket(Name::Restored),
        &fetch_wal,
        control.wal_segment_size >> 20,
        has_in_place(&workspace.data(Name::Restored)),
        control.minima,
    )))
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
