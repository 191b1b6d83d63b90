//! `recover`: unpacks a backup, replays the archive to the target, promotes, and writes as the application: the whole of
//! the recovery time.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use pgdrill_backup::archive::{self, Snapshot};
use pgdrill_backup::tablespaces::has_in_place;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::{Evidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Recovery};
use pgdrill_model::scenario::{Action, RecoverBy};
use pgdrill_model::units::Lsn;

use super::last_proven;
use crate::archiving;
use crate::baseline::{Written, choose};
use crate::drill::{Drill, Recovered, on_a_thread};
use crate::dump;
use crate::fault;
use crate::given::{self, Made, Taken};
use crate::receiver;
use crate::recovery::aim::{self, Aim};
use crate::recovery::phases::Clocked;
use crate::recovery::reached;
use crate::recovery::unpack::{SCRATCH, unpack};
use crate::recovery::{control, first_write, left_over, remap, replay, superuser, tablespace_wal};
use crate::repository;
use crate::server::Server;
use crate::settings::{self, Restoring};
use crate::tablespaces;
use crate::verified;
use crate::workspace::{SAVED_WAL, STOPPED, trouble};

pub(super) async fn run(drill: &mut Drill<'_>, recovery: &Recovery) -> Result<Vec<Finding>, Unable> {
    let until = drill.clock.elapsed() + recovery.within;
    let mut evidence = RecoveryEvidence {
        server: recovery.server.name().to_owned(),
        target: recovery.to.to_string(),
        target_timeline: recovery.timeline.to_string(),
        action: recovery.action.name().to_owned(),
        ..RecoveryEvidence::default()
    };
    let mut clocked = Clocked::begin(drill)?;
    let outcome = recover(drill, recovery, until, &mut evidence, &mut clocked).await;
    evidence.phases = clocked.phases();
    drill.timeline = evidence.timeline.unwrap_or(drill.timeline);
    // Whatever the end, what was measured until then is evidence.
    drill.recorder.measured(Evidence::Recovery(evidence));
    outcome
}

/// Recovers as far as a server that the application has written to.
///
/// # Errors
///
/// What keeps a recovery from being made; that it went wrong is a finding.
pub(super) async fn recover(
    drill: &mut Drill<'_>,
    recovery: &Recovery,
    until: Duration,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Vec<Finding>, Unable> {
    let workspace = drill.workspace;
    let name = recovery.server;
    drill.recovered = None;
    let of_given;
    let recovery = match &drill.given {
        Some(taken) => {
            of_given = Recovery { backups: vec![vec![taken.member()]], ..recovery.clone() };
            &of_given
        }
        None => recovery,
    };
    if let Some(Taken { made: Made::Dump(layout), globals, .. }) = &drill.given {
        let (layout, globals) = (layout.clone(), globals.clone());
        return given::dump::load(drill, recovery, (&layout, globals.as_deref()), evidence, clocked).await;
    }
    if drill.given.is_none() && recovery.backups.iter().flatten().any(|member| member.how.is_dump()) {
        return dump::recover(drill, recovery, evidence, clocked).await;
    }
    given::fetch(drill, recovery.timeline).await?;
    let began = drill.clock.elapsed();
    // What was saved of a lost server's WAL is still written for a moment by those who outlive its postmaster.
    let saved = !left_over::saved(workspace).is_empty();
    let mut findings = if saved { drill.primary_is_gone().await? } else { Vec::new() };
    let waited = drill.clock.elapsed().saturating_sub(began);
    let chosen;
    let recovery = if recovery.from.steps_back() {
        chosen = last_proven::choose(drill, recovery, evidence, clocked).await?;
        findings.extend(chosen.findings);
        if chosen.recovery.backups.is_empty() {
            return Ok(findings);
        }
        &chosen.recovery
    } else {
        recovery
    };
    // Before any file is touched.
    let began = drill.clock.elapsed();
    let aim = match aim::take(drill, recovery, evidence).await? {
        Ok(aim) => aim,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    };
    let took = waited + drill.clock.elapsed().saturating_sub(began);
    evidence.aim_us = took.as_micros() as u64;
    clocked.set_aside(took);
    let newest = aim.chain.last().ok_or_else(|| Unable::bug("a recovery of no backup"))?;
    let chained = match &drill.given {
        Some(Taken { made: Made::Chain(links), .. }) => Some(links),
        _ => None,
    };
    let by = match chained {
        Some(_) => RecoverBy::Combine,
        None => recovery.by.unwrap_or_else(|| RecoverBy::fitting(&newest.how)),
    };
    evidence.by = match &drill.given {
        Some(Taken { made: Made::PgBackRest(_), .. }) => "pgbackrest".to_owned(),
        _ => by.name().to_owned(),
    };
    evidence.backups = match chained {
        Some(links) => links.iter().map(|link| link.name.clone()).collect(),
        None => aim.chain.iter().map(|member| member.name.clone()).collect(),
    };
    let sources: Vec<PathBuf> = aim.chain.iter().map(|member| drill.backup(member)).collect();
    if drill.given.is_none() && by != RecoverBy::PgBackRest {
        for source in &sources {
            remap::refuse_backup(workspace, source).await?;
        }
    }
    given::stage(drill, &aim).await?;
    let saved = left_over::find(drill).await?;
    open(drill, recovery, &aim).await?;
    let wal = left_over::view(workspace, name, &saved)?;
    clocked.fetched(drill.clock.elapsed());

    // What an operator would not do goes on beside the unpacking, so that it costs no recovery time: the archive is
    // taken down before anything can change it, and the WAL is looked through before anything can replay it.
    let archive = drill.workspace.path(archiving::directory(&drill.made.archive));
    let server = drill.servers.get(&name).ok_or_else(|| Unable::bug("the restored server has no place"))?;
    let begins = begins(drill, newest);
    let newest = sources.last().ok_or_else(|| Unable::bug("a recovery of no backup"))?;
    let segment_size = drill.made.wal_segment_megabytes << 20;
    let (unpacked, snapshot, refusal) = tokio::join!(
        unpack(drill, server, &aim.chain, by, clocked),
        on_a_thread(move || archive::snapshot(&archive, &Snapshot::new())),
        refuse_wal(&wal, segment_size, begins, newest),
    );
    findings.extend(drill.primary_is_gone().await?);
    let looked = refusal?;
    let snapshot = snapshot?.map_err(|error| Unable::new(Code::WorkspaceUnusable, error.to_string()))?;
    match unpacked? {
        Ok(unpacked) => {
            evidence.tablespaces = unpacked.tablespaces;
            evidence.verified = unpacked.verified;
            findings.extend(unpacked.doubts);
        }
        Err(found) => {
            findings.extend(found);
            return Ok(findings);
        }
    }
    drill.recovered()?.archive = Some(snapshot);
    tablespace_wal::refuse_unpacked(wal, segment_size, &workspace.data(name), looked).await?;
    remap::refuse_restored(workspace, name)?;
    let control = control::of_restored(&workspace.data(name));
    evidence.page_checksums = control.ok().map(|control| control.checksum_version > 0);
    if drill.given.is_some()
        && let Some(role) = superuser::of_restored(&workspace.data(name))
    {
        let server = drill.server(name)?;
        server.socket = server.socket.clone().with_superuser(role);
    }
    evidence.left_over = left_over::put(drill, name, saved).await?;

    let (as_asked, to_promote) = match configure(drill, recovery, &aim)? {
        Ok(configurations) => configurations,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    };
    fault::restore::files(drill, name)?;
    drill.server(name)?.start(workspace, &as_asked).await?;
    fault::restore::replaying(drill, name).await?;
    let waited =
        replay::Wait { server: name, action: recovery.action, archives: archives(drill, recovery), until };
    let mut replayed = replay::wait(drill, waited, evidence, clocked).await;
    if let Ok(replay::Outcome::ShutDown) = &replayed {
        // As asked. Started in the same way it would only shut down again.
        drill.server(name)?.start(workspace, &to_promote).await?;
        let again = replay::Wait { action: Action::Promote, ..waited };
        replayed = replay::wait(drill, again, evidence, clocked).await;
    }
    reached::note_fetched(drill, name, evidence);
    match replayed? {
        replay::Outcome::Promoted => {}
        replay::Outcome::ShutDown => return Err(Unable::bug("the restored server shut down twice")),
        replay::Outcome::Failed(finding) => {
            findings.extend(reached::why(&aim, evidence));
            findings.push(finding);
            return Ok(findings);
        }
    }
    evidence.state = Some("promoted".to_owned());
    evidence.looks_well = Some(true);
    reached::note(drill, name, &aim, evidence).await?;
    let base = choose(&drill.baselines, &aim.lineage, evidence.reached_lsn, aim.to_the_end);
    let recovered = drill.recovered()?;
    recovered.reached = evidence.reached_lsn;
    recovered.base = base;
    recovered.promoted = true;
    fault::restore::promoted(drill, name).await?;
    findings.extend(first_write::write(drill, name, clocked, evidence).await?);
    findings.extend(given::oracle::compare(drill, name, &aim, evidence).await?);
    findings.extend(given::oracle::witness(drill, name, Some(&aim), evidence).await?);
    drill.settle(name, Written::Unrecorded).await;
    if recovery.serves {
        receiver::begin(drill, name).await?;
    }
    findings.extend(reached::judge(drill, &aim, evidence));
    Ok(findings)
}

/// Whether the restored server archives by itself, as the primary did.
fn archives(drill: &Drill<'_>, recovery: &Recovery) -> bool {
    recovery.serves && drill.made.archive.is_by_the_server()
}

/// Opens the restored server's place.
async fn open(drill: &mut Drill<'_>, recovery: &Recovery, aim: &Aim) -> Result<(), Unable> {
    let workspace = drill.workspace;
    let name = recovery.server;
    workspace.make_dir(Path::new(name.name()))?;
    workspace.need_dir(&Path::new("socket").join(name.name()))?;
    tablespaces::make_root(workspace, name)?;
    // Members of a chain are unpacked there before they are combined, and checks of the backup unpack what they must,
    // long after the recovery time.
    workspace.need_dir(Path::new(SCRATCH))?;
    let archived_in = archiving::directories(&drill.made.archive);
    let (writable, mut readable) = if recovery.serves {
        ([vec![SCRATCH, "backup"], archived_in].concat(), vec![])
    } else {
        (vec![SCRATCH], [vec!["backup"], archived_in].concat())
    };
    if workspace.path(SAVED_WAL).is_dir() {
        readable.push(SAVED_WAL);
    }
    if recovery.serves {
        // Whatever stopped the archiver of the lost server, that of this one begins anew.
        let stopped = workspace.path(archiving::WAL).join(STOPPED);
        match fs::remove_file(&stopped) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(trouble(&stopped, &error)),
            _ => {}
        }
    }
    fault::restore::room(drill, name)?;
    let place = drill.open_place(name, &writable, &readable).await?;
    drill
        .recorder
        .happened(Happening::PlaceOpened { server: name.name().to_owned(), facts: place.facts().clone() });
    drill.servers.insert(name, Server::new(name, workspace, place));
    drill.recovered = Some(Recovered {
        from: aim.chain.clone(),
        archive: None,
        first_write: None,
        aim: Some(aim.clone()),
        reached: None,
        base: None,
        promoted: false,
        archives: archives(drill, recovery),
    });
    Ok(())
}

/// Where the replay of a backup begins that has no manifest which says so.
fn begins(drill: &Drill<'_>, newest: &Member) -> Option<(u32, Lsn)> {
    if let Some(Taken { origin: Some(origin), .. }) = &drill.given {
        return Some((origin.begin.timeline, Lsn(origin.begin.position)));
    }
    let low_level = verified::needs(newest, &drill.backups).map(|range| (range.timeline, Lsn(range.start)));
    low_level.or_else(|| repository::start(drill, &newest.name))
}

/// Refuses WAL that makes a tablespace; tells whether it could be looked through at all.
async fn refuse_wal(
    wal: &Path,
    segment_size: u32,
    begins: Option<(u32, Lsn)>,
    source: &Path,
) -> Result<bool, Unable> {
    let start = match begins {
        Some((timeline, Lsn(position))) => Some(Place { timeline, position }),
        None => tablespace_wal::start_of_backup(source).await?,
    };
    let Some(start) = start else { return Ok(false) };
    tablespace_wal::refuse(vec![wal.to_owned()], segment_size, start).await?;
    Ok(true)
}

/// Makes the unpacked files ready for a start on our own configuration. Gives that as it is asked for, and one that
/// promotes.
pub(super) fn configure(
    drill: &Drill<'_>,
    recovery: &Recovery,
    aim: &Aim,
) -> Result<Result<(String, String), Finding>, Unable> {
    let workspace = drill.workspace;
    let name = recovery.server;
    let data = workspace.data(name);
    let control = match control::of_restored(&data) {
        Ok(control) => control,
        Err(finding) => return Ok(Err(*finding)),
    };
    // A standby's backup has it, and with it a server waits for more WAL for ever, whatever else says that it should
    // be promoted (`readRecoverySignalFile`, `xlogrecovery.c`).
    let standby_signal = data.join("standby.signal");
    match fs::remove_file(&standby_signal) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(trouble(&standby_signal, &error));
        }
        _ => {}
    }
    // It would be read after our own configuration, and say what production says.
    workspace.write(format!("{}/postgresql.auto.conf", name.name()), "", 0o600)?;
    workspace.write(format!("{}/recovery.signal", name.name()), "", 0o600)?;
    let archive = fault::restore::archive(drill, &aim.chain)?;
    let restore_command = archiving::restore_command(workspace, &archive, name)?;
    let archiving =
        if recovery.serves { archiving::archiving(workspace, &drill.made.archive, name)? } else { None };
    let asked = Restoring {
        socket: &workspace.socket(name),
        restore_command: &restore_command,
        wal_segment_megabytes: control.wal_segment_size >> 20,
        in_place: has_in_place(&data),
        minima: aim.limits(control.minima),
        target: &aim.settings,
        timeline: recovery.timeline,
        action: recovery.action,
        archiving: archiving.as_ref(),
        foreign: drill.given.is_some().then_some(drill.postgres),
    };
    let to_promote = Restoring { action: Action::Promote, ..asked.clone() };
    let configuration =
        |asked: &Restoring<'_>| fault::restore::configuration(drill, settings::restored(asked));
    Ok(Ok((configuration(&asked), configuration(&to_promote))))
}
