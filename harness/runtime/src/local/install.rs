//! Finding PostgreSQL on this host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::world::Owner;

use super::{LocalSettings, executable};

/// The programs without which no drill can run.
pub const NEEDED: [&str; 5] = ["postgres", "initdb", "pg_basebackup", "pg_waldump", "pg_controldata"];

/// `postgres --version` takes milliseconds; on a disk that no longer answers it takes for ever.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Where distributions put the programs of one major, as a parent directory, the beginning of the next name,
/// and the rest: Debian and Ubuntu, the PostgreSQL project's RPMs, source builds, Homebrew, MacPorts,
/// Postgres.app, SUSE, Alpine.
const VERSIONED: [(&str, &str, &str); 9] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/local", "pgsql", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/opt/local/lib", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
];

/// One installation of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its major version.
    pub major: Major,
    /// What `postgres --version` prints.
    pub version: String,
    /// The directory of its programs.
    pub bin_dir: PathBuf,
    /// What it lacks of [`NEEDED`]; usable only when this is empty.
    pub missing: Vec<&'static str>,
}

/// What there is of PostgreSQL on this host.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Every installation in the order in which they were found; of one major the first complete one is used.
    pub installations: Vec<Installation>,
    /// The directories that the user named and that cannot be used. Nothing runs before that is put right,
    /// because a drill on another PostgreSQL than the one that was asked for proves something else.
    pub refused: Vec<Unable>,
    /// The account that processes run as, where that is not the caller's own.
    pub account: Result<Option<Owner>, Unable>,
}

impl Survey {
    /// The majors that can be used, ascending.
    pub fn majors(&self) -> Result<Vec<Major>, Unable> {
        if let Some(refused) = self.refused.first() {
            return Err(refused.clone());
        }
        let complete = self.installations.iter().filter(|found| found.missing.is_empty());
        Ok(complete.map(|found| found.major).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The installation that is used for a major.
    pub(super) fn of(&self, major: Major) -> Result<&Installation, Unable> {
        let majors = self.majors()?;
        let mut same = self.installations.iter().filter(|found| found.major == major);
        if let Some(usable) = same.clone().find(|found| found.missing.is_empty()) {
            return Ok(usable);
        }
        let message = if let Some(found) = same.next() {
            format!("{} in {} lacks {}", found.version, found.bin_dir.display(), found.missing.join(", "))
        } else if majors.is_empty() {
            format!("there is no PostgreSQL {major} on this host, nor any other major")
        } else {
            let there: Vec<_> = majors.iter().map(ToString::to_string).collect();
            format!("there is no PostgreSQL {major} on this host; there is {}", there.join(", "))
        };
        Err(Unable::new(Code::PostgresMissing, message))
    }
}

/// Looks in the directories that the user named, then along `PATH`, then where distributions put PostgreSQL.
pub(super) async fn survey(settings: &LocalSettings, account: Result<Option<Owner>, Unable>) -> Survey {
    let mut survey = Survey { installations: Vec::new(), refused: Vec::new(), account };
    let mut known = BTreeSet::new();
    for dir in &settings.bin_dirs {
        match examine(dir).await {
            Ok(found) if found.missing.is_empty() => {
                if known.insert(real(dir)) {
                    survey.installations.push(found);
                }
            }
            Ok(found) => survey.refused.push(refusal(dir, &format!("lacks {}", found.missing.join(", ")))),
            Err(why) => survey.refused.push(refusal(dir, &why)),
        }
    }
    for dir in along_path(settings).into_iter().chain(versioned(Path::new("/"))) {
        if known.insert(real(&dir)) {
            // Nobody asked for this directory, so that it is worth a word only if there is a PostgreSQL in
            // it.
            match examine(&dir).await {
                Ok(found) => survey.installations.push(found),
                Err(why) => tracing::debug!(dir = %dir.display(), why, "no PostgreSQL"),
            }
        }
    }
    survey
}

fn refusal(dir: &Path, why: &str) -> Unable {
    Unable::new(Code::PostgresMissing, format!("{}, named in PGDRILL_PG_BIN, {why}", dir.display()))
        .hint("Name the directory that holds `postgres` and `initdb`, such as /usr/lib/postgresql/17/bin.")
}

fn real(dir: &Path) -> PathBuf {
    dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
}

/// The directories in which the `postgres` and `pg_ctl` of `PATH` really are.
fn along_path(settings: &LocalSettings) -> Vec<PathBuf> {
    let path = settings.search_path();
    let files = std::env::split_paths(&path).flat_map(|dir| [dir.join("postgres"), dir.join("pg_ctl")]);
    let real = files.filter_map(|file| file.canonicalize().ok());
    real.filter_map(|file| file.parent().map(Path::to_owned)).collect()
}

/// The distributions' directories below `root`, the newest major first.
fn versioned(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, begins, rest) in VERSIONED {
        let Ok(entries) = fs::read_dir(root.join(parent.trim_start_matches('/'))) else {
            continue;
        };
        let mut dirs: Vec<_> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().into_string().ok().map(|name| (name, entry.path())))
            .filter_map(|(name, path)| Some((name.strip_prefix(begins)?.to_owned(), path.join(rest))))
            .filter(|(_, dir)| executable(&dir.join("postgres")))
            .collect();
        dirs.sort_by_key(|(version, _)| std::cmp::Reverse(leading_number(version)));
        found.extend(dirs.into_iter().map(|(_, dir)| dir));
    }
    found
}

fn leading_number(text: &str) -> Option<u16> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What is in a directory, or why there is no PostgreSQL in it, as the rest of a sentence about the
/// directory.
async fn examine(dir: &Path) -> Result<Installation, String> {
    match fs::metadata(dir) {
        Err(error) => return Err(format!("cannot be read: {error}")),
        Ok(found) if !found.is_dir() => return Err("is not a directory".to_owned()),
        Ok(_) => {}
    }
    let missing: Vec<_> = NEEDED.into_iter().filter(|name| !executable(&dir.join(name))).collect();
    if missing.contains(&"postgres") {
        return Err("has no program `postgres` in it".to_owned());
    }
    let version = version_of(&dir.join("postgres")).await?;
    let major =
        major_of(&version).ok_or_else(|| format!("holds a `postgres` of no known version: '{version}'"))?;
    Ok(Installation { major, version, bin_dir: dir.to_owned(), missing })
}

async fn version_of(postgres: &Path) -> Result<String, String> {
    let run = tokio::process::Command::new(postgres)
        .arg("--version")
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(VERSION_LIMIT, run)
        .await
        .map_err(|_| "holds a `postgres` that does not answer `--version`".to_owned())?
        .map_err(|error| format!("holds a `postgres` that cannot be run: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        return Err(format!("holds a `postgres` that fails at `--version`: {}", last.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The major in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `... 18beta1`.
fn major_of(version: &str) -> Option<Major> {
    leading_number(version.split_once("(PostgreSQL)")?.1).map(Major)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt;

    /// A directory that looks like an installation.
    fn pretend(bin: &Path, says: &str, without: &str) {
        fs::create_dir_all(bin).unwrap();
        for name in NEEDED.into_iter().filter(|name| *name != without) {
            let file = bin.join(name);
            fs::write(&file, format!("#!/bin/sh\n{says}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    async fn look(bin_dirs: &[&Path]) -> Survey {
        let bin_dirs = bin_dirs.iter().map(|dir| dir.to_path_buf()).collect();
        survey(&LocalSettings { bin_dirs, ..LocalSettings::default() }, Ok(None)).await
    }

    #[rstest]
    #[case("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15))]
    #[case("postgres (PostgreSQL) 18beta1", Some(18))]
    #[case("postgres (PostgreSQL) 19devel", Some(19))]
    #[case("postgres (EnterpriseDB) 15", None)]
    fn the_major_is_read_from_the_version(#[case] line: &str, #[case] major: Option<u16>) {
        assert_eq!(major_of(line), major.map(Major));
    }

    #[tokio::test]
    async fn a_named_directory_comes_first_and_the_first_of_a_major_wins() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        pretend(&first, "echo 'postgres (PostgreSQL) 99.1'", "");
        pretend(&second, "echo 'postgres (PostgreSQL) 99.2'", "");
        let survey = look(&[&first, &second, &first]).await;
        assert_eq!(survey.installations.iter().filter(|found| found.major == Major(99)).count(), 2);
        assert_eq!(survey.of(Major(99)).unwrap().bin_dir, first);
        assert_eq!(survey.majors().unwrap().last(), Some(&Major(99)));
    }

    #[rstest]
    #[case("", "pg_waldump", "lacks pg_waldump")]
    #[case("", "postgres", "has no program `postgres` in it")]
    #[case("echo 'missing library' >&2; exit 127", "", "fails at `--version`: missing library")]
    #[case("echo hello", "", "of no known version: 'hello'")]
    #[tokio::test]
    async fn a_named_directory_that_is_wrong_is_refused(
        #[case] says: &str,
        #[case] without: &str,
        #[case] why: &str,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let says = if says.is_empty() { "echo 'postgres (PostgreSQL) 99.1'" } else { says };
        pretend(dir.path(), says, without);
        let refused = look(&[dir.path()]).await.majors().unwrap_err();
        assert_eq!(refused.code, Code::PostgresMissing);
        let begins = format!("{}, named in PGDRILL_PG_BIN, ", dir.path().display());
        assert!(refused.message.starts_with(&begins) && refused.message.contains(why), "{}", refused.message);
    }

    #[tokio::test]
    async fn a_named_directory_that_is_not_there_is_refused_for_every_major() {
        let refused = look(&[Path::new("/no/such/bin")]).await.of(Major(15)).unwrap_err();
        assert!(refused.message.starts_with("/no/such/bin, named in PGDRILL_PG_BIN, cannot be read"));
    }

    #[test]
    fn distributions_put_the_newest_first() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["usr/lib/postgresql/9.6/bin", "usr/lib/postgresql/17/bin", "usr/pgsql-13/bin"] {
            pretend(&root.path().join(dir), "exit 0", "");
        }
        fs::create_dir_all(root.path().join("usr/lib/postgresql/18/bin")).unwrap();
        let found: Vec<_> = versioned(root.path());
        let below: Vec<_> = found.iter().map(|dir| dir.strip_prefix(root.path()).unwrap()).collect();
        let expected = ["usr/lib/postgresql/17/bin", "usr/lib/postgresql/9.6/bin", "usr/pgsql-13/bin"];
        assert_eq!(below, expected.map(Path::new));
    }

    #[test]
    fn a_major_that_is_not_there_says_what_is() {
        let installation = |major, missing: &[&'static str]| Installation {
            major: Major(major),
            version: format!("postgres (PostgreSQL) {major}.1"),
            bin_dir: PathBuf::from(format!("/pg/{major}")),
            missing: missing.to_vec(),
        };
        let mut survey = Survey {
            installations: vec![installation(15, &[]), installation(17, &[]), installation(16, &["initdb"])],
            refused: Vec::new(),
            account: Ok(None),
        };
        let why = |survey: &Survey, major| survey.of(Major(major)).unwrap_err().message;
        assert_eq!(why(&survey, 14), "there is no PostgreSQL 14 on this host; there is 15, 17");
        assert_eq!(why(&survey, 16), "postgres (PostgreSQL) 16.1 in /pg/16 lacks initdb");
        survey.installations.clear();
        assert_eq!(why(&survey, 14), "there is no PostgreSQL 14 on this host, nor any other major");
    }
}
