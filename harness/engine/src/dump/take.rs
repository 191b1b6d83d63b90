//! Takes a dump: each database by `pg_dump`, and what they share by `pg_dumpall`, where the server runs, as its operator would.
//!
//! Every database is dumped that is no template and lets anybody in; `postgres`, too, empty or not, for what is set and granted there.
//! Each is one snapshot of its own, so what a dump holds is known only of a server that was quiet from the first to the last.

use std::path::Path;

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BackupEvidence, Evidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::{Backup, BackupFormat, Method};
use pgdrill_model::world::{Command, Exit};

use super::Dumped;
use crate::check::differences;
use crate::connections::Connections;
use crate::content::{Measure, measure};
use crate::drill::{Drill, disk_full, on_a_thread};
use crate::growth::{self, Growth};
use crate::session::{Session, describe};
use crate::tool::pg_dump::{self, Part};

const DATABASES: &str = "SELECT datname::text, oid::text FROM pg_database \
                         WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2 ORDER BY datname";

const SNAPSHOT: &str = "SELECT pg_current_snapshot()::text";

/// Takes a dump of all databases of a server.
///
/// # Errors
///
/// `DISK_FULL`, `BACKUP_FAILED`, `SERVER_LOST`, `BASELINE_UNSTABLE`.
pub async fn take(drill: &mut Drill<'_>, name: &str, how: Backup, on: Name) -> Result<Vec<Finding>, Unable> {
    let base = drill.baselines.len().checked_sub(1);
    let base = base.ok_or_else(|| Unable::bug("a dump of a server that nobody measured"))?;
    let directory = Path::new("backup").join(name);
    drill.workspace.make_dir(&directory)?;
    let directory = drill.workspace.path(directory);
    let socket = drill.workspace.socket(on);
    let session = drill.session(on, None).await?;
    let parts: Vec<(Part, String)> = databases(&session)
        .await?
        .into_iter()
        .map(|(database, oid)| {
            let path = directory.join(file_name(&database, &oid, how));
            (Part { form: pg_dump::form(how.format), path, makes: Some(database.clone()) }, database)
        })
        .collect();
    let globals = directory.join("globals.sql");
    let began = drill.clock.elapsed();
    let mut commands = vec![pg_dump::globals(&socket, &globals)];
    commands.extend(
        parts
            .iter()
            .map(|(part, database)| pg_dump::dump(&socket, database, &part.path, how, drill.postgres)),
    );
    for command in commands {
        one(drill, on, &directory, &command).await?;
    }
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    let ended_unix_us = drill.clock.unix_micros();
    still(drill, &session, base, on).await?;
    drop(session);
    let watched = directory.clone();
    let bytes = on_a_thread(move || inspect::size(&watched)).await?;
    let evidence = BackupEvidence { ended_unix_us, took_us, bytes, ..of(name, how, on) };
    drill.backups.insert(name.to_owned(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    let parts = parts.into_iter().map(|(part, _)| part).collect();
    drill.dumps.insert(name.to_owned(), Dumped { base, globals, parts });
    Ok(Vec::new())
}

/// The databases, each with its object number.
async fn databases(session: &Session) -> Result<Vec<(String, String)>, Unable> {
    let rows = session.query(DATABASES, &[]).await.map_err(|error| lost(&error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The name of the dump of a database; any character may be in that of the database.
fn file_name(database: &str, oid: &str, how: Backup) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let stem = if database.len() <= 64 && database.bytes().all(plain) { database } else { oid };
    let ending = match how.format {
        BackupFormat::Custom => ".dump",
        BackupFormat::Directory => "",
        BackupFormat::Tar => ".tar",
        BackupFormat::Plain if how.compress.method == Method::None => ".sql",
        BackupFormat::Plain => match how.compress.method {
            Method::Lz4 => ".sql.lz4",
            Method::Zstd => ".sql.zst",
            _ => ".sql.gz",
        },
    };
    // So that none is the name of another file of the dump.
    format!("database-{stem}{ending}")
}

/// Runs one of the programs, and tells how much is stored meanwhile.
async fn one(drill: &mut Drill<'_>, on: Name, directory: &Path, command: &Command) -> Result<(), Unable> {
    let program = command.program.name();
    let growth = Growth { what: program, directories: vec![directory.to_owned()], total: None };
    let exit = growth::told(drill.recorder, growth, drill.server(on)?.place().run(command)).await?;
    if exit.success() {
        return Ok(());
    }
    if let Some(finding) = damaged_page(&exit, on) {
        drill.recorder.found(finding);
    }
    Err(not_taken(&exit, program))
}

/// The damaged page of the source, at which `pg_dump` ends: it leaves no dump.
fn damaged_page(exit: &Exit, on: Name) -> Option<Finding> {
    let (_, words) = exit.stderr.lines().find_map(|line| line.split_once("invalid page in block"))?;
    let message = format!("the {} has a damaged page: invalid page in block{words}", on.name());
    Some(Finding::new(Code::PageChecksumFailed, Stage::Backup, message))
}

/// Why there is no dump.
fn not_taken(exit: &Exit, program: &str) -> Unable {
    let words = exit.stderr.lines().find(|line| line.contains("error:")).unwrap_or(exit.last_words()).trim();
    let code = match exit {
        exit if disk_full(&exit.stderr) => Code::DiskFull,
        exit if exit.killed() => Code::ProgramKilled,
        _ => Code::BackupFailed,
    };
    let unable = Unable::new(code, format!("{program} ended with {}: {words}", exit.describe()));
    if words.contains("not supported by this build") {
        return unable
            .hint("this PostgreSQL was built without it: write `compress: gzip`, or install another build");
    }
    unable
}

/// Refuses a dump of a server whose content changed since it was measured: nobody knows which of it the dump holds. That
/// something was written does not matter by itself: autovacuum writes, too.
async fn still(drill: &Drill<'_>, session: &Session, base: usize, on: Name) -> Result<(), Unable> {
    let row = session.query_one(SNAPSHOT, &[]).await.map_err(|error| lost(&error))?;
    let base = drill.baselines.get(base).ok_or_else(|| Unable::bug("a dump without a baseline"))?;
    if row.get::<_, String>(0) == base.snapshot {
        return Ok(());
    }
    let socket = drill.workspace.socket(on);
    let (rows, connections) = (Measure::default(), Connections::default());
    let now = measure(&socket, &rows, &connections, drill.recorder).await.map_err(|error| lost(&error))?;
    match differences(&base.content, &now).first() {
        None => Ok(()),
        Some(first) => {
            let message = format!("something wrote while the dump was taken: {}", first.message);
            Err(Unable::new(Code::BaselineUnstable, message))
        }
    }
}

fn lost(error: &tokio_postgres::Error) -> Unable {
    Unable::new(Code::ServerLost, format!("the server could not be asked: {}", describe(error)))
}

fn of(name: &str, how: Backup, on: Name) -> BackupEvidence {
    BackupEvidence {
        name: name.to_owned(),
        tool: how.tool.name().to_owned(),
        format: how.format.name().to_owned(),
        compress: how.compress.method.name().to_owned(),
        compress_detail: how.compress.detail(),
        // None goes with it, and none leads on from it.
        from: on.name().to_owned(),
        ..BackupEvidence::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::scenario::Compress;

    #[test]
    fn a_file_is_named_after_its_database_where_that_is_a_name_for_files() {
        let how = |format, compress| Backup { format, compress, ..Backup::BARE };
        let custom = how(BackupFormat::Custom, Compress::GZIP);
        assert_eq!(file_name("trading", "16384", custom), "database-trading.dump");
        assert_eq!(file_name("../../x", "16385", custom), "database-16385.dump");
        assert_eq!(file_name("", "1", how(BackupFormat::Directory, Compress::GZIP)), "database-");
        assert_eq!(file_name("a", "1", how(BackupFormat::Plain, Compress::GZIP)), "database-a.sql.gz");
        assert_eq!(file_name("a", "1", how(BackupFormat::Plain, Compress::NONE)), "database-a.sql");
    }

    #[test]
    fn a_damaged_page_is_known_by_the_words_of_the_server() {
        let stderr = "pg_dump: error: Dumping the contents of table \"Order\" failed: PQgetResult() failed.\n\
                      pg_dump: detail: Error message from server: ERROR:  invalid page in block 3 of relation base/16384/16402\n";
        let exit = Exit { code: Some(1), stderr: stderr.to_owned(), ..Exit::default() };
        let finding = damaged_page(&exit, Name::Primary).unwrap();
        assert_eq!(
            finding.message,
            "the primary has a damaged page: invalid page in block 3 of relation base/16384/16402"
        );
        assert!(not_taken(&exit, "pg_dump").message.contains("Dumping the contents of table"), "{finding:?}");
        let full =
            Exit { stderr: "pg_dump: error: could not write: No space left on device\n".to_owned(), ..exit };
        assert_eq!(
            (damaged_page(&full, Name::Primary), not_taken(&full, "pg_dump").code),
            (None, Code::DiskFull)
        );
    }
}
