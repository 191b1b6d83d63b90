//! `pg_dump` and `pg_dumpall`, which take dumps; `pg_restore` and `psql`, which load them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::scenario::{Backup, BackupFormat, Compress, Method};
use pgdrill_model::units::Major;
use pgdrill_model::world::Command;
use pgdrill_repository::dump::Form;

use crate::session::SUPERUSER;
use crate::settings::PORT;

/// The drill as a whole is bounded.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// From 16 on `--compress` says the method (`src/bin/pg_dump/pg_dump.c`); before, there was gzip, by its level.
const METHODS: Major = Major(16);

/// The level of gzip where none is said, as zlib has it: SQL is compressed only where a level is named.
const GZIP_LEVEL: i32 = 6;

/// The database that every cluster has, and that a dump makes anew all the same, for what is set, granted and said of it
/// (`dumpDatabases`, `src/bin/pg_dump/pg_dumpall.c`).
pub const EVERYWHERE: &str = "postgres";

/// From where it is made anew.
const BESIDE: &str = "template1";

/// A dump of one database, or of several in SQL, as it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// In which format it is.
    pub form: Form,
    /// Where it lies.
    pub path: PathBuf,
    /// The database, where it is made anew; none where the dump goes into the one that every cluster has.
    pub makes: Option<String>,
}

/// How a server is reached through its socket in `socket`.
fn connection(socket: &Path) -> Vec<String> {
    vec![
        format!("--host={}", socket.display()),
        format!("--port={PORT}"),
        format!("--username={SUPERUSER}"),
        "--no-password".to_owned(),
    ]
}

/// A database as an option: a bare name with `=` in it would be read as a connection string.
fn database(name: &str) -> String {
    format!("--dbname=dbname='{}'", name.replace('\\', r"\\").replace('\'', r"\'"))
}

/// The form of a dump in a format.
pub fn form(format: BackupFormat) -> Form {
    match format {
        BackupFormat::Custom => Form::Custom,
        BackupFormat::Directory => Form::Directory,
        BackupFormat::Tar => Form::Tar,
        BackupFormat::Plain => Form::Sql,
    }
}

/// The command that dumps the database `name` into `target`.
pub fn dump(socket: &Path, name: &str, target: &Path, how: Backup, major: Major) -> Command {
    let mut arguments = connection(socket);
    arguments.extend([
        format!("--format={}", how.format.name()),
        format!("--file={}", target.display()),
        format!("--compress={}", compress(how.compress, major)),
    ]);
    if how.format == BackupFormat::Plain {
        // An archive is asked for this when it is loaded.
        arguments.push("--create".to_owned());
        arguments.extend(anew(name));
    }
    arguments.extend(how.jobs.map(|jobs| format!("--jobs={jobs}")));
    arguments.push(database(name));
    Command::postgres("pg_dump", arguments).within(LIMIT)
}

/// The command that dumps what the databases share.
pub fn globals(socket: &Path, target: &Path) -> Command {
    let mut arguments = connection(socket);
    arguments.extend(["--globals-only".to_owned(), format!("--file={}", target.display())]);
    Command::postgres("pg_dumpall", arguments).within(LIMIT)
}

/// What takes away a database that is there, so that it can be made as it was.
fn anew(name: &str) -> Vec<String> {
    if name == EVERYWHERE { ["--clean", "--if-exists"].map(str::to_owned).into() } else { Vec::new() }
}

fn compress(compress: Compress, major: Major) -> String {
    if major < METHODS {
        let level = compress.level.unwrap_or(GZIP_LEVEL);
        return if compress.method == Method::None { "0".to_owned() } else { level.to_string() };
    }
    match compress.detail() {
        detail if detail.is_empty() => compress.method.name().to_owned(),
        detail => format!("{}:{detail}", compress.method.name()),
    }
}

/// The command that runs the SQL of `file` in a database, and stops at the first error.
pub fn psql(socket: &Path, file: &Path, into: &str) -> Command {
    let mut arguments = connection(socket);
    arguments.extend(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"].map(str::to_owned));
    arguments.extend([database(into), format!("--file={}", file.display())]);
    Command::postgres("psql", arguments).within(LIMIT)
}

/// The command that loads a dump. `with_roles` says whether the roles of its cluster are there.
pub fn load(socket: &Path, part: &Part, with_roles: bool) -> Command {
    let makes = part.makes.as_deref();
    let from = if makes == Some(EVERYWHERE) { BESIDE } else { EVERYWHERE };
    match part.form {
        Form::Sql | Form::ClusterSql { .. } => psql(socket, &part.path, from),
        Form::Custom | Form::Directory | Form::Tar => {
            let mut arguments = connection(socket);
            // The tablespaces of its cluster are not in it, and where data lies is no part of what a dump holds.
            arguments.extend(["--exit-on-error", "--no-tablespaces"].map(str::to_owned));
            arguments.push(database(from));
            if let Some(name) = makes {
                arguments.push("--create".to_owned());
                arguments.extend(anew(name));
            }
            // Who owns what is nothing without the roles.
            if !with_roles {
                arguments.extend(["--no-owner", "--no-privileges"].map(str::to_owned));
            }
            if part.form != Form::Tar {
                let jobs = std::thread::available_parallelism().map_or(1, usize::from);
                arguments.push(format!("--jobs={jobs}"));
            }
            arguments.push(part.path.display().to_string());
            Command::postgres("pg_restore", arguments).within(LIMIT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(format: BackupFormat, compress: Compress, jobs: Option<u32>) -> Backup {
        Backup { format, compress, jobs, ..Backup::BARE }
    }

    fn dumped(name: &str, how: Backup, major: u16) -> Vec<String> {
        dump(Path::new("/w/s"), name, Path::new("/w/d"), how, Major(major)).args
    }

    #[test]
    fn compression_is_said_as_the_major_wants_it() {
        let said = |compress: Compress, major| {
            let args = dumped("a", how(BackupFormat::Custom, compress, None), major);
            args.into_iter().find_map(|arg| arg.strip_prefix("--compress=").map(str::to_owned)).unwrap()
        };
        let zstd = Compress { method: Method::Zstd, level: Some(3), long: true, ..Compress::NONE };
        let gzip = Compress { level: Some(9), ..Compress::GZIP };
        assert_eq!([said(Compress::NONE, 15), said(Compress::GZIP, 15), said(gzip, 15)], ["0", "6", "9"]);
        assert_eq!(
            [said(Compress::NONE, 16), said(gzip, 16), said(zstd, 17)],
            ["none", "gzip:level=9", "zstd:level=3,long"]
        );
    }

    #[test]
    fn the_database_that_is_everywhere_is_made_anew_from_another() {
        let sql = dumped("postgres", how(BackupFormat::Plain, Compress::NONE, None), 15);
        assert!(
            ["--create", "--clean", "--if-exists"].iter().all(|flag| sql.contains(&(*flag).to_owned())),
            "{sql:?}"
        );
        let part = |form, name: &str| Part { form, path: "/w/d".into(), makes: Some(name.to_owned()) };
        let args = load(Path::new("/w/s"), &part(Form::Custom, "postgres"), true).args;
        assert!(args.contains(&"--dbname=dbname='template1'".to_owned()), "{args:?}");
        assert!(args.contains(&"--clean".to_owned()) && args.contains(&"--create".to_owned()), "{args:?}");
        let args = load(Path::new("/w/s"), &part(Form::Tar, "trading"), false).args;
        assert!(args.contains(&"--dbname=dbname='postgres'".to_owned()), "{args:?}");
        assert!(
            args.contains(&"--no-owner".to_owned()) && !args.iter().any(|arg| arg.starts_with("--jobs")),
            "{args:?}"
        );
    }

    #[test]
    fn a_name_is_no_connection_string() {
        let args = dumped(r"host=evil 'x\", how(BackupFormat::Directory, Compress::GZIP, Some(2)), 17);
        assert_eq!(args.last().unwrap(), r"--dbname=dbname='host=evil \'x\\'");
        assert!(args.contains(&"--jobs=2".to_owned()), "{args:?}");
    }
}
