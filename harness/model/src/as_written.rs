//! The restore runbook as it was written: the steps of it that lose what they are meant to save, each beside its corrected
//! commands. One table that feeds the scenario language, the plan, `explain`, the reports, and the corrected runbook.
//!
//! The commands are text, as an operator would type them. A drill runs exactly these, with other paths.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::evidence::FoundEvidence;

mod commands;
mod harm;

pub use commands::PREPARED;

/// A block of commands, which is one script: what fails in it may end it.
pub type Block = &'static [&'static str];

/// The line at which a drill starts the server on whatever is in the data directory then.
pub const START: &str = "sudo systemctl start postgresql";

/// Where a step of the runbook stands in a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// After a server was killed: its files are there, and are what the commands work on.
    Lost,
    /// Where a server is up: the commands fill an empty data directory from it.
    Live,
}

/// What a step must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The newest backup as `/backup/postgresql-DATE.tar.gz`, of today.
    TodaysFile,
    /// The same, of yesterday.
    YesterdaysFile,
    /// A mark below that backup: its time is where recovery must stop.
    Mark,
    /// A disk on which there is no room for a second copy.
    SmallDisk,
}

/// Who types the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The server's own account, where the server runs.
    Server,
    /// Whoever runs pgdrill, on this host: where it matters that `sudo` is root, or that a program is no part of a server.
    Operator,
}

/// By which clock a time without a zone was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// The server's own, which is UTC in a drill.
    Server,
    /// That of an operator three hours to the east.
    Operator,
}

/// What must be there when the commands are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A server that takes a write, and holds what was captured last.
    Newest,
    /// The same, and every command that asks it ends well.
    NewestAndAnswers,
    /// A server that takes a write, and holds what was captured before the mark.
    Marked,
    /// The same as the first of these, on the safety copy.
    OnTheCopy,
    /// Commands that tell a service that fails from one that does not.
    Telling,
}

/// What is typed: the blocks around a step, the step itself, and what is asked when the server was started.
#[derive(Clone, Copy, Debug)]
pub struct Commands {
    /// Blocks of the runbook that stand above.
    pub before: &'static [Block],
    /// The step.
    pub step: Block,
    /// Blocks that stand below it.
    pub after: &'static [Block],
    /// What is asked when the server was started.
    pub ask: Block,
    /// By which clock a target without a zone is read.
    pub wall: Wall,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The step.
    pub row: AsWritten,
    /// Its name in the scenario language.
    pub name: &'static str,
    /// Where it stands in the runbook as it was written.
    pub section: &'static str,
    /// What it is meant to do.
    pub meant: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Where it stands in a drill.
    pub stands: Stands,
    /// What it must find.
    pub needs: &'static [Need],
    /// Who types it.
    pub by: By,
    /// Whether every `date` gives the same second, as where somebody takes care of that.
    pub one_second: bool,
    /// What must be there then.
    pub wanted: Wanted,
    /// The commands as written.
    pub written: Commands,
    /// The corrected ones.
    pub corrected: Commands,
}

macro_rules! rows {
    ($($row:ident $name:literal $doc:literal $entry:ident;)+) => {
        /// A step of the runbook as it was written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum AsWritten {
            $(#[doc = $doc] #[serde(rename = $name)] $row,)+
        }

        /// Every row, in the order of the runbook.
        pub const ROWS: &[Entry] = &[
            $(Entry { row: AsWritten::$row, name: $name, does: $doc, ..commands::$entry },)+
        ];
    };
}

rows! {
    BackupOfTheStopped "backup-of-the-stopped"
        "The data directory is emptied first; then pg_basebackup asks the very server that was just stopped, which nobody answers for. There is no cluster any more."
        BACKUP_OF_THE_STOPPED;
    NoRoomForTheCopy "no-room-for-the-copy"
        "Nothing looks whether the safety copy has room, nor whether it was made: cp stops at the full disk, and the next line erases what it was to save."
        NO_ROOM_FOR_THE_COPY;
    CopyOfAnotherOwner "copy-of-another-owner"
        "cp -r as root makes files of root with times of today: no server of the account postgres starts on that copy."
        COPY_OF_ANOTHER_OWNER;
    TarWhereAClusterShouldBe "tar-where-a-cluster-should-be"
        "Where a server does answer, -Ft leaves base.tar.gz and pg_wal.tar.gz in the data directory, and no cluster: nothing unpacks them."
        TAR_WHERE_A_CLUSTER_SHOULD_BE;
    PausesAtTheTarget "pauses-at-the-target"
        "Without recovery_target_action the server pauses at its target: it is up and answers every question of the verification, but is in recovery, and refuses each write."
        PAUSES_AT_THE_TARGET;
    TargetWithoutZone "target-without-zone"
        "A target without a zone is read by the server's clock. Three hours east of it, it lies beyond the archive, and the server ends instead of recovering."
        TARGET_WITHOUT_ZONE;
    ArchiveTooHigh "archive-one-directory-too-high"
        "The archive of a pg_basebackup has no leading directory: unpacked into /var/lib/postgresql its files lie beside the data directory, which stays empty."
        ARCHIVE_TOO_HIGH;
    BackupOfToday "backup-of-today"
        "The erase comes first, and then a file of today's date is looked for. Where the newest backup is yesterday's, both are gone: the cluster, and the way to the backup."
        BACKUP_OF_TODAY;
    CountsInAnotherDatabase "counts-in-another-database"
        "psql without -d asks the database postgres, where the application has no table: the verification fails on a server on which nothing is wrong."
        COUNTS_IN_ANOTHER_DATABASE;
    ChecksThatCannotFail "checks-that-cannot-fail"
        "curl without -f ends with 0 whatever the service answers, and behind a pipe only grep's exit code counts, which finds its word in the error page."
        CHECKS_THAT_CANNOT_FAIL;
    CopyOfAnotherSecond "copy-of-another-second"
        "The rollback asks date again, and gets another second: the path that it computes was never made. The data directory is empty by then."
        COPY_OF_ANOTHER_SECOND;
    CopyIntoTheDirectory "copy-into-the-directory"
        "rm -rf data/* leaves the directory, so cp -r puts the copy into it and not in its place: the cluster lies in data/data.backup.DATE."
        COPY_INTO_THE_DIRECTORY;
}

impl AsWritten {
    /// The row of this step.
    pub fn entry(self) -> &'static Entry {
        // The macro writes the enum and the table in the same order.
        &ROWS[self as usize]
    }

    /// Its name in the scenario language and in records.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Its commands, as written or corrected.
    pub fn commands(self, corrected: bool) -> &'static Commands {
        let entry = self.entry();
        if corrected { &entry.corrected } else { &entry.written }
    }

    /// What is missing in what was found, where the commands did harm; none where everything is there that must be.
    pub fn harm(self, found: &FoundEvidence) -> Option<String> {
        harm::of(self.entry().wanted, found)
    }
}

impl fmt::Display for AsWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AsWritten {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ROWS.iter()
            .find(|entry| entry.name == text)
            .map(|entry| entry.row)
            .ok_or_else(|| format!("the runbook has no step '{text}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_finds_itself_and_says_what_it_does() {
        for (index, entry) in ROWS.iter().enumerate() {
            assert_eq!(entry.row as usize, index);
            assert_eq!(entry.name.parse::<AsWritten>().unwrap(), entry.row);
            assert_eq!(serde_json::to_string(&entry.row).unwrap(), format!("\"{}\"", entry.name));
            for sentence in [entry.meant, entry.does] {
                assert!(sentence.ends_with('.'), "{}: {sentence}", entry.name);
            }
        }
        assert!("nonsense".parse::<AsWritten>().is_err());
    }

    #[test]
    fn corrected_blocks_end_at_what_fails_and_written_ones_go_on() {
        for entry in ROWS {
            let (written, corrected) = (&entry.written, &entry.corrected);
            assert!(!written.step.is_empty() && !corrected.step.is_empty(), "{}", entry.name);
            assert!(!written.step.contains(&commands::STOP), "{}", entry.name);
            let around = corrected.before.iter().chain([&corrected.step]).chain(corrected.after);
            for block in around.filter(|block| **block != commands::CHECKS) {
                assert_eq!(block[0], commands::STOP, "{}", entry.name);
                assert!(PREPARED.iter().any(|(_, prepared)| prepared == block), "{}: {block:?}", entry.name);
            }
        }
    }

    #[test]
    fn the_start_is_the_last_line_of_its_block() {
        for entry in ROWS {
            for commands in [&entry.written, &entry.corrected] {
                let blocks =
                    commands.before.iter().chain([&commands.step, &commands.ask]).chain(commands.after);
                for block in blocks {
                    let at = block.iter().position(|line| *line == START);
                    assert!(at.is_none_or(|at| at + 1 == block.len()), "{}: {block:?}", entry.name);
                }
            }
        }
    }
}
