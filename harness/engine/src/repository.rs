//! The drill's own repository of pgBackRest: its stanza, and the backups that are taken into it. pgBackRest runs where the
//! server runs, as its operator would run it; `recovery::pgbackrest` restores.

use std::path::PathBuf;

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::BackupEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{ArchiveBy, Backup, BackupTool};
use pgdrill_model::units::Lsn;
use pgdrill_model::world::Exit;
use pgdrill_repository::{Backup as Found, Held, Layout, look};

use crate::drill::{Drill, disk_full, on_a_thread};
use crate::growth::{self, Growth};
use crate::tool::pgbackrest::{self, Desk};
use crate::workspace::Workspace;

/// Where it lies, within the workspace.
pub const REPOSITORY: &str = "backup/pgbackrest";

/// Where the WAL in it lies, within the workspace.
pub const WAL: &str = "backup/pgbackrest/archive";

/// A backup that was taken.
#[derive(Debug)]
pub struct Taken {
    /// What it is.
    pub evidence: BackupEvidence,
    /// How it is restored.
    pub layout: Layout,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// The paths that pgBackRest must know to work on a server.
pub struct Paths {
    repository: PathBuf,
    data: PathBuf,
    locks: PathBuf,
}

impl Paths {
    /// Those of a server of a drill.
    pub fn of(workspace: &Workspace, server: Name) -> Self {
        Self {
            repository: workspace.path(REPOSITORY),
            data: workspace.data(server),
            locks: workspace.path("log"),
        }
    }

    /// The same for the commands.
    pub fn desk(&self) -> Desk<'_> {
        Desk { repository: &self.repository, data: &self.data, locks: &self.locks }
    }
}

/// Makes the stanza in which a server's backups and WAL are kept, or leaves it as it is.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `DISK_FULL`, `BACKUP_FAILED`.
pub async fn create_stanza(drill: &mut Drill<'_>, server: Name) -> Result<(), Unable> {
    let command = pgbackrest::create_stanza(Paths::of(drill.workspace, server).desk());
    let exit = drill.server(server)?.place().run(&command).await?;
    if exit.success() { Ok(()) } else { Err(failed("stanza-create", &exit)) }
}

/// Takes a backup of a server.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `DISK_FULL`, `BACKUP_FAILED`.
pub async fn take(
    drill: &mut Drill<'_>,
    name: &str,
    how: Backup,
    upon: Option<&str>,
    on: Name,
) -> Result<Taken, Unable> {
    create_stanza(drill, on).await?;
    let (workspace, clock, recorder) = (drill.workspace, drill.clock, drill.recorder);
    let archives = drill.made.archive.by == ArchiveBy::PgBackRest;
    let paths = Paths::of(workspace, on);
    let command = pgbackrest::backup(paths.desk(), &workspace.socket(on), how, archives);
    let began = clock.elapsed();
    let growth = Growth {
        what: pgbackrest::NAME,
        directories: vec![workspace.path(REPOSITORY).join("backup")],
        total: None,
    };
    let exit = growth::told(recorder, growth, drill.server(on)?.place().run(&command)).await?;
    let took_us = clock.elapsed().saturating_sub(began).as_micros() as u64;
    let ended_unix_us = clock.unix_micros();
    if !exit.success() {
        return Err(failed("backup", &exit));
    }
    let (picked, layout, bytes) = newest(workspace.path(REPOSITORY)).await?;
    let evidence = BackupEvidence { ended_unix_us, took_us, ..of_found(name, how, on, &picked, bytes)? };
    expect(drill, how, upon, &picked)?;
    let evidence = BackupEvidence { incremental_of: upon.map(str::to_owned), ..evidence };
    Ok(Taken { evidence, layout, findings: damaged_pages(&exit, &picked, on) })
}

/// The backup that was taken last, how it is restored, and the bytes that it takes.
async fn newest(repository: PathBuf) -> Result<(Found, Layout, u64), Unable> {
    let unknown = |why: String| {
        Unable::new(
            Code::BackupFailed,
            format!("pgBackRest took a backup, and its repository does not say so: {why}"),
        )
    };
    let looked = on_a_thread(move || -> Result<(Found, Layout, u64), String> {
        let found = look(&repository).map_err(|why| why.to_string())?.of_server(pgbackrest::STANZA);
        let picked = found.backups.last().ok_or("it lists none")?;
        let layout = found.layout(picked).map_err(|why| why.message)?;
        Ok((picked.clone(), layout, inspect::size(&picked.path)))
    });
    looked.await?.map_err(unknown)
}

/// Refuses a backup that is not what was asked for: pgBackRest takes a full one where it finds none to build upon, and only warns.
fn expect(drill: &Drill<'_>, how: Backup, upon: Option<&str>, picked: &Found) -> Result<(), Unable> {
    let refuse = |words: String| Err(Unable::new(Code::BackupFailed, words));
    let kind = match &picked.held {
        Held::PgBackRest(held) => held.kind.as_str(),
        _ => "",
    };
    if kind != how.kind.name() {
        let asked = how.kind.name();
        return refuse(format!("pgBackRest took {} as {kind}, and {asked} was asked for", picked.label));
    }
    if drill.backups.values().any(|before| before.label.as_ref() == Some(&picked.label)) {
        return refuse(format!("pgBackRest lists no backup behind {}, which was there before", picked.label));
    }
    let wanted = upon.and_then(|upon| drill.backups.get(upon)).and_then(|upon| upon.label.as_deref());
    if picked.prior.as_deref() != wanted {
        let none = "none";
        let (prior, wanted) = (picked.prior.as_deref().unwrap_or(none), wanted.unwrap_or(none));
        return refuse(format!("pgBackRest built {} upon {prior}, and not upon {wanted}", picked.label));
    }
    Ok(())
}

fn of_found(name: &str, how: Backup, on: Name, picked: &Found, bytes: u64) -> Result<BackupEvidence, Unable> {
    let (Some(timeline), Some(start_lsn), Some(end_lsn)) = (picked.timeline, picked.start, picked.stop)
    else {
        let message = format!("backup.info does not say where the WAL lies that {} needs", picked.label);
        return Err(Unable::new(Code::BackupFailed, message));
    };
    let tablespaces = match &picked.held {
        Held::PgBackRest(held) => held.tablespaces.len() as u64,
        _ => 0,
    };
    Ok(BackupEvidence {
        name: name.to_owned(),
        label: Some(picked.label.clone()),
        tool: BackupTool::PgBackRest.name().to_owned(),
        format: how.kind.name().to_owned(),
        compress: how.compress.method.name().to_owned(),
        compress_detail: how.compress.detail(),
        // The archive has it.
        wal: how.wal.name().to_owned(),
        from: on.name().to_owned(),
        tablespaces,
        bytes,
        content_bytes: picked.bytes.unwrap_or(0),
        start_lsn,
        end_lsn,
        timeline,
        ..BackupEvidence::default()
    })
}

/// The damaged pages of the source: pgBackRest warns of them, ends well, and marks the backup.
fn damaged_pages(exit: &Exit, picked: &Found, on: Name) -> Vec<Finding> {
    // Versions before 2.36 leave no mark.
    let marked = matches!(&picked.held, Held::PgBackRest(held) if held.error == Some(true));
    let finding = |what: &str| {
        let message = format!("the {} has a damaged page: {what}", on.name());
        Finding::new(Code::PageChecksumFailed, Stage::Backup, message)
    };
    let told = exit.stderr.lines().filter(|line| line.contains("page checksum"));
    let told: Vec<Finding> = told.map(|line| finding(said(line))).collect();
    if told.is_empty() && marked {
        vec![finding(&format!("pgBackRest marks {} so", picked.label))]
    } else {
        told
    }
}

/// What it means that pgBackRest could not do something for a server.
fn failed(command: &str, exit: &Exit) -> Unable {
    let words = complaint(exit);
    let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::BackupFailed };
    Unable::new(code, format!("pgbackrest {command} ended with {}: {words}", exit.describe()))
}

/// What pgBackRest says is wrong.
pub fn complaint(exit: &Exit) -> String {
    said(exit.stderr.lines().find(|line| line.contains("ERROR:")).unwrap_or(exit.last_words())).to_owned()
}

/// A line of pgBackRest's without what it begins with: the process and the weight.
fn said(line: &str) -> &str {
    let line = line.trim();
    ["ERROR:", "WARN:"]
        .iter()
        .find_map(|weight| line.split_once(weight))
        .map_or(line, |(_, words)| words.trim())
}

/// Where the replay of a backup in it begins; none of another.
pub fn start(drill: &Drill<'_>, name: &str) -> Option<(u32, Lsn)> {
    let taken = drill.backups.get(name)?;
    drill.layouts.contains_key(name).then_some((taken.timeline, taken.start_lsn))
}

/// The text of a script that runs pgBackRest for a server.
pub fn script(workspace: &Workspace, server: Name) -> String {
    let arguments = Paths::of(workspace, server).desk().arguments();
    let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
    format!(
        "#!/bin/sh\n# Runs pgBackRest for the {} with the repository of this drill.\nexec {} {} \"$@\"\n",
        server.name(),
        pgbackrest::NAME,
        words.join(" ")
    )
}

/// The name of that script, within the workspace.
pub fn script_name(server: Name) -> String {
    format!("bin/pgbackrest-{}", server.name())
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbackrest_says_is_told_without_its_frame() {
        let exit = Exit {
            code: Some(56),
            stderr: "WARN: option 'repo1-retention-full' is not set\nERROR: [056]: unable to find primary cluster - cannot \
                     proceed\n            HINT: are all available clusters in recovery?\n"
                .to_owned(),
            ..Exit::default()
        };
        assert_eq!(complaint(&exit), "[056]: unable to find primary cluster - cannot proceed");
        let unable = failed("backup", &exit);
        assert_eq!(unable.code, Code::BackupFailed);
        assert!(unable.message.starts_with("pgbackrest backup ended with exit code 56: [056]"), "{unable}");
        let full = Exit { stderr: "ERROR: [042]: No space left on device\n".to_owned(), ..exit };
        assert_eq!(failed("backup", &full).code, Code::DiskFull);
    }

    #[test]
    fn a_script_leaves_nothing_to_the_shell() {
        assert_eq!(quoted("--repo1-path=/a b/it's"), r"'--repo1-path=/a b/it'\''s'");
    }
}
