//! A dump that was there already: its files are copied into the drill first, unpacked if need be, since the programs that load it
//! run in the server's place, which sees nothing else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use pgdrill_backup::parts::Packed;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Recovery, Server as Name};
use pgdrill_model::scenario::{Cluster, Point};
use pgdrill_repository::Layout;
use pgdrill_repository::dump::Form;

use super::text::Kept;
use crate::drill::{Drill, on_a_thread};
use crate::dump::{self, Load, files};
use crate::recovery::phases::Clocked;
use crate::session::{Door, SUPERUSER, describe};
use crate::tablespaces;
use crate::tool::pg_dump::Part;
use crate::tree;

/// Where the dump is copied to, within the workspace.
const COPY: &str = "backup/dump";

/// The same of what the databases of a cluster share.
const GLOBALS: &str = "backup/globals.sql";

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
    let from = drill.given.iter().map(super::Taken::member).collect();
    dump::open(drill, name, &[], from).await?;
    let named = match copy(drill, &dump).await? {
        Ok(named) => named,
        Err(finding) => return Ok(vec![*finding]),
    };
    clocked.fetched(drill.clock.elapsed());
    dump::begin(drill, name, &Cluster::default()).await?;
    make_tablespaces(drill, name, &named).await?;
    clocked.started(drill.clock.elapsed());
    let workspace = drill.workspace;
    // One that every cluster has is not made again.
    let makes = dump.database.filter(|name| !matches!(*name, "postgres" | "template1" | "template0"));
    let part = Part { form: dump.form, path: workspace.path(COPY), makes: makes.map(str::to_owned) };
    let globals = dump.globals.map(|_| workspace.path(GLOBALS));
    let findings = dump::run(drill, name, &Load { globals, parts: vec![part], own: false }).await?;
    if !findings.is_empty() {
        return Ok(findings);
    }
    let mut findings = dump::close(drill, name, evidence, clocked).await?;
    findings.extend(super::oracle::witness(drill, name, None, evidence).await?);
    Ok(findings)
}

/// Copies the dump and what goes with it into the drill; the tablespaces that its SQL names, or a finding when it cannot be unpacked.
async fn copy(drill: &Drill<'_>, dump: &Dump<'_>) -> Result<Result<BTreeSet<String>, Box<Finding>>, Unable> {
    let owner = drill.workspace.owner().map(|owner| (owner.uid, owner.gid));
    let (from, to) = (dump.path.to_owned(), drill.workspace.path(COPY));
    let (form, packed) = (dump.form, dump.packed);
    let copied = on_a_thread(move || -> io::Result<Kept> {
        let kept = match form {
            Form::Directory => copy_directory(&from, &to).map(|()| Kept::Whole(BTreeSet::new())),
            Form::Custom | Form::Tar => io::copy(&mut files::opened(&from, packed)?, &mut File::create(&to)?)
                .map(|_| Kept::Whole(BTreeSet::new())),
            Form::Sql | Form::ClusterSql { .. } => return files::copy(&from, packed, &to, owner),
        }?;
        owner.map_or(Ok(()), |owner| tree::give(&to, owner))?;
        Ok(kept)
    });
    let mut named = match files::judge(copied.await?, dump.path, false)? {
        Ok(named) => named,
        Err(finding) => return Ok(Err(finding)),
    };
    let Some(globals) = dump.globals.map(Path::to_owned) else { return Ok(Ok(named)) };
    let (from, to) = (globals.clone(), drill.workspace.path(GLOBALS));
    let copied = on_a_thread(move || files::copy(&from, Packed::No, &to, owner));
    Ok(files::judge(copied.await?, &globals, false)?.map(|of_globals| {
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
