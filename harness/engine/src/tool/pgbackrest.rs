//! pgBackRest, which keeps backups and WAL in a repository of its own.

use std::path::Path;
use std::time::Duration;

use pgdrill_model::scenario::{Backup, Method};
use pgdrill_model::world::Command;
use pgdrill_repository::Layout;

use crate::session::SUPERUSER;
use crate::settings::PORT;

/// Its name.
pub const NAME: &str = "pgbackrest";

/// What it calls the cluster whose backups it keeps.
pub const STANZA: &str = "drill";

/// The variable that names its spool.
pub const SPOOL: &str = "PGBACKREST_SPOOL_PATH";

/// The drill as a whole is bounded; a backup or a restore may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Where it works.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The repository.
    pub repository: &'a Path,
    /// The data directory of the server that is meant.
    pub data: &'a Path,
    /// Where its locks may lie.
    pub locks: &'a Path,
}

/// What it is told whatever it does: nothing of the machine's own configuration counts, and it logs to nobody but its caller.
fn alone(locks: &Path) -> Vec<String> {
    vec![
        "--no-config".to_owned(),
        format!("--lock-path={}", locks.display()),
        format!("--log-path={}", locks.display()),
        "--log-level-file=off".to_owned(),
        "--log-level-console=off".to_owned(),
        "--log-level-stderr=warn".to_owned(),
        "--no-log-timestamp".to_owned(),
    ]
}

impl Desk<'_> {
    /// What comes before a command and its own options.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = alone(self.locks);
        arguments.extend([
            format!("--stanza={STANZA}"),
            format!("--repo1-path={}", self.repository.display()),
            format!("--pg1-path={}", self.data.display()),
        ]);
        arguments
    }
}

/// The command that makes the stanza, of what the data directory says; one that is there already stays.
pub fn create_stanza(desk: Desk<'_>) -> Command {
    let mut arguments = desk.arguments();
    arguments.extend(["--no-online", "stanza-create"].map(str::to_owned));
    Command::system(NAME, arguments)
}

/// The command that takes a backup of the server whose socket lies in `socket`. `archives` says whether the server's WAL goes into
/// the repository, too: then pgBackRest waits there for what the backup needs.
pub fn backup(desk: Desk<'_>, socket: &Path, how: Backup, archives: bool) -> Command {
    let mut arguments = desk.arguments();
    arguments.extend([
        format!("--pg1-socket-path={}", socket.display()),
        format!("--pg1-port={PORT}"),
        format!("--pg1-user={SUPERUSER}"),
        format!("--type={}", how.kind.name()),
        format!("--compress-type={}", packed(how.compress.method)),
        "--start-fast".to_owned(),
        jobs(),
    ]);
    arguments.extend(how.compress.level.map(|level| format!("--compress-level={level}")));
    arguments.extend(how.bundle.then(|| "--repo1-bundle".to_owned()));
    arguments.extend((!archives).then(|| "--no-archive-check".to_owned()));
    arguments.push("backup".to_owned());
    Command::system(NAME, arguments).within(LIMIT)
}

/// What it is told to restore the backup of `layout` into a data directory and its tablespaces below another; none where another
/// program made that.
pub fn restore_arguments(
    layout: &Layout,
    locks: &Path,
    data: &Path,
    tablespaces: &Path,
) -> Option<Vec<String>> {
    let of_layout = layout.pgbackrest_arguments(&data.to_string_lossy(), &tablespaces.to_string_lossy())?;
    let mut arguments = alone(locks);
    // What recovery is to do, the drill itself says.
    arguments.extend([jobs(), "--type=none".to_owned()]);
    arguments.extend(of_layout);
    Some(arguments)
}

/// The command of these arguments. From 2.55 on a restore empties the spool of its stanza, which is the machine's where nobody names
/// another; older versions know no such option of a restore, so it is in the environment.
pub fn restore(arguments: Vec<String>, locks: &Path) -> Command {
    let mut command = Command::system(NAME, arguments).within(LIMIT);
    command.env.push((SPOOL.to_owned(), locks.display().to_string()));
    command
}

fn jobs() -> String {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    format!("--process-max={jobs}")
}

/// Its name for a method of compression.
fn packed(method: Method) -> &'static str {
    match method {
        Method::None => "none",
        Method::Gzip => "gz",
        Method::Lz4 => "lz4",
        Method::Zstd => "zst",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::scenario::{BackupKind, Compress};

    fn desk() -> Desk<'static> {
        Desk { repository: Path::new("/w/r"), data: Path::new("/w/primary"), locks: Path::new("/w/log") }
    }

    #[test]
    fn a_backup_is_told_what_the_scenario_says_and_nothing_of_the_machine() {
        let how = Backup {
            kind: BackupKind::Diff,
            bundle: true,
            compress: Compress { method: Method::Zstd, level: Some(3), ..Compress::NONE },
            ..Backup::BARE
        };
        let args = backup(desk(), Path::new("/w/s"), how, false).args;
        for wanted in [
            "--no-config",
            "--pg1-socket-path=/w/s",
            "--pg1-path=/w/primary",
            "--type=diff",
            "--compress-type=zst",
            "--compress-level=3",
            "--repo1-bundle",
            "--no-archive-check",
        ] {
            assert!(args.iter().any(|arg| arg == wanted), "{wanted} is not in {args:?}");
        }
        assert_eq!(args.last().unwrap(), "backup");
        let plain = Backup { kind: BackupKind::Full, bundle: false, compress: Compress::NONE, ..how };
        let args = backup(desk(), Path::new("/w/s"), plain, true).args;
        let unwanted = ["--repo1-bundle", "--no-archive-check", "--compress-level"];
        assert!(!args.iter().any(|arg| unwanted.iter().any(|not| arg.starts_with(not))), "{args:?}");
        assert!(args.contains(&"--compress-type=none".to_owned()), "{args:?}");
    }

    #[test]
    fn a_restore_archives_nothing_and_takes_its_tablespaces_along() {
        let layout = Layout::PgBackRest {
            repository: "/w/r".into(),
            stanza: STANZA.to_owned(),
            set: "20261129-224634F".to_owned(),
            passphrase: None,
            tablespaces: vec![pgdrill_repository::Tablespace { oid: 16_400, name: None, path: None }],
            wal: None,
            from: None,
        };
        let args = restore_arguments(
            &layout,
            Path::new("/w/log"),
            Path::new("/w/restored"),
            Path::new("/w/tablespaces/restored"),
        );
        let args = args.unwrap();
        for wanted in [
            "--no-config",
            "--type=none",
            "--archive-mode=off",
            "--set=20261129-224634F",
            "--tablespace-map=16400=/w/tablespaces/restored/16400",
        ] {
            assert!(args.iter().any(|arg| arg == wanted), "{wanted} is not in {args:?}");
        }
        let other = Layout::WalG { storage: "/s".into(), name: "n".to_owned() };
        assert_eq!(restore_arguments(&other, Path::new("/l"), Path::new("/d"), Path::new("/t")), None);
    }
}
