//! The drill's own home of Barman, and the backups that are taken into it. Barman runs where the server runs, as its operator
//! would run it, and has `pg_basebackup` take each; `recovery::barman` restores.
//!
//! Its WAL is what the drill archived: a copy is put into `incoming`, where an `archive_command` of Barman's would put it, and
//! Barman takes it in. Nothing is replayed from there; Barman itself asks for it before it calls a backup done.

use std::path::{Path, PathBuf};
use std::{fs, io};

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, Evidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::scenario::{Backup, BackupTool};
use pgdrill_model::world::{Command, Exit, Place};
use pgdrill_ondisk::segment::is_segment;
use pgdrill_repository::barman::Barman;
use pgdrill_repository::{Backup as Found, Held, State, look};

use crate::archiving;
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::growth::{self, Growth};
use crate::tool::barman::{self, Configuration, Desk};
use crate::tool::copy;
use crate::verified::Backups;
use crate::workspace::{Workspace, trouble};

/// Where it lies, within the workspace.
const HOME: &str = "backup/barman";

/// How many segments are copied at a time.
const AT_ONCE: usize = 500;

/// Where a backup of a drill lies: Barman gives it a directory by its ID.
pub fn stored(workspace: &Workspace, member: &Member, taken: &Backups) -> PathBuf {
    let label = || taken.get(&member.name)?.label.clone();
    match label().filter(|_| member.how.tool == BackupTool::Barman) {
        Some(id) => workspace.path(HOME).join(barman::SERVER).join("base").join(id).join("data"),
        None => workspace.path("backup").join(&member.name),
    }
}

/// What Barman must know to work for a server.
pub struct Paths {
    configuration: PathBuf,
    log: PathBuf,
}

/// A home that is ready for a backup.
pub struct Ready {
    paths: Paths,
    /// The newest segment that Barman was given. Of its first backup it removes all that came before.
    given: Option<String>,
}

impl Paths {
    /// The same for the commands.
    pub fn desk(&self) -> Desk<'_> {
        Desk { configuration: &self.configuration, log: &self.log }
    }
}

/// Writes Barman's configuration for a server of a drill.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `WORKSPACE_UNUSABLE`, `DISK_FULL`, and what the place cannot do.
pub async fn configure(workspace: &Workspace, place: &dyn Place, server: Name) -> Result<Paths, Unable> {
    // It says so before it is asked for anything that takes time.
    let there = place.run(&Command::system(barman::NAME, ["--version"])).await.map_err(without)?;
    if !there.success() {
        let message = format!("`barman` cannot be run where the servers run: {}", there.last_words());
        return Err(without(Unable::new(Code::ProgramMissing, message)));
    }
    // It knows accounts by their names alone, and in a container that may be another than on the host.
    let account = place.run(&Command::system("id", ["-un"])).await?;
    if !account.success() {
        let message = format!("Barman wants a name of the account that it runs as: {}", account.last_words());
        return Err(Unable::new(Code::BackupFailed, message));
    }
    let (home, log, socket) = (workspace.path(HOME), workspace.path("log"), workspace.socket(server));
    let text = barman::configuration(Configuration {
        home: &home,
        log: &log,
        account: account.stdout.trim(),
        socket: &socket,
        programs: &place.facts().bin_dir,
    });
    let configuration = workspace.write(format!("conf/barman-{}.conf", server.name()), &text, 0o600)?;
    Ok(Paths { configuration, log })
}

/// What to do where there is no Barman.
fn without(unable: Unable) -> Unable {
    if unable.code != Code::ProgramMissing {
        return unable;
    }
    unable.hint(
        "Install Barman where the servers run, or name an image that has it with --image: `ci/images/build --tools` builds such.",
    )
}

/// Prepares the home for a backup of a server: of a server whose WAL it has none of, Barman takes none.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `WORKSPACE_UNUSABLE`, `DISK_FULL`, `BACKUP_FAILED`.
pub async fn prepare(drill: &mut Drill<'_>, on: Name) -> Result<Ready, Unable> {
    let workspace = drill.workspace;
    let paths = configure(workspace, drill.server(on)?.place(), on).await?;
    for directory in [PathBuf::from(HOME), home_of_server(), home_of_server().join("incoming")] {
        workspace.need_dir(&directory)?;
    }
    let kept = workspace.path(home_of_server()).join("wals");
    let known = move || -> io::Result<Option<String>> {
        let mut known = Vec::new();
        for directory in directories(&kept)? {
            known.extend(segments(&directory)?);
        }
        Ok(known.into_iter().max())
    };
    let known = on_a_thread(known).await?;
    let known = known.map_err(|error| trouble(&workspace.path(HOME), &error))?;
    let given = give_wal(drill, on, paths.desk(), known).await?;
    Ok(Ready { paths, given })
}

/// Takes a backup of a server.
///
/// # Errors
///
/// `DISK_FULL`, `BACKUP_FAILED`. A damaged page of the server is in the record, too: `pg_basebackup` ends over it.
pub async fn take(
    drill: &mut Drill<'_>,
    how: Backup,
    on: Name,
    ready: &Ready,
    damaged: impl Fn(&Exit) -> Vec<Finding>,
) -> Result<(), Unable> {
    let command = barman::backup(ready.paths.desk(), how);
    let base = drill.workspace.path(home_of_server()).join("base");
    let growth = Growth { what: barman::NAME, directories: vec![base], total: None };
    let exit = growth::told(drill.recorder, growth, drill.server(on)?.place().run(&command)).await?;
    if exit.success() {
        return Ok(());
    }
    damaged(&exit).into_iter().for_each(|finding| drill.recorder.found(finding));
    Err(failed("backup", &exit))
}

/// Lets Barman see the end of the backup that it took last, and records that: `measured` says what its files are.
///
/// # Errors
///
/// `DISK_FULL`, `BACKUP_FAILED`.
pub async fn end(
    drill: &mut Drill<'_>,
    on: Name,
    Ready { paths, given }: Ready,
    measured: impl AsyncFnOnce(&Path) -> Result<BackupEvidence, Unable>,
) -> Result<(), Unable> {
    give_wal(drill, on, paths.desk(), given).await?;
    let exit = drill.server(on)?.place().run(&barman::check_backup(paths.desk())).await?;
    if !exit.success() {
        return Err(failed("check-backup", &exit));
    }
    let (picked, held) = newest(drill).await?;
    let directory = picked.path.clone();
    let mut evidence = measured(&directory.join("data")).await?;
    let tablespaces: Vec<PathBuf> =
        held.tablespaces.iter().map(|tablespace| directory.join(tablespace.oid.to_string())).collect();
    evidence.tablespaces = tablespaces.len() as u64;
    evidence.tablespace_bytes =
        on_a_thread(move || tablespaces.iter().map(|path| inspect::size(path)).sum()).await?;
    evidence.bytes += evidence.tablespace_bytes;
    evidence.label = Some(picked.label);
    BackupTool::Barman.name().clone_into(&mut evidence.tool);
    drill.backups.insert(evidence.name.clone(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    Ok(())
}

/// The backup that was taken last, of which Barman says that it is done.
async fn newest(drill: &Drill<'_>) -> Result<(Found, Barman), Unable> {
    let refuse = |words: String| Unable::new(Code::BackupFailed, words);
    let server = drill.workspace.path(home_of_server());
    let looked = on_a_thread(move || look(&server)).await?;
    let unknown = "Barman took a backup, and its home does not say so";
    let found = looked.map_err(|why| refuse(format!("{unknown}: {why}")))?;
    let Some((picked, Held::Barman(held))) = found.backups.last().map(|last| (last, &last.held)) else {
        return Err(refuse(unknown.to_owned()));
    };
    if drill.backups.values().any(|before| before.label.as_ref() == Some(&picked.label)) {
        return Err(refuse(format!(
            "Barman lists no backup behind {}, which was there before",
            picked.label
        )));
    }
    if held.status != "DONE" {
        let why = match &picked.state {
            State::Unfit(why) => why.clone(),
            State::Complete => format!("Barman says that it is {}", held.status),
        };
        return Err(refuse(format!("the backup {} is not done: {why}", picked.label)));
    }
    Ok((picked.clone(), held.clone()))
}

/// The tablespaces of a backup, their names and OIDs; or why they cannot be told.
///
/// # Errors
///
/// A bug, when the thread died.
pub async fn tablespaces(
    workspace: &Workspace,
    id: &str,
) -> Result<Result<Vec<(String, u32)>, String>, Unable> {
    let server = workspace.path(home_of_server());
    let found = match on_a_thread(move || look(&server)).await? {
        Ok(found) => found,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let picked = found.backups.iter().find(|backup| backup.label == id);
    let Some(Held::Barman(held)) = picked.map(|picked| &picked.held) else {
        return Ok(Err("it is not among its backups".to_owned()));
    };
    Ok(Ok(held.tablespaces.iter().filter_map(|of| Some((of.name.clone()?, of.oid))).collect()))
}

/// Gives Barman the WAL that was archived behind the segment `known`; without one the newest segment alone. Gives the newest that
/// it has now.
async fn give_wal(
    drill: &mut Drill<'_>,
    on: Name,
    desk: Desk<'_>,
    known: Option<String>,
) -> Result<Option<String>, Unable> {
    let archive = drill.workspace.path(archiving::WAL);
    let server = drill.workspace.path(home_of_server());
    let directory = archive.clone();
    let archived = on_a_thread(move || segments(&directory)).await?;
    let mut archived = archived.map_err(|error| trouble(&archive, &error))?;
    match &known {
        Some(known) => archived.retain(|name| name > known),
        None => drop(archived.drain(..archived.len().saturating_sub(1))),
    }
    let new: Vec<PathBuf> = archived.iter().map(|name| archive.join(name)).collect();
    let incoming = server.join("incoming");
    let place = drill.server(on)?.place();
    for files in new.chunks(AT_ONCE) {
        let exit = place.run(&copy::files(files, &incoming)).await?;
        if !exit.success() {
            let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::BackupFailed };
            return Err(Unable::new(code, format!("Barman was not given WAL: {}", exit.last_words())));
        }
    }
    let exit = place.run(&barman::archive_wal(desk)).await?;
    if exit.success() { Ok(archived.pop().or(known)) } else { Err(failed("archive-wal", &exit)) }
}

/// The names of the segments in a directory, in order.
fn segments(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| is_segment(name)));
    }
    names.sort();
    Ok(names)
}

/// The directories in a directory that may not be there yet.
fn directories(above: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(above) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    Ok(paths?.into_iter().filter(|path| path.is_dir()).collect())
}

/// Where everything of the drill's server lies, within the workspace.
fn home_of_server() -> PathBuf {
    Path::new(HOME).join(barman::SERVER)
}

/// What it means that Barman could not do something for a server.
fn failed(command: &str, exit: &Exit) -> Unable {
    let words = complaint(exit);
    let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::BackupFailed };
    Unable::new(code, format!("barman {command} ended with {}: {words}", exit.describe()))
}

/// What Barman says is wrong, and what the program says that it ran.
pub fn complaint(exit: &Exit) -> String {
    let lines = || exit.stderr.lines().map(str::trim);
    let own = lines().find_map(|line| line.split_once("ERROR:"));
    let own = own.map_or(exit.last_words(), |(_, words)| words).trim();
    let of_program = |line: &&str| {
        line.starts_with("rsync: ")
            || line.starts_with("pg_basebackup: error:")
            || line.starts_with("DETAIL:")
    };
    match lines().find(of_program) {
        Some(words) if !own.contains(words) => format!("{own}: {words}"),
        _ => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_barman_says_is_told_with_what_its_program_said() {
        let exit = Exit {
            code: Some(1),
            stderr: "ERROR: Failure copying base backup: data transfer failure\nrsync error:\n>f+++++++++ PG_VERSION\n\
                     rsync: [sender] change_dir \"/w/data\" failed: No such file or directory (2)\n"
                .to_owned(),
            ..Exit::default()
        };
        assert_eq!(
            complaint(&exit),
            "Failure copying base backup: data transfer failure: rsync: [sender] change_dir \"/w/data\" failed: No such file or \
             directory (2)"
        );
        let full = Exit { stderr: "ERROR: [Errno 28] No space left on device\n".to_owned(), ..exit };
        assert_eq!(failed("backup", &full).code, Code::DiskFull);
    }
}
