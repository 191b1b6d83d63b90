//! Loads a dump into a new cluster: by `pg_restore`, or by `psql` that stops at the first error. Its files are copied into the drill
//! first, unpacked if need be: the programs run in the server's place, which sees nothing else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::Path;
use std::time::Duration;

use pgdrill_backup::parts::Packed;
use pgdrill_backup::unpack;
use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Recovery, Server as Name};
use pgdrill_model::scenario::{Cluster, Point};
use pgdrill_model::world::{Command, Exit};
use pgdrill_repository::Layout;
use pgdrill_repository::dump::Form;

use super::text::{Kept, copy_sql};
use crate::drill::{Drill, Recovered, disk_full, on_a_thread};
use crate::recovery::first_write;
use crate::recovery::phases::Clocked;
use crate::server::Server;
use crate::session::{Door, SUPERUSER, describe};
use crate::settings::{self, PORT};
use crate::step::initdb;
use crate::tablespaces;
use crate::tree;

/// Where the dump is copied to, within the workspace.
const COPY: &str = "backup/dump";

/// The same of what the databases of a cluster share.
const GLOBALS: &str = "backup/globals.sql";

/// A fresh cluster is up within seconds.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The drill as a whole is bounded.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What is loaded.
struct Dump<'a> {
    form: Form,
    path: &'a Path,
    packed: Packed,
    database: Option<&'a str>,
    globals: Option<&'a Path>,
}

/// Loads the dump as far as a server that can be written to.
///
/// # Errors
///
/// What keeps it from being loaded; that something in it does not load is a finding.
pub async fn load(
    drill: &mut Drill<'_>,
    recovery: &Recovery,
    (layout, globals): (&Layout, Option<&Path>),
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Vec<Finding>, Unable> {
    let Layout::Dump { path, form, packed, database } = layout else {
        return Err(Unable::bug("pg_restore is told to load what is no dump"));
    };
    if recovery.to.at != Point::Latest {
        let message = format!("a dump holds one moment, and was to be recovered to {}", recovery.to);
        return Err(Unable::new(Code::TargetBeforeBackup, message).hint("leave the target out"));
    }
    if drill.given.as_ref().is_some_and(|taken| taken.baseline.is_some()) {
        let message = "a dump is recovered to no position in the WAL, so no baseline can be compared with it";
        return Err(Unable::new(Code::BaselineElsewhere, message).hint("leave the baseline out"));
    }
    let dump = Dump { form: *form, path, packed: *packed, database: database.as_deref(), globals };
    evidence.by = form.program().to_owned();
    evidence.backups = drill.given.iter().map(|taken| taken.name.clone()).collect();
    let name = recovery.server;
    open(drill, name).await?;
    let named = match copy(drill, &dump).await? {
        Ok(named) => named,
        Err(finding) => return Ok(vec![*finding]),
    };
    clocked.fetched(drill.clock.elapsed());
    begin(drill, name).await?;
    make_tablespaces(drill, name, &named).await?;
    clocked.started(drill.clock.elapsed());
    for command in commands(drill, &dump, name) {
        let program = command.program.name();
        let exit = drill.server(name)?.place().run(&command.within(LIMIT)).await?;
        if let Some(finding) = judge(&exit, program)? {
            return Ok(vec![finding]);
        }
    }
    clocked.loaded(drill.clock.elapsed());
    evidence.state = Some("promoted".to_owned());
    evidence.looks_well = Some(true);
    drill.recovered()?.promoted = true;
    let mut findings = first_write::write(drill, name, clocked, evidence).await?;
    findings.extend(super::oracle::witness(drill, name, None, evidence).await?);
    Ok(findings)
}

/// Opens the place of the server that is to hold it.
async fn open(drill: &mut Drill<'_>, name: Name) -> Result<(), Unable> {
    let workspace = drill.workspace;
    workspace.make_dir(Path::new(name.name()))?;
    workspace.need_dir(&Path::new("socket").join(name.name()))?;
    tablespaces::make_root(workspace, name)?;
    let place = drill.open_place(name, &[], &["backup"]).await?;
    drill
        .recorder
        .happened(Happening::PlaceOpened { server: name.name().to_owned(), facts: place.facts().clone() });
    drill.servers.insert(name, Server::new(name, workspace, place));
    let from = drill.given.iter().map(super::Taken::member).collect();
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

/// Copies the dump and what goes with it into the drill; the tablespaces that its SQL names, or a finding when it cannot be unpacked.
async fn copy(drill: &Drill<'_>, dump: &Dump<'_>) -> Result<Result<BTreeSet<String>, Box<Finding>>, Unable> {
    let owner = drill.workspace.owner().map(|owner| (owner.uid, owner.gid));
    let (from, to) = (dump.path.to_owned(), drill.workspace.path(COPY));
    let (form, packed) = (dump.form, dump.packed);
    let copied = on_a_thread(move || -> io::Result<Kept> {
        let kept = match form {
            Form::Directory => copy_directory(&from, &to).map(|()| Kept::Whole(BTreeSet::new())),
            Form::Custom | Form::Tar => io::copy(&mut opened(&from, packed)?, &mut File::create(&to)?)
                .map(|_| Kept::Whole(BTreeSet::new())),
            Form::Sql | Form::ClusterSql { .. } => {
                copy_sql(BufReader::new(opened(&from, packed)?), &mut BufWriter::new(File::create(&to)?))
            }
        }?;
        owner.map_or(Ok(()), |owner| tree::give(&to, owner))?;
        Ok(kept)
    });
    let mut named = match of_copy(copied.await?, dump.path)? {
        Ok(named) => named,
        Err(finding) => return Ok(Err(finding)),
    };
    let Some(globals) = dump.globals.map(Path::to_owned) else { return Ok(Ok(named)) };
    let (from, to) = (globals.clone(), drill.workspace.path(GLOBALS));
    let copied = on_a_thread(move || -> io::Result<Kept> {
        let kept = copy_sql(BufReader::new(File::open(from)?), &mut BufWriter::new(File::create(&to)?))?;
        owner.map_or(Ok(()), |owner| tree::give(&to, owner))?;
        Ok(kept)
    });
    Ok(of_copy(copied.await?, &globals)?.map(|of_globals| {
        named.extend(of_globals);
        named
    }))
}

/// Makes tablespaces that SQL names and no dump of a database makes, in the drill's own tree.
async fn make_tablespaces(drill: &Drill<'_>, name: Name, named: &BTreeSet<String>) -> Result<(), Unable> {
    if named.is_empty() {
        return Ok(());
    }
    let door = Door::superuser(&drill.workspace.socket(name), SUPERUSER);
    let lost =
        |error| Unable::new(Code::ServerLost, format!("cannot connect to the server: {}", describe(&error)));
    let session = door.open().await.map_err(lost)?;
    for (number, tablespace) in (1..).zip(named) {
        let part = tablespaces::root(name).join(format!("named-{number}"));
        drill.workspace.make_dir(&part)?;
        let place = drill.workspace.path(part).to_string_lossy().replace('\'', "''");
        let made = session.batch_execute(&format!("CREATE TABLESPACE {tablespace} LOCATION '{place}'")).await;
        made.map_err(|error| {
            let message = format!("the tablespace {tablespace} could not be made: {}", describe(&error));
            Unable::new(Code::SqlFailed, message)
        })?;
    }
    Ok(())
}

fn opened(path: &Path, packed: Packed) -> io::Result<Box<dyn io::Read + Send>> {
    unpack::unpacked(unpack::buffered(Box::new(File::open(path)?)), packed)
}

/// What became of a copy.
fn of_copy(copied: io::Result<Kept>, path: &Path) -> Result<Result<BTreeSet<String>, Box<Finding>>, Unable> {
    let shown = path.display();
    match copied {
        Ok(Kept::Whole(named)) => Ok(Ok(named)),
        Ok(Kept::Tablespace(location)) => {
            let message = format!("{shown} makes a tablespace in {location}, which is not the drill's own");
            let hint = "prove a dump of the databases alone, without the tablespaces of the cluster";
            Err(Unable::new(Code::TablespaceOutside, message).hint(hint))
        }
        Ok(Kept::Command(command)) => {
            let message = format!("{shown} has a command for psql that no dump has: {command}");
            Err(Unable::new(Code::NotABackup, message)
                .hint("it would be run here; take it out, or load it by hand"))
        }
        // What the system says has a number; what a decoder says of its content has none.
        Err(error) if error.raw_os_error().is_some() => {
            let message = format!("{shown} cannot be copied: {error}");
            let code = if disk_full(&message) { Code::DiskFull } else { Code::BackupUnreadable };
            Err(Unable::new(code, message))
        }
        Err(error) => {
            let message = format!("the dump could not be unpacked: {shown}: {error}");
            Ok(Err(Box::new(Finding::new(Code::UnpackFailed, Stage::Recover, message))))
        }
    }
}

/// Copies the files of a dump in a directory, which has none below it.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Makes a cluster, and starts it.
async fn begin(drill: &mut Drill<'_>, name: Name) -> Result<(), Unable> {
    let (workspace, clock, major) = (drill.workspace, drill.clock, drill.postgres);
    let command = initdb(&workspace.data(name), &Cluster::default(), major);
    let socket = workspace.socket(name);
    let configuration = settings::loading(&socket, Cluster::default().wal_segment_megabytes, major);
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

/// What loads it, in order.
fn commands(drill: &Drill<'_>, dump: &Dump<'_>, name: Name) -> Vec<Command> {
    let path = |part: &str| drill.workspace.path(part).display().to_string();
    let socket = drill.workspace.socket(name).display().to_string();
    let to = [format!("--host={socket}"), format!("--port={PORT}"), format!("--username={SUPERUSER}")];
    let with = |args: &[String]| to.iter().chain(args).cloned().collect::<Vec<_>>();
    let sql = |file: &str, database: &str| {
        let args = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"].map(str::to_owned);
        let rest = [format!("--dbname={database}"), format!("--file={}", path(file))];
        Command::postgres("psql", with(&[args.as_slice(), rest.as_slice()].concat()))
    };
    let mut commands = Vec::new();
    if dump.globals.is_some() {
        commands.push(sql(GLOBALS, SUPERUSER));
    }
    // One that every cluster has is not made again.
    let own = dump.database.filter(|name| !matches!(*name, "postgres" | "template1" | "template0"));
    match dump.form {
        Form::Sql | Form::ClusterSql { .. } => commands.push(sql(COPY, SUPERUSER)),
        Form::Custom | Form::Directory | Form::Tar => {
            let jobs = std::thread::available_parallelism().map_or(1, usize::from);
            // The tablespaces of its cluster are not in it, and where data lies is no part of what a dump holds.
            let mut args = vec![
                "--exit-on-error".to_owned(),
                "--no-tablespaces".to_owned(),
                format!("--dbname={SUPERUSER}"),
            ];
            args.extend(own.map(|_| "--create".to_owned()));
            // Who owns what is nothing without the roles.
            if dump.globals.is_none() {
                args.extend(["--no-owner".to_owned(), "--no-privileges".to_owned()]);
            }
            if dump.form != Form::Tar {
                args.push(format!("--jobs={jobs}"));
            }
            args.push(path(COPY));
            commands.push(Command::postgres("pg_restore", with(&args)));
        }
    }
    commands
}

/// What the end of a program means.
fn judge(exit: &Exit, program: &str) -> Result<Option<Finding>, Unable> {
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
