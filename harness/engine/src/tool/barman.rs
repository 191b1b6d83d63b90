//! Barman, which keeps backups and WAL in a home of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pgdrill_model::scenario::{Backup, CheckpointMode};
use pgdrill_model::world::Command;

use crate::session::SUPERUSER;
use crate::settings::PORT;

/// Its name.
pub const NAME: &str = "barman";

/// What it calls the server whose backups it keeps.
pub const SERVER: &str = "drill";

/// The drill as a whole is bounded; a backup or a restore may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Where it works.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Its configuration: it reads no other.
    pub configuration: &'a Path,
    /// Where its log and its locks lie, and what it makes for a moment.
    pub log: &'a Path,
}

/// What its configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Configuration<'a> {
    /// Where it keeps everything.
    pub home: &'a Path,
    /// Where its log and its locks lie.
    pub log: &'a Path,
    /// The account that it runs as: it refuses to run as another.
    pub account: &'a str,
    /// The directory of the server's socket.
    pub socket: &'a Path,
    /// The directory of PostgreSQL's programs.
    pub programs: &'a Path,
}

/// The text of its configuration. `streaming_archiver` is off, since WAL comes by `archive_command`.
pub fn configuration(of: Configuration<'_>) -> String {
    let Configuration { home, log, account, socket, programs } = of;
    let mut text = String::from("[barman]\n");
    let connection = format!("host='{}' port={PORT} user={SUPERUSER}", socket.display());
    for (key, value) in [
        ("barman_user", account.to_owned()),
        ("barman_home", home.display().to_string()),
        ("barman_lock_directory", log.display().to_string()),
        ("log_file", log.join("barman.log").display().to_string()),
        ("log_level", "INFO".to_owned()),
    ] {
        let _ = writeln!(text, "{key} = {value}");
    }
    let _ = writeln!(text, "\n[{SERVER}]\ndescription = the server of this drill");
    for (key, value) in [
        ("conninfo", format!("{connection} dbname=postgres")),
        ("streaming_conninfo", connection),
        ("backup_method", "postgres".to_owned()),
        ("streaming_archiver", "off".to_owned()),
        ("archiver", "on".to_owned()),
        ("path_prefix", programs.display().to_string()),
    ] {
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// A command of these words.
fn command(desk: Desk<'_>, words: impl IntoIterator<Item = String>) -> Command {
    let mut arguments =
        vec!["--config".to_owned(), desk.configuration.display().to_string(), "--quiet".to_owned()];
    arguments.extend(words);
    let mut command = Command::system(NAME, arguments).within(LIMIT);
    command.env.push(("TMPDIR".to_owned(), desk.log.display().to_string()));
    command
}

/// The command that takes the WAL in, that lies in `incoming`.
pub fn archive_wal(desk: Desk<'_>) -> Command {
    command(desk, ["archive-wal", SERVER].map(str::to_owned))
}

/// The command that takes a backup.
pub fn backup(desk: Desk<'_>, how: Backup) -> Command {
    let checkpoint = match how.checkpoint {
        CheckpointMode::Fast => "--immediate-checkpoint",
        CheckpointMode::Spread => "--no-immediate-checkpoint",
    };
    command(desk, ["backup", checkpoint, SERVER].map(str::to_owned))
}

/// The command that has Barman see whether the newest backup has all WAL that it needs, which else its `cron` does.
pub fn check_backup(desk: Desk<'_>) -> Command {
    command(desk, ["check-backup", SERVER, "latest"].map(str::to_owned))
}

/// The command that restores the backup `id` into a data directory, and each tablespace, by its name, where it is to lie.
/// `--get-wal` leaves its WAL where it is: the drill's own archive gives that.
pub fn recover(desk: Desk<'_>, id: &str, data: &Path, tablespaces: &[(String, String)]) -> Command {
    let mut words = vec!["recover".to_owned(), "--get-wal".to_owned()];
    for (name, path) in tablespaces {
        words.extend(["--tablespace".to_owned(), format!("{name}:{path}")]);
    }
    words.extend([SERVER.to_owned(), id.to_owned(), data.display().to_string()]);
    command(desk, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Desk<'static> {
        Desk { configuration: Path::new("/w/conf/barman.conf"), log: Path::new("/w/log") }
    }

    #[test]
    fn it_is_told_all_that_it_needs_and_reads_nothing_of_the_machine() {
        let text = configuration(Configuration {
            home: Path::new("/w/backup/barman"),
            log: Path::new("/w/log"),
            account: "postgres",
            socket: Path::new("/w/s"),
            programs: Path::new("/usr/bin"),
        });
        for wanted in [
            "barman_user = postgres",
            "barman_home = /w/backup/barman",
            "barman_lock_directory = /w/log",
            "conninfo = host='/w/s' port=5432 user=postgres dbname=postgres",
            "backup_method = postgres",
            "streaming_archiver = off",
            "path_prefix = /usr/bin",
        ] {
            assert!(text.lines().any(|line| line == wanted), "{wanted} is not in {text}");
        }
        let spread = Backup { checkpoint: CheckpointMode::Spread, ..Backup::BARE };
        let args = backup(desk(), spread).args;
        assert_eq!(args[..3], ["--config", "/w/conf/barman.conf", "--quiet"]);
        assert!(args.contains(&"--no-immediate-checkpoint".to_owned()), "{args:?}");
    }

    #[test]
    fn a_restore_moves_each_tablespace_and_takes_no_wal() {
        let moved = [("history".to_owned(), "/w/t/16400".to_owned())];
        let args = recover(desk(), "20261130T100257", Path::new("/w/restored"), &moved).args;
        assert_eq!(
            args[3..],
            [
                "recover",
                "--get-wal",
                "--tablespace",
                "history:/w/t/16400",
                "drill",
                "20261130T100257",
                "/w/restored"
            ]
        );
    }
}
