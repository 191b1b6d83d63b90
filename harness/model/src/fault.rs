//! The faults: deliberate damages, and changes that must not alarm anybody. One table that feeds the scenario language,
//! the plan, `explain`, the detection matrix and the mutants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::finding::Stage;

/// What a fault is done to, which also says where its step may stand.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// The server that is there, before it is lost.
    Server,
    /// The backup that is taken next, while it is taken.
    Taking,
    /// The newest backup as it is stored, between the disaster and the recovery.
    Backup,
    /// The WAL archive, between the disaster and the recovery.
    Archive,
    /// The next recovery: how it is set up, and the server that it starts.
    Restore,
    /// The recovered server, before it is checked.
    Recovered,
}

impl Site {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Taking => "taking",
            Self::Backup => "backup",
            Self::Archive => "archive",
            Self::Restore => "restore",
            Self::Recovered => "recovered",
        }
    }
}

/// What the restored server looks like to whoever only asks whether it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Looks {
    /// It started, answers, and is promoted: every light is green.
    Well,
    /// It does not come so far, and says why.
    Ill,
    /// There is none: the drill ends before one is started.
    Absent,
}

/// What a scenario must have for a fault to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A backup above that is whole in itself.
    Full,
    /// A backup with a manifest, without which nobody notices.
    Manifest,
    /// A backup that a program takes.
    Program,
    /// A backup in tar format.
    Tar,
    /// A plain backup.
    Plain,
    /// A backup whose tars are compressed.
    Compressed,
    /// A backup with WAL of its own.
    OwnWal,
    /// A backup above the newest one.
    OlderBackup,
    /// A tablespace.
    Tablespace,
    /// Page checksums.
    Checksums,
    /// Writers above.
    Work,
    /// An archive of WAL as it was written: no `archive_command` of the scenario's own.
    PlainArchive,
    /// An archive that the server fills by `archive_command`.
    ArchiveCommand,
    /// An archive that `pg_receivewal` fills.
    Receiver,
    /// pgdrill's own `restore_command`.
    OwnFetch,
    /// A recovery or a failover above, so that there is more than one timeline.
    Timeline,
    /// A recovery below that goes to a time.
    TimeTarget,
    /// An objective for the recovery time.
    RecoveryTime,
    /// A collation of the operating system or of ICU, which has a version.
    Collation,
    /// Nothing recovered above, and no failover: the server is the primary.
    Primary,
    /// A recovery to the time of a mark that stands below.
    LaterMark,
    /// A dump.
    Dump,
}

/// One row of the catalogue of faults.
#[derive(Clone, Copy, Debug)]
pub struct FaultEntry {
    /// The fault.
    pub fault: Fault,
    /// Its name in the scenario language.
    pub name: &'static str,
    /// What it is done to. Everything else must be spared.
    pub site: Site,
    /// What the scenario must have for it.
    pub needs: &'static [Need],
    /// What the restored server looks like.
    pub looks: Looks,
    /// By which of these codes it must be noticed at the least; none for a change that must not alarm.
    pub codes: &'static [Code],
    /// At which stage at the latest.
    pub stage: Stage,
    /// What is done, and what happens in life that is like it.
    pub doc: &'static str,
    /// What PostgreSQL does about it.
    pub provokes: &'static str,
}

macro_rules! faults {
    ($($fault:ident $name:literal $site:ident [$($need:ident),*] $looks:ident $stage:ident [$($code:ident),*]
        $doc:literal $provokes:literal;)+) => {
        /// A deliberate damage, or a change that must not alarm anybody.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Fault {
            $(#[doc = $doc] #[serde(rename = $name)] $fault,)+
        }

        /// Every fault, in the order in which reports list them.
        pub const FAULTS: &[FaultEntry] = &[
            $(FaultEntry {
                fault: Fault::$fault,
                name: $name,
                site: Site::$site,
                needs: &[$(Need::$need),*],
                looks: Looks::$looks,
                codes: &[$(Code::$code),*],
                stage: Stage::$stage,
                doc: $doc,
                provokes: $provokes,
            },)+
        ];
    };
}

faults! {
    // The newest backup as it is stored.
    HeapBitFlip "heap-bit-flip" Backup [Full] Well Check [ManifestMismatch, PageChecksumFailed, TableUnreadable]
        "One bit of a page of a table is another."
        "Starts and promotes; an error only for who reads the page.";
    IndexBitFlip "index-bit-flip" Backup [Full] Well Check [ManifestMismatch, PageChecksumFailed, RelationCorrupt]
        "One bit of a page of an index is another."
        "Starts and promotes; an error only for who searches through the page.";
    CommitLogBitFlip "commit-log-bit-flip" Backup [Full, Manifest] Well Check [ManifestMismatch]
        "One bit of pg_xact is another, so that a transaction has another end than it had."
        "Starts and promotes. Nothing is said; rows may be there that were rolled back, or not there that were committed.";
    ControlBitFlip "control-bit-flip" Backup [Full] Absent Recover [RecoveryFailed, UnpackFailed, BackupUnfit]
        "One bit of global/pg_control is another."
        "Does not start: incorrect checksum in control file.";
    FilenodeMapBitFlip "filenode-map-bit-flip" Backup [Full] Ill Recover [RecoveryFailed]
        "One bit of global/pg_filenode.map is another."
        "Does not start, or starts and lets nobody in: the relation mapping file has a wrong checksum.";
    BackupWalBitFlip "backup-wal-bit-flip" Backup [Full, OwnWal] Well Check [ManifestMismatch, WalDamaged]
        "One bit of the WAL that came with the backup is another; the archive has the same segment whole."
        "Starts and promotes: it asks the archive first. Without the archive this backup is lost.";
    HeapPageZeroed "heap-page-zeroed" Backup [Full] Well Check [ManifestMismatch, RowCountMismatch]
        "A page of a table is all zeros, as after a lost write."
        "Starts and promotes: a page of zeros is a valid empty page, also where pages have checksums.";
    FileTruncated "file-truncated" Backup [Full] Well Check [ManifestMismatch, RowCountMismatch]
        "A table's file ends at half of its pages."
        "Starts and promotes; the rows are not there.";
    FileMissing "file-missing" Backup [Full] Well Check [ManifestMismatch, TableUnreadable]
        "A table's file is not there."
        "Starts and promotes; an error only for who opens the table.";
    FileExtra "file-extra" Backup [Full, Manifest] Well Check [ManifestMismatch]
        "A file lies among those of a database that does not belong there, as after a careless copy."
        "Starts and promotes. Nothing is said, until PostgreSQL wants to make a file of that name.";
    FilesSwapped "files-swapped" Backup [Full] Well Check [ManifestMismatch, RelationCorrupt, FingerprintMismatch]
        "The files of two indexes have changed places. Page checksums do not know to which file a page belongs."
        "Starts and promotes.";
    FileUnreadable "file-unreadable" Backup [Full, Plain] Absent Check [UnpackFailed, TableUnreadable, ManifestMismatch]
        "A table's file may be read by nobody: mode 0000."
        "There is no server: what copies the backup as its owner cannot read it.";
    OldBackupAsNew "old-backup-as-new" Backup [Full, Manifest, OlderBackup] Well Check [ManifestMismatch, UnpackFailed, RecoveryFailed]
        "An older backup lies where the newest should be, whole and with its own manifest."
        "Starts and promotes: it has more to replay, and needs older WAL. One of another form is no data directory.";
    ManifestRewritten "manifest-rewritten" Backup [Full, Manifest] Well Check [ManifestMismatch]
        "A table's file is gone, and so is its line in the manifest, whose own checksum is made anew."
        "Starts and promotes; pg_verifybackup says that the backup is whole.";
    BackupLabelMissing "backup-label-missing" Backup [Full] Well Check [ManifestMismatch, BackupUnfit, UnpackFailed, RecoveryFailed]
        "backup_label was removed, as advice on the web has it."
        "Starts and promotes: it begins at pg_control's checkpoint, which may be a later one than the backup's. Without WAL in the \
         backup it finds no checkpoint, and does not start.";
    VersionOfAnother "version-of-another" Backup [Full] Ill Recover [RecoveryFailed]
        "PG_VERSION names another major."
        "Does not start: the data directory was initialized by another version.";
    DirectoryMissing "directory-missing" Backup [Full] Ill Recover [RecoveryFailed]
        "The directory pg_notify is not there: it was empty, and what copied the backup leaves empty ones out."
        "Does not start: could not open the directory. pg_verifybackup looks at no directory.";
    OwnWalMissing "own-wal-missing" Backup [Full, OwnWal] Well Check [ManifestMismatch, UnpackFailed]
        "The WAL that came with the backup is not there; the archive has it."
        "Starts and promotes from a plain backup: it asks the archive first.";
    TablespaceMissing "tablespace-missing" Backup [Full, Tablespace] Absent Recover [UnpackFailed]
        "The files of a tablespace are not there."
        "Starts where somebody unpacks the rest by hand; an error only for who opens one of its tables.";
    TarCut "tar-cut" Backup [Full, Tar] Absent Recover [UnpackFailed]
        "base.tar ends in its middle: the copy of the backup was never finished."
        "There is no server: tar says that the end of the file was unexpected.";
    CompressionWrong "compression-wrong" Backup [Full, Tar, Compressed] Absent Recover [UnpackFailed]
        "base.tar is compressed by another method than its name says."
        "There is no server: it cannot be unpacked.";

    DumpBitFlip "dump-bit-flip" Backup [Dump] Absent Check [UnpackFailed, FingerprintMismatch, RowCountMismatch]
        "One bit of the rows in a dump is another."
        "Does not load where the dump is compressed, whose checksums tell. Where it is not, it loads, and a value is another: a dump has no checksum of its own.";
    DumpTruncated "dump-truncated" Backup [Dump] Absent Check [UnpackFailed, RowCountMismatch, DatabaseMissing, FirstWriteFailed]
        "A dump's largest file ends in its middle, as after a full disk or a copy that was never finished."
        "Does not load; but SQL loads as far as it goes, and psql says nothing.";

    // The WAL archive, behind the end of the backup.
    SegmentMissing "segment-missing" Archive [PlainArchive] Well Recover [WalGap]
        "A segment is not in the archive, and later ones are."
        "Starts and promotes: the hole is the end of the archive to it. No line above LOG.";
    SegmentZeroed "segment-zeroed" Archive [PlainArchive] Well Recover [WalDamaged]
        "A segment is all zeros."
        "Starts and promotes: one LOG line about an invalid magic number.";
    SegmentTruncated "segment-truncated" Archive [PlainArchive] Ill Recover [WalDamaged, RecoveryFailed]
        "A segment ends at its half, as after a copy to a full disk."
        "FATAL: archive file has wrong size; a pg_ctl that waits may have said that the server is up before.";
    SegmentEmpty "segment-empty" Archive [PlainArchive] Ill Recover [WalDamaged, RecoveryFailed]
        "A segment has no bytes."
        "FATAL: archive file has wrong size.";
    RecordBitFlip "record-bit-flip" Archive [PlainArchive] Well Recover [WalDamaged]
        "One bit of a record in a segment is another."
        "Starts and promotes: one LOG line about an incorrect checksum in a record.";
    SegmentOfNeighbour "segment-of-neighbour" Archive [PlainArchive] Well Recover [WalDamaged]
        "A segment has the content of the one behind it."
        "Starts and promotes: one LOG line about an unexpected page address.";
    SegmentOfAnother "segment-of-another" Archive [PlainArchive] Well Recover [WalDamaged]
        "A segment comes from another cluster: two servers archive into one directory."
        "Starts and promotes: one LOG line says that the WAL is from a different database system.";
    SegmentPartial "segment-partial" Archive [PlainArchive] Well Recover [WalGap]
        "A segment is there only under the name SEGMENT.partial."
        "Starts and promotes: it never reads such a file.";
    SegmentCompressed "segment-compressed" Archive [PlainArchive] Well Recover [WalGap]
        "A segment is there only as SEGMENT.gz, which restore_command does not look for."
        "Starts and promotes: the segment is not there.";
    HistoryGarbage "history-garbage" Archive [PlainArchive] Absent Recover [WalDamaged, RecoveryFailed]
        "The archive has a timeline history file that is garbage."
        "FATAL: syntax error in history file.";
    HistoryMissing "history-missing" Archive [PlainArchive, Timeline] Well Recover [WalGap, TransactionsLost, RowCountMismatch, FingerprintMismatch]
        "The history file of a timeline is not in the archive, and its segments are."
        "Starts and promotes along the timeline before: what came after the last recovery is not there.";
    ForeignTimeline "foreign-timeline" Archive [PlainArchive] Well Recover [TargetMissed]
        "Another server restored from this archive wrote its own timeline into it."
        "Starts and promotes: it follows the newest timeline, which left the right one long ago.";
    ArchiveNotMounted "archive-not-mounted" Archive [PlainArchive] Absent Recover [TargetBeyondArchive, RecoveryFailed]
        "The archive is an empty directory: it is not mounted where the backup is restored."
        "With a restore_command that ends with 1 it starts and promotes with what came with the backup. pgdrill starts none: the archive does not even hold what makes the backup consistent.";
    ArchiveForbidden "archive-forbidden" Archive [PlainArchive, OwnFetch] Ill Recover [RecoveryFailed]
        "A segment may not be read by who restores: it belongs to another account."
        "FATAL, since pgdrill's restore_command tells this from a segment that is not there; to one that ends with 1 it is the end of the archive.";

    // The recovery.
    RecoverySignalMissing "recovery-signal-missing" Restore [OwnWal] Well Recover [TargetMissed]
        "Nobody made recovery.signal."
        "Starts: restore_command and target are silently ignored. It keeps its timeline.";
    FetchSaysNothing "fetch-says-nothing" Restore [OwnFetch] Well Recover [WalNotGiven]
        "restore_command says that it gave a file, and gives none."
        "Starts and promotes: one LOG line that stat() failed.";
    FetchFails "fetch-fails" Restore [OwnFetch] Well Recover [WalNotGiven]
        "restore_command fails with exit code 1 after its first segments, since the network is down."
        "Starts and promotes: any exit code up to 125 is to it that the segment is not there.";
    FetchSlow "fetch-slow" Restore [OwnFetch, RecoveryTime] Well Recover [RtoExceeded]
        "restore_command takes half a second for each file, as from an archive far away."
        "Starts and promotes, late: it asks for one file after the other.";
    RestoredDiskFull "restored-disk-full" Restore [] Absent Recover [DiskFull]
        "The disk on which the backup is restored is too small."
        "There is no server: what unpacks the backup has no space left on the device.";
    FetchProgramMissing "fetch-program-missing" Restore [] Ill Recover [RecoveryFailed]
        "The program of restore_command is not where the backup is restored: exit code 127."
        "FATAL: could not restore the file from the archive.";
    FetchKilled "fetch-killed" Restore [] Ill Recover [RecoveryFailed]
        "restore_command crashes: a signal ends it."
        "FATAL: could not restore the file from the archive.";
    TimeZoneWrong "time-zone-wrong" Restore [TimeTarget] Well Recover [TargetMissed, RecoveryFailed]
        "The target time is given without an offset, and the restored server is in another time zone."
        "Starts and promotes, hours away from what was meant; or FATAL where the WAL does not reach so far.";
    LimitsTooSmall "limits-too-small" Restore [] Ill Recover [RecoveryFailed]
        "The restored server has a smaller max_connections than the lost one."
        "From 14 on it pauses, and ends when it is told to go on; 13 ends at once.";
    LibraryMissing "library-missing" Restore [] Ill Recover [RecoveryFailed]
        "shared_preload_libraries names a library that is not where the backup is restored."
        "FATAL: could not access the file.";
    GrantLost "grant-lost" Restore [] Well Recover [FirstWriteFailed]
        "The application's role may not write to the recovered server."
        "Starts and promotes; every write of the application fails.";
    CollationChanged "collation-changed" Restore [Collation] Well Check [CollationMismatch]
        "The operating system where the backup is restored has another version of the collation."
        "Starts and promotes; from 15 on a WARNING for each who connects.";
    PostmasterKilled "postmaster-killed" Restore [] Ill Recover [ServerLost]
        "Somebody kills the restored server with SIGKILL while it replays."
        "It is gone, and says nothing.";
    StalePostmasterPid "stale-postmaster-pid" Restore [] Well Check []
        "Among the restored files is a postmaster.pid of a process that is long gone."
        "Starts: it sees that nobody has that number, and removes the file.";

    // The server before it is lost.
    HeapPageDamaged "heap-page-damaged" Server [Checksums, Program] Absent Backup [PageChecksumFailed]
        "A page of a table is damaged on the disk of the live server before the backup is taken."
        "pg_basebackup tells of it and ends with an error; from 15 on it leaves the backup without its manifest.";
    IndexOutOfOrder "index-out-of-order" Server [] Well Check [RelationCorrupt]
        "Two entries of an index are in the wrong order on the live server, with right page checksums, as after a change of the C library."
        "Starts and promotes; searches do not find what is there.";
    RowBehindIndex "row-behind-index" Server [] Well Check [RelationCorrupt]
        "An indexed value of a row was changed on the live server's disk, with right page checksums, and its index was not."
        "Starts and promotes; searches find the wrong row, or none.";
    CommitsForgotten "commits-forgotten" Server [Work] Well Check [TransactionsLost, LedgerMismatch, ConservationBroken]
        "pg_xact of the live server forgot that the last transactions were committed, before the backup was taken and before anybody read what they wrote."
        "Goes on as if they had never been. Restored, it starts and promotes.";
    ArchiverFails "archiver-fails" Server [ArchiveCommand] Well Check [TransactionsLost, RowCountMismatch, FingerprintMismatch]
        "archive_command fails from a moment on, and nobody looks at pg_stat_archiver."
        "Goes on and keeps its WAL. Restored, it starts and promotes with what was archived.";
    ArchiveDiskFull "archive-disk-full" Server [ArchiveCommand] Well Check [TransactionsLost, RowCountMismatch, FingerprintMismatch]
        "The archive's disk is full from a moment on."
        "Goes on and keeps its WAL; archive_command fails again and again. Restored, it starts and promotes with what was archived.";
    ClockSetBack "clock-set-back" Server [Primary, LaterMark] Absent Recover [TargetAmbiguous]
        "The clock of the live server is an hour fast while something is committed, and is set right again."
        "Goes on. Recovery to a time from after that stops before the first commit that is later, which is the one from before: it starts and promotes without all that was committed since.";
    ReceiverKilled "receiver-killed" Server [Receiver] Absent Disaster [ArchiveStalled]
        "Somebody kills pg_receivewal with SIGKILL, and nothing starts it again."
        "Goes on; its slot keeps the WAL until the disk is full.";
    EmptyDatabase "empty-database" Server [] Well Check []
        "Somebody made a database and put nothing into it."
        "Nothing.";
    InvalidDatabase "invalid-database" Server [] Well Check []
        "A DROP DATABASE was interrupted, and left a database that nobody can connect to."
        "Lets nobody into that database, before and after.";
    UnloggedTable "unlogged-table" Server [] Well Check []
        "A table is unlogged: its rows are in no backup and in no WAL, and nobody may miss them."
        "The restored table is there and empty.";
    ServerCrash "server-crash" Server [] Well Check []
        "The server is killed with SIGKILL and started again."
        "Recovers by itself.";

    // The backup while it is taken.
    BackupKilled "backup-killed" Taking [Program] Absent Backup [BackupFailed, ProgramKilled]
        "pg_basebackup is killed with SIGKILL in the middle."
        "The server ends its part. What lies there looks like a backup, and lacks its manifest.";
    WalSenderKilled "wal-sender-killed" Taking [Program] Absent Backup [BackupFailed, ServerLost]
        "The server's process that sends the backup is killed with SIGKILL."
        "Every session ends, and the server recovers by itself.";

    // The recovered server.
    RowDeleted "row-deleted" Recovered [] Well Check [RowCountMismatch, FingerprintMismatch, LedgerMismatch]
        "One row is not there."
        "Nothing.";
    ValueChanged "value-changed" Recovered [] Well Check [FingerprintMismatch, LedgerMismatch]
        "One value of one row is another."
        "Nothing.";
    ValuesSwapped "values-swapped" Recovered [] Well Check [FingerprintMismatch, LedgerMismatch]
        "Two rows have each other's value of one column: every sum is right."
        "Nothing.";
    TransactionTorn "transaction-torn" Recovered [] Well Check [ConservationBroken, RowCountMismatch, LedgerMismatch]
        "Of one transaction the order is not there, and what it did to its position is."
        "Nothing.";
    TransactionInvented "transaction-invented" Recovered [] Well Check [RowCountMismatch, TransactionsUnexpected, LedgerMismatch]
        "There is an order, with its position and its audit row, that nobody placed."
        "Nothing.";
    SequenceBehind "sequence-behind" Recovered [] Well Check [SequenceBehind]
        "A sequence gives a value that is in use already."
        "Nothing, until the next INSERT fails on a duplicate key.";
    IndexLost "index-lost" Recovered [] Well Check [CatalogMismatch]
        "An index is not there."
        "Nothing; the queries that need it are slow.";
    StatementFails "statement-fails" Recovered [] Well Check [ServerLogError]
        "Something on the recovered server fails, and writes ERROR into its log."
        "Logs it.";
    ArchiveWritten "archive-written" Recovered [] Well Check [ArchiveChanged]
        "The restored server's own WAL gets into the archive that it was restored from."
        "Nothing; the next recovery may follow the wrong timeline.";

    // Changes that must not alarm anybody.
    AutoConfEdited "auto-conf-edited" Backup [Full] Well Check []
        "postgresql.auto.conf of the backup was edited, which no manifest minds."
        "Reads it, where nobody overrides it.";
    SignalFilesAdded "signal-files-added" Backup [Full, Plain] Well Check []
        "Somebody already put recovery.signal and standby.signal into the backup."
        "Waits for WAL for ever, where nobody takes standby.signal away.";
    OwnWalTail "own-wal-tail" Backup [Full, Plain, OwnWal] Well Check []
        "The WAL that came with the backup is damaged behind the backup's end, where nobody needs it."
        "Nothing: it asks the archive first.";
    OldSegmentDamaged "old-segment-damaged" Archive [PlainArchive, OlderBackup] Well Check []
        "A segment from before the newest backup is damaged, which no recovery from that backup reads."
        "Nothing.";
    ArchiveLittered "archive-littered" Archive [PlainArchive] Well Check []
        "Files lie in the archive that are no WAL: a note, the label of a backup, a directory lost+found."
        "Nothing.";
    ReplayPaused "replay-paused" Restore [] Well Check []
        "The restored server's startup process is stopped for two seconds while it replays."
        "Takes two seconds longer.";
}

impl Fault {
    /// The catalogue's row for this fault.
    pub fn entry(self) -> &'static FaultEntry {
        // The macro writes the enum and the table in the same order.
        &FAULTS[self as usize]
    }

    /// The name in the scenario language.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it is done to.
    pub fn site(self) -> Site {
        self.entry().site
    }

    /// Whether it is done to copies of a proven drill's backup and archive.
    pub fn makes_mutants(self) -> bool {
        matches!(self.site(), Site::Backup | Site::Archive) && !self.is_harmless()
    }

    /// Whether it must not alarm anybody: a negative control.
    pub fn is_harmless(self) -> bool {
        self.entry().codes.is_empty()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        FAULTS
            .iter()
            .find(|entry| entry.name == text)
            .map(|entry| entry.fault)
            .ok_or_else(|| format!("there is no fault '{text}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Weight;

    #[test]
    fn every_fault_finds_its_own_row() {
        for (index, entry) in FAULTS.iter().enumerate() {
            assert_eq!(entry.fault as usize, index);
            assert_eq!(entry.name.parse::<Fault>().unwrap(), entry.fault);
            assert_eq!(serde_json::to_string(&entry.fault).unwrap(), format!("\"{}\"", entry.name));
            assert!(entry.doc.ends_with('.') && entry.provokes.ends_with('.'), "{}", entry.name);
        }
    }

    #[test]
    fn every_fault_that_is_no_control_ends_the_proof() {
        let harmless = FAULTS.iter().filter(|entry| entry.fault.is_harmless()).count();
        assert!(harmless >= 10 && FAULTS.len() - harmless >= 40, "{harmless} of {}", FAULTS.len());
        for entry in FAULTS.iter().filter(|entry| !entry.fault.is_harmless()) {
            assert!(entry.codes.iter().all(|code| code.weight() > Weight::Notes), "{}", entry.name);
        }
    }
}
