//! Loads a dump into a new cluster: by `pg_restore`, or by `psql` that stops at the first error.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::parts::Packed;
use pgdrill_backup::unpack;
use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Server as Name};
use pgdrill_model::scenario::Cluster;
use pgdrill_model::world::Exit;

use crate::drill::{Drill, Recovered, disk_full};
use crate::given::{Kept, copy_sql};
use crate::recovery::first_write;
use crate::recovery::phases::Clocked;
use crate::server::Server;
use crate::session::{Door, SUPERUSER};
use crate::settings;
use crate::step::initdb;
use crate::tablespaces;
use crate::tool::pg_dump::{self, Part};
use crate::tree;

/// A fresh cluster is up within seconds.
const START_LIMIT: Duration = Duration::from_secs(120);

/// What is loaded, in this order.
#[derive(Clone, Debug)]
pub struct Load {
    /// The SQL of what the databases share, where it is known.
    pub globals: Option<PathBuf>,
    /// The dumps.
    pub parts: Vec<Part>,
    /// Whether the drill took them: then nothing that is wrong with them has another reason than that they are damaged.
    pub own: bool,
}

/// Opens the place of the server that is to hold it, which comes from the backups `from`.
///
/// # Errors
///
/// What the runtime cannot do.
pub async fn open(
    drill: &mut Drill<'_>,
    name: Name,
    writable: &[&str],
    from: Vec<Member>,
) -> Result<(), Unable> {
    let workspace = drill.workspace;
    workspace.make_dir(Path::new(name.name()))?;
    workspace.need_dir(&Path::new("socket").join(name.name()))?;
    tablespaces::make_root(workspace, name)?;
    let place = drill.open_place(name, writable, &["backup"]).await?;
    drill
        .recorder
        .happened(Happening::PlaceOpened { server: name.name().to_owned(), facts: place.facts().clone() });
    drill.servers.insert(name, Server::new(name, workspace, place));
    drill.recovered = Some(Recovered {
        from,
        archive: None,
        archives: false,
        first_write: None,
        aim: None,
        reached: None,
        base: None,
        promoted: false,
    });
    Ok(())
}

/// Makes a cluster, and starts it.
///
/// # Errors
///
/// `DISK_FULL`, `SERVER_START_FAILED`, `TIME_LIMIT`.
pub async fn begin(drill: &mut Drill<'_>, name: Name, cluster: &Cluster) -> Result<(), Unable> {
    let (workspace, clock, major) = (drill.workspace, drill.clock, drill.postgres);
    let command = initdb(&workspace.data(name), cluster, major);
    let socket = workspace.socket(name);
    let configuration = settings::loading(&socket, cluster.wal_segment_megabytes, major);
    let server = drill.server(name)?;
    let exit = server.place().run(&command).await?;
    if !exit.success() {
        let words = exit.stderr.lines().find(|line| line.contains("error")).unwrap_or(exit.last_words());
        let code = if disk_full(words) { Code::DiskFull } else { Code::ServerStartFailed };
        return Err(Unable::new(code, format!("initdb ended with {}: {words}", exit.describe())));
    }
    server.start(workspace, &configuration).await?;
    server.ready(&Door::superuser(&socket, SUPERUSER), START_LIMIT, clock).await.map(|_| ())
}

/// Loads all of it; findings when it does not load.
///
/// # Errors
///
/// What keeps it from being loaded and says nothing about the dump.
pub async fn run(drill: &mut Drill<'_>, name: Name, load: &Load) -> Result<Vec<Finding>, Unable> {
    let socket = drill.workspace.socket(name);
    let globals = load.globals.iter().map(|globals| pg_dump::psql(&socket, globals, pg_dump::EVERYWHERE));
    let parts = load.parts.iter().map(|part| pg_dump::load(&socket, part, load.globals.is_some()));
    for command in globals.chain(parts) {
        let program = command.program.name();
        let exit = drill.server(name)?.place().run(&command).await?;
        if let Some(finding) = judge(&exit, program, load.own)? {
            return Ok(vec![finding]);
        }
    }
    Ok(Vec::new())
}

/// Takes down that all of it is there, and writes as the application.
///
/// # Errors
///
/// A bug: nothing was opened.
pub async fn close(
    drill: &mut Drill<'_>,
    name: Name,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Vec<Finding>, Unable> {
    clocked.loaded(drill.clock.elapsed());
    evidence.state = Some("promoted".to_owned());
    evidence.looks_well = Some(true);
    drill.recovered()?.promoted = true;
    first_write::write(drill, name, clocked, evidence).await
}

/// How the files of a dump are read and copied; to be called on a thread.
pub mod files {
    use super::*;

    /// A file, unpacked.
    ///
    /// # Errors
    ///
    /// As the standard library has them.
    pub fn opened(path: &Path, packed: Packed) -> io::Result<Box<dyn io::Read + Send>> {
        unpack::unpacked(unpack::buffered(Box::new(File::open(path)?)), packed)
    }

    /// Copies SQL, unpacked, for the account `owner`.
    ///
    /// # Errors
    ///
    /// As the standard library has them.
    pub fn copy(from: &Path, packed: Packed, to: &Path, owner: Option<(u32, u32)>) -> io::Result<Kept> {
        let kept = copy_sql(BufReader::new(opened(from, packed)?), &mut BufWriter::new(File::create(to)?))?;
        owner.map_or(Ok(()), |owner| tree::give(to, owner))?;
        Ok(kept)
    }

    /// What became of a copy: the tablespaces that it names, or what is wrong with it.
    ///
    /// # Errors
    ///
    /// `TABLESPACE_OUTSIDE`, `NOT_A_BACKUP`, `DISK_FULL`, `BACKUP_UNREADABLE`.
    pub fn judge(
        copied: io::Result<Kept>,
        path: &Path,
        own: bool,
    ) -> Result<Result<BTreeSet<String>, Box<Finding>>, Unable> {
        let shown = path.display();
        let wrong =
            |message: String| Ok(Err(Box::new(Finding::new(Code::UnpackFailed, Stage::Recover, message))));
        match copied {
            Ok(Kept::Whole(named)) => Ok(Ok(named)),
            Ok(Kept::Tablespace(location)) => {
                let message =
                    format!("{shown} makes a tablespace in {location}, which is not the drill's own");
                let hint = "prove a dump of the databases alone, without the tablespaces of the cluster";
                Err(Unable::new(Code::TablespaceOutside, message).hint(hint))
            }
            Ok(Kept::Command(command)) if own => {
                wrong(format!("the dump has a command for psql that none has: {shown}: {command}"))
            }
            Ok(Kept::Command(command)) => {
                let message = format!("{shown} has a command for psql that no dump has: {command}");
                Err(Unable::new(Code::NotABackup, message)
                    .hint("it would be run here; take it out, or load it by hand"))
            }
            // What a drill took itself, it finds where it put it.
            Err(error) if own && error.kind() == io::ErrorKind::NotFound => {
                wrong(format!("{shown} is not there"))
            }
            // What the system says has a number; what a decoder says of its content has none.
            Err(error) if error.raw_os_error().is_some() => {
                let message = format!("{shown} cannot be copied: {error}");
                let code = if disk_full(&message) { Code::DiskFull } else { Code::BackupUnreadable };
                Err(Unable::new(code, message))
            }
            Err(error) => wrong(format!("the dump could not be unpacked: {shown}: {error}")),
        }
    }
}

/// What the end of a program means.
fn judge(exit: &Exit, program: &str, own: bool) -> Result<Option<Finding>, Unable> {
    if exit.success() {
        return Ok(None);
    }
    let wrong = |line: &&str| line.contains("ERROR:") || line.contains("error:") || line.contains("FATAL:");
    let words = exit.stderr.lines().find(wrong).unwrap_or(exit.last_words()).trim();
    let message = format!("the dump does not load: {program} ended with {}: {words}", exit.describe());
    if disk_full(&exit.stderr) {
        return Err(Unable::new(Code::DiskFull, message));
    }
    if exit.killed() {
        return Err(Unable::new(Code::ProgramKilled, message));
    }
    if own {
        return Ok(Some(Finding::new(Code::UnpackFailed, Stage::Recover, message)));
    }
    if words.contains("locale") && words.contains("invalid") {
        return Err(Unable::new(Code::LocaleMissing, message));
    }
    if words.contains("unsupported version") || words.contains("invalid command \\restrict") {
        let hint = "the dump was made by a newer pg_dump: install its minor version, or name another image";
        return Err(Unable::new(Code::ProgramMissing, message).hint(hint));
    }
    // Roles are of a cluster, and a dump of one database needs not hold them: nothing is wrong with it.
    if words.contains("role \"") && words.contains("does not exist") {
        let hint = "the roles are not in it: give what the databases share, by `pg_dumpall --globals-only`, with --globals";
        return Err(Unable::new(Code::NotABackup, message).hint(hint));
    }
    Ok(Some(Finding::new(Code::UnpackFailed, Stage::Recover, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(stderr: &str) -> Exit {
        Exit { code: Some(1), stderr: stderr.to_owned(), ..Exit::default() }
    }

    #[test]
    fn what_keeps_a_dump_from_loading_says_something_of_it_only_where_nothing_else_explains_it() {
        let role =
            exit("pg_restore: error: could not execute query: ERROR:  role \"clerk\" does not exist\n");
        assert_eq!(judge(&role, "pg_restore", false).unwrap_err().code, Code::NotABackup);
        assert_eq!(judge(&role, "pg_restore", true).unwrap().unwrap().code, Code::UnpackFailed);
        let full = exit("pg_restore: error: ERROR:  could not extend file: No space left on device\n");
        assert_eq!(judge(&full, "pg_restore", true).unwrap_err().code, Code::DiskFull);
        let killed = Exit { code: None, signal: Some(9), ..Exit::default() };
        assert_eq!(judge(&killed, "psql", true).unwrap_err().code, Code::ProgramKilled);
        assert_eq!(judge(&Exit { code: Some(0), ..Exit::default() }, "psql", true).unwrap(), None);
    }
}
