//! Unpacks a backup with the programs that an operator would use: tars into the data directory, plain files by `cp`, an
//! incremental backup and those that it builds upon by `pg_combinebackup`, what pgBackRest or Barman took by these; or by
//! pgdrill itself (`native`). Each tablespace goes into a directory of the restored server's own, and the data directory is made to name that one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::parts::{self, Packed};
use pgdrill_backup::{inspect, tablespaces as links};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::VerifiedEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::{BackupFormat, RecoverBy, WalMethod};
use pgdrill_model::world::{Command, Exit, Place};

use crate::drill::{Drill, disk_full, on_a_thread};
use crate::given::{self, Made, Taken};
use crate::growth::{self, Growth};
use crate::recovery::phases::Clocked;
use crate::recovery::{barman, native, pgbackrest, remap};
use crate::server::Server;
use crate::workspace::Workspace;
use crate::{tablespaces, tool};

/// How often the size of what is unpacked so far is looked at.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Where the members of a chain are unpacked before they are combined, within the workspace.
pub const SCRATCH: &str = "scratch";

/// A data directory and the directory of its tablespaces, both within the workspace.
struct Into<'a> {
    data: &'a Path,
    tablespaces: &'a Path,
}

/// What was unpacked.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// How many tablespaces were put into the restored server's own tree.
    pub tablespaces: u64,
    /// What was verified on the way; none where other programs did it.
    pub verified: Option<VerifiedEvidence>,
    /// What was seen on the way and does not keep the server from being started.
    pub doubts: Vec<Finding>,
}

/// Unpacks `chain` for `server`; findings when the backup is not what can be unpacked.
///
/// # Errors
///
/// `PROGRAM_MISSING`, `DISK_FULL`, `TABLESPACE_OUTSIDE`, and what the place cannot do.
pub async fn unpack(
    drill: &Drill<'_>,
    server: &Server,
    chain: &[Member],
    by: RecoverBy,
    clocked: &mut Clocked,
) -> Result<Result<Unpacked, Vec<Finding>>, Unable> {
    let place = server.place();
    let own = tablespaces::root(server.name);
    let restored = Into { data: Path::new(server.name.name()), tablespaces: &own };
    let mut unpacked = Unpacked::default();
    let outcome = match (by, chain) {
        (RecoverBy::Tar | RecoverBy::Copy, [.., newest]) => {
            let outcome = member(drill, place, newest, &restored, true).await?;
            clocked.unpacked(drill.clock.elapsed());
            outcome
        }
        (RecoverBy::Combine, [.., newest]) => {
            let directories = match &drill.given {
                Some(Taken { made: Made::Chain(links), .. }) => {
                    match given::chain::restore(drill, links, newest.how.wal).await? {
                        Ok((directories, restored)) => {
                            unpacked = restored;
                            directories
                        }
                        Err(findings) => return Ok(Err(findings)),
                    }
                }
                _ => match members(drill, place, chain, newest).await? {
                    Ok(directories) => directories,
                    Err(finding) => return Ok(Err(vec![finding])),
                },
            };
            clocked.unpacked(drill.clock.elapsed());
            let outcome = combine(drill, place, &directories, &restored).await?;
            clocked.combined(drill.clock.elapsed());
            if drill.given.is_some() {
                given::chain::remove(drill, directories.len()).await?;
            }
            outcome
        }
        (RecoverBy::Native, [.., newest]) => {
            let restored = match &drill.given {
                Some(Taken { made: Made::PgBackRest(layout), .. }) => {
                    given::pgbackrest::restore(drill, layout, restored.data, restored.tablespaces).await?
                }
                Some(Taken { made: Made::OneTar(packed), .. }) => {
                    given::one_tar::restore(drill, packed, restored.data, restored.tablespaces).await?
                }
                _ => native::restore(drill, newest, restored.data, restored.tablespaces).await?,
            };
            clocked.unpacked(drill.clock.elapsed());
            match restored {
                Ok(restored) => unpacked = restored,
                Err(findings) => return Ok(Err(findings)),
            }
            None
        }
        (RecoverBy::PgBackRest, [.., newest]) => {
            let outcome =
                pgbackrest::restore(drill, place, newest, restored.data, restored.tablespaces).await?;
            clocked.unpacked(drill.clock.elapsed());
            match outcome {
                Ok(restored) => unpacked = restored,
                Err(findings) => return Ok(Err(findings)),
            }
            None
        }
        (RecoverBy::Barman, [.., newest]) => {
            let at = (place, server.name);
            let outcome = barman::restore(drill, at, newest, restored.data, restored.tablespaces).await?;
            clocked.unpacked(drill.clock.elapsed());
            match outcome {
                Ok(restored) => unpacked = restored,
                Err(findings) => return Ok(Err(findings)),
            }
            None
        }
        (_, []) => return Err(Unable::bug("a recovery of no backup")),
        (RecoverBy::Load, _) => return Err(Unable::bug("a dump is to be unpacked as files")),
    };
    if let Some(finding) = outcome {
        return Ok(Err(vec![finding]));
    }
    let remapped = remap::remap(drill.workspace, restored.data, restored.tablespaces, drill.postgres)?;
    Ok(match remapped {
        Ok(tablespaces) => Ok(Unpacked { tablespaces, ..unpacked }),
        Err(finding) => Err(vec![finding]),
    })
}

/// Unpacks one backup. Its WAL is left out where `with_wal` says so: of a chain only that of the newest is needed.
async fn member(
    drill: &Drill<'_>,
    place: &dyn Place,
    member: &Member,
    into: &Into<'_>,
    with_wal: bool,
) -> Result<Option<Finding>, Unable> {
    let workspace = drill.workspace;
    let source = workspace.path("backup").join(&member.name);
    let data = workspace.path(into.data);
    let directory = source.clone();
    let total = on_a_thread(move || inspect::summary(&directory)).await?;
    let total = total.ok().map(|summary| summary.manifest.files.bytes());
    match member.how.format {
        BackupFormat::Tar => {
            let parts = parts::of_tar(&source);
            let there = |stem: &str| parts.iter().any(|part| part.stem == stem);
            let needed = [("base", true), ("pg_wal", member.how.wal == WalMethod::Stream)];
            if let Some((missing, _)) = needed.iter().find(|(stem, needed)| *needed && !there(stem)) {
                return Ok(Some(failed(&format!("{} has no {missing}.tar", member.name))));
            }
            // The base comes first, and with it the map that says which tablespaces lie elsewhere.
            for part in parts.iter().filter(|part| with_wal || part.stem != "pg_wal") {
                let directory = match part.stem.as_str() {
                    "base" => data.clone(),
                    "pg_wal" => data.join("pg_wal"),
                    oid => directory_of(workspace, into, oid)?,
                };
                let command = tool::tar::command(part, &directory);
                if let Some(finding) = run(drill, place, &command, Some(part.packed), into, total).await? {
                    return Ok(Some(finding));
                }
            }
        }
        _ => {
            let links = remap::refuse_links(&source)?;
            let mut commands = vec![tool::copy::command(&source, &data)];
            for link in links {
                let directory = into.tablespaces.join(&link.oid);
                workspace.make_dir(&directory)?;
                commands.push(tool::copy::command(Path::new(&link.path), &workspace.path(directory)));
            }
            for command in commands {
                if let Some(finding) = run(drill, place, &command, None, into, total).await? {
                    return Ok(Some(finding));
                }
            }
        }
    }
    Ok(None)
}

/// Makes the directory of a tablespace that is about to be unpacked. One that the unpacked map does not name has no
/// place of its own and lies within the data directory (`allow_in_place_tablespaces`).
fn directory_of(workspace: &Workspace, into: &Into<'_>, oid: &str) -> Result<PathBuf, Unable> {
    let map = links::map(&workspace.path(into.data)).ok().flatten().unwrap_or_default();
    let directory = if map.iter().any(|mapping| mapping.oid == oid) {
        into.tablespaces.join(oid)
    } else {
        into.data.join("pg_tblspc").join(oid)
    };
    if !workspace.path(&directory).is_dir() {
        workspace.make_dir(&directory)?;
    }
    Ok(workspace.path(directory))
}

/// Makes the members of a chain ready for `pg_combinebackup`.
async fn members(
    drill: &Drill<'_>,
    place: &dyn Place,
    chain: &[Member],
    newest: &Member,
) -> Result<Result<Vec<PathBuf>, Finding>, Unable> {
    let mut directories = Vec::new();
    for each in chain {
        match for_combining(drill, place, each, each == newest).await? {
            Ok(directory) => directories.push(directory),
            Err(finding) => return Ok(Err(finding)),
        }
    }
    Ok(Ok(directories))
}

/// Makes a member of a chain ready for `pg_combinebackup`, which wants directories: a plain one is ready where it is,
/// one in tar format is unpacked first.
async fn for_combining(
    drill: &Drill<'_>,
    place: &dyn Place,
    each: &Member,
    newest: bool,
) -> Result<Result<PathBuf, Finding>, Unable> {
    let workspace = drill.workspace;
    if each.how.format == BackupFormat::Plain {
        let source = workspace.path("backup").join(&each.name);
        remap::refuse_links(&source)?;
        return Ok(Ok(source));
    }
    let data = Path::new(SCRATCH).join(&each.name);
    let beside = parts::beside(&data);
    workspace.make_dir(&data)?;
    workspace.make_dir(&beside)?;
    let into = Into { data: &data, tablespaces: &beside };
    if let Some(finding) = member(drill, place, each, &into, newest).await? {
        return Ok(Err(finding));
    }
    // Beside the tars, and not in one of them; pg_combinebackup wants it.
    let manifest = workspace.path("backup").join(&each.name).join("backup_manifest");
    let copy = tool::copy::file(&manifest, &workspace.path(&data));
    if let Some(finding) = run(drill, place, &copy, None, &into, None).await? {
        return Ok(Err(finding));
    }
    match remap::remap(workspace, &data, &beside, drill.postgres)? {
        Ok(_) => Ok(Ok(workspace.path(data))),
        Err(finding) => Ok(Err(finding)),
    }
}

async fn combine(
    drill: &Drill<'_>,
    place: &dyn Place,
    chain: &[PathBuf],
    into: &Into<'_>,
) -> Result<Option<Finding>, Unable> {
    let workspace = drill.workspace;
    let own = workspace.path(into.tablespaces);
    let newest = chain.last().map(|newest| links::links(newest)).unwrap_or_default();
    let moved = tablespaces::moved(&newest, &own);
    let command = tool::pg_combinebackup::command(chain, &moved, &workspace.path(into.data));
    run(drill, place, &command, None, into, None).await
}

/// Runs one of the programs, telling how far it is; a finding when it failed over the backup.
async fn run(
    drill: &Drill<'_>,
    place: &dyn Place,
    command: &Command,
    packed: Option<Packed>,
    into: &Into<'_>,
    total: Option<u64>,
) -> Result<Option<Finding>, Unable> {
    let name = command.program.name();
    let directories = [drill.workspace.path(into.data), drill.workspace.path(into.tablespaces)];
    let exit = watched(drill, place, command, directories, total).await?;
    if exit.success() {
        return Ok(None);
    }
    // pg_combinebackup says what is wrong, and then how it cleans up.
    let wrong = exit.stderr.lines().find(|line| line.contains("error:")).unwrap_or(exit.last_words());
    let words = format!("{name} ended with {}: {}", exit.describe(), wrong.trim());
    if disk_full(&exit.stderr) {
        return Err(Unable::new(Code::DiskFull, words));
    }
    if exit.killed() {
        return Err(Unable::new(Code::ProgramKilled, format!("the backup was not unpacked: {words}")));
    }
    // tar starts another program for what is compressed; only when that is there is the backup at fault.
    if let Some(program) = packed.and_then(Packed::program) {
        there(place, program).await?;
    }
    Ok(Some(failed(&words)))
}

/// Runs a program that fills directories, telling how far it is.
pub(super) async fn watched(
    drill: &Drill<'_>,
    place: &dyn Place,
    command: &Command,
    directories: [PathBuf; 2],
    total: Option<u64>,
) -> Result<Exit, Unable> {
    let what = if command.program.name() == "pg_combinebackup" { "combine" } else { "unpack" };
    let growth = Growth { what, directories: directories.into(), total };
    growth::told(drill.recorder, growth, place.run(command)).await
}

/// Whether a program can be run in a place.
async fn there(place: &dyn Place, program: &'static str) -> Result<(), Unable> {
    let exit = place.run(&Command::system(program, ["--version"])).await?;
    if exit.success() {
        return Ok(());
    }
    let message = format!("`{program}` cannot be run where the backup is unpacked: {}", exit.last_words());
    Err(Unable::new(Code::ProgramMissing, message)
        .hint(format!("Install the package that holds `{program}`: tar unpacks the backup with it.")))
}

fn failed(words: &str) -> Finding {
    let message = format!("the backup could not be unpacked: {words}");
    Finding::new(Code::UnpackFailed, Stage::Recover, message)
}
