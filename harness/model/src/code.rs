//! The catalogue of finding codes: one table that feeds verdicts, `pgdrill explain` and the documentation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a finding does to the verdict.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Worth reading; the verdict stays.
    Notes,
    /// We could not tell: the verdict cannot be `proven`.
    Unverifies,
    /// The backup, the restore or an objective failed: the verdict is `disproven`.
    Disproves,
    /// A bug in pgdrill itself.
    Bug,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct CodeEntry {
    /// The code.
    pub code: Code,
    /// Its name in records, reports and scenario files.
    pub name: &'static str,
    /// What it does to the verdict.
    pub weight: Weight,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// What usually causes it and what to do now.
    pub advice: &'static str,
}

macro_rules! catalogue {
    ($($code:ident $name:literal $weight:ident $meaning:literal $advice:literal;)+) => {
        /// A stable name for one kind of finding. Codes are never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Code {
            $(#[doc = $meaning] #[serde(rename = $name)] $code,)+
        }

        /// Every code, in the order in which a drill can meet them.
        pub const CODES: &[CodeEntry] = &[
            $(CodeEntry {
                code: Code::$code,
                name: $name,
                weight: Weight::$weight,
                meaning: $meaning,
                advice: $advice,
            },)+
        ];
    };
}

catalogue! {
    PostgresMissing "POSTGRES_MISSING" Unverifies
        "No PostgreSQL of the wanted major version was found."
        "Install the server package of that major, or name its bin directory in PGDRILL_PG_BIN; `pgdrill doctor` lists what is there.";
    MajorOutOfRange "MAJOR_OUT_OF_RANGE" Unverifies
        "The scenario says that it does not make sense on the major version that was asked for."
        "Ask for another major with --postgres, or widen the scenario's `postgres:` range.";
    ProgramMissing "PROGRAM_MISSING" Unverifies
        "A program that the drill needs is not there or cannot be started."
        "Install the package that holds it; `pgdrill doctor` names it.";
    LocaleMissing "LOCALE_MISSING" Unverifies
        "The place where the servers run does not have the locale that the scenario names."
        "Install or generate the locale (`locale -a` lists those that are there), or name another one.";
    ProgramKilled "PROGRAM_KILLED" Unverifies
        "A program of the drill was ended by a signal before it was done."
        "Look for the OOM killer in the kernel's log, or for somebody who ended the process, and run the drill again.";
    UserMissing "USER_MISSING" Unverifies
        "pgdrill runs as root, PostgreSQL refuses root, and no unprivileged account was found to drop to."
        "Create the account `postgres`, or name one in PGDRILL_USER.";
    EngineUnusable "ENGINE_UNUSABLE" Unverifies
        "The container engine does not answer, or its containers cannot work on this host's files and sockets."
        "Start the engine, or name it in DOCKER_HOST; `--runtime local` runs servers without containers.";
    ImageMissing "IMAGE_MISSING" Unverifies
        "The container image of the wanted PostgreSQL is not there and could not be pulled."
        "Pull or build the image that the message names, or name another with --image or PGDRILL_IMAGE.";
    ImageUnsuitable "IMAGE_UNSUITABLE" Unverifies
        "The container image does not hold what a drill needs, or holds another PostgreSQL than was asked for."
        "Name another image with --image or PGDRILL_IMAGE; `{major}` in it stands for the major version.";
    QuarantineUnavailable "QUARANTINE_UNAVAILABLE" Unverifies
        "The host cannot give a server a place without network, and what a backup that was there already holds might reach out."
        "Run it in containers (--runtime docker), let accounts make user namespaces, or accept it with --allow-host-network.";
    WorkspaceUnusable "WORKSPACE_UNUSABLE" Unverifies
        "The workspace directory cannot be made, written, or used for a socket."
        "Name a directory on a writable disk with a short path: --workspace or PGDRILL_WORKSPACE.";
    DiskFull "DISK_FULL" Unverifies
        "There is not enough disk space for the drill, or it ran out."
        "Free space, lower `data: orders`, or name another disk with --workspace.";
    SourceUnreachable "SOURCE_UNREACHABLE" Unverifies
        "What the backup is to be fetched from does not answer, or stopped answering."
        "Look at the address, the network and the store, and run it again: a fetch goes on where it was interrupted. Nothing was learnt about the backup.";
    SourceRefused "SOURCE_REFUSED" Unverifies
        "What the backup is to be fetched from does not give it: credentials, bucket, prefix, or names that no file can have."
        "The message says which. Credentials come from the environment (AWS_*, GOOGLE_*, AZURE_*), never from the command line.";
    SourceInconsistent "SOURCE_INCONSISTENT" Unverifies
        "What the backup was fetched from gave other bytes than it says it has, or another object each time."
        "Look at what writes to it, and at what stands between. Until it gives the same twice, nothing is known about the backup.";
    ServerStartFailed "SERVER_START_FAILED" Unverifies
        "The server that the drill makes for itself did not start."
        "Read the quoted log line: usually a bad value under `settings:` in the scenario.";
    LoadFailed "LOAD_FAILED" Unverifies
        "The fixture's schema or data could not be loaded."
        "Read the quoted server message; nothing was learnt about a backup.";
    SqlFailed "SQL_FAILED" Unverifies
        "A `sql` step of the scenario failed, so the drill is not the one that was written."
        "Correct the statement at the quoted line of the scenario.";
    WorkFailed "WORK_FAILED" Unverifies
        "The drill's writers could not place their orders, although the server was there."
        "Read the quoted error: usually a statement of the scenario that took away what the writers need.";
    BackupFailed "BACKUP_FAILED" Unverifies
        "The backup program ended with an error, so there is no backup to prove."
        "Read the quoted message of the program.";
    ArchiveStalled "ARCHIVE_STALLED" Unverifies
        "A WAL segment did not reach the archive in time."
        "Look at the logs in the kept workspace for what archive_command or pg_receivewal said.";
    AlertMissed "ALERT_MISSED" Disproves
        "An alert did not fire within its time after what should have caused it."
        "Whoever waits for it learns of the trouble from users. Look at the value that it had, and at its limit and window.";
    AlertEarly "ALERT_EARLY" Disproves
        "An alert had fired before what should cause it."
        "An alert that fires without a cause is not believed when there is one. Look at the value that it had, and at its limit.";
    TriageWrong "TRIAGE_WRONG" Disproves
        "What triage found out is not what the drill had done to the server."
        "Whoever acts on it at night does the wrong thing. The report shows every fact, and which could not be known.";
    ApplicationUnusable "APPLICATION_UNUSABLE" Unverifies
        "The application, or the pooler in front of the server, did not work before anything was lost."
        "Read the quoted answer. Its log is in the kept workspace; nothing was learnt about a backup.";
    ApplicationFailed "APPLICATION_FAILED" Disproves
        "The application that had worked before the disaster does not work on the recovered server."
        "The message says which request, and what came. The server's log and the pooler's are in the kept workspace (--keep).";
    OutageExceeded "OUTAGE_EXCEEDED" Disproves
        "The application was away for longer than its objective allows."
        "Compare it with the recovery time: the rest is detection, decisions and the application's own start.";
    RollbackFailed "ROLLBACK_FAILED" Disproves
        "After the rollback things are not what they were when the safety copy was made."
        "The finding says what differs. Do not erase anything on the strength of this copy.";
    RunbookHarms "RUNBOOK_HARMS" Disproves
        "A step of the runbook did not leave what it is meant to leave."
        "The finding says what was there afterwards. `pgdrill explain NAME` shows the step's commands and the corrected ones.";
    BaselineUnstable "BASELINE_UNSTABLE" Unverifies
        "The primary changed while its expected content was being measured."
        "Stop whatever else writes to the primary; the drill needs it quiet at that moment.";
    TimeLimit "TIME_LIMIT" Unverifies
        "A bounded wait or the drill as a whole reached its time limit."
        "Raise `time-limit:` in the scenario if the machine is only slow; otherwise read the quoted log line.";
    ServerLost "SERVER_LOST" Unverifies
        "A server that should have been running went away."
        "Read the quoted log lines: a crash, the OOM killer (where --memory limits it, allow more), or somebody stopped it.";
    TargetBeforeBackup "TARGET_BEFORE_BACKUP" Unverifies
        "No backup ends before the point that recovery must stop at, so there is nothing to recover it from."
        "Choose a later target, or keep backups for longer. Nothing was restored.";
    TargetBeyondArchive "TARGET_BEYOND_ARCHIVE" Disproves
        "The archived WAL ends before the point that recovery must stop at."
        "That point is lost. The message says how far the archive reaches and why it ends there; nothing was restored.";
    TargetAmbiguous "TARGET_AMBIGUOUS" Unverifies
        "More than one point of the WAL is what the target names."
        "PostgreSQL would stop at the first that fits. Name the point that you mean by its position. Nothing was restored.";
    TimelineUnrelated "TIMELINE_UNRELATED" Unverifies
        "The timeline that was asked for does not exist, or does not descend from the backup."
        "`timeline: latest` follows what the archive knows; the message lists the timelines. Nothing was restored.";
    UnpackFailed "UNPACK_FAILED" Disproves
        "The backup could not be unpacked."
        "The archive file is damaged or incomplete; this backup would not have been restored.";
    TablespaceOutside "TABLESPACE_OUTSIDE" Unverifies
        "A tablespace of the backup leads outside the workspace, so starting a restored server could write to, or drop, the live one."
        "pgdrill refuses to start such a server. Keep the tablespace out of the drill's cluster.";
    QuarantineBroken "QUARANTINE_BROKEN" Disproves
        "The restored server said that a setting is in force which must be off in a drill."
        "Do not let this server run; report the setting, it should have been overridden.";
    RecoveryFailed "RECOVERY_FAILED" Disproves
        "The restored server stopped before it reached the end state that was asked for."
        "Read the quoted FATAL line of the restored server: it says what recovery was missing.";
    RecoveryShort "RECOVERY_SHORT" Notes
        "Recovery ended before the position at which the expected content was captured."
        "The WAL after the recovered position never reached the archive. Whether data is lost is decided by the content checks.";
    WalGap "WAL_GAP" Disproves
        "A WAL segment that later ones follow is not in the archive; recovery ended before it."
        "Everything after the gap is lost to recovery, although the server started and looks well. Look for what removed the segment, or never archived it.";
    WalDamaged "WAL_DAMAGED" Disproves
        "An archived WAL segment cannot be read to its end; recovery ended in it."
        "Everything after the damage is lost to recovery, although the server started and looks well. The message names segment and byte.";
    WalUnfinished "WAL_UNFINISHED" Notes
        "The newest segment of the archive was still being copied there, and was taken as not there yet."
        "Nothing, if it is whole soon; if it stays as it is, the next drill says that it is damaged.";
    WalNotGiven "WAL_NOT_GIVEN" Disproves
        "The restore_command did not give a segment that was archived; recovery ended before it."
        "PostgreSQL takes that for the end of the archive, starts, and looks well. Try the command by hand with the name of that segment.";
    TargetMissed "TARGET_MISSED" Disproves
        "The recovered server stopped at another point than the one that was asked for."
        "The server is up, and holds another state than it should. The message says where it stopped and what the difference costs.";
    DatabaseMissing "DATABASE_MISSING" Disproves
        "A database of the primary is not there after the restore."
        "The restore is incomplete, or it ended before the database was created.";
    TableMissing "TABLE_MISSING" Disproves
        "A table of the primary is not there after the restore."
        "The restore ended before the table was created, or it was dropped afterwards.";
    TableUnexpected "TABLE_UNEXPECTED" Disproves
        "The restored database has a table that the primary did not have."
        "The restore went past the wanted point, or something wrote to the restored server.";
    TableUnreadable "TABLE_UNREADABLE" Disproves
        "A table could not be read in full."
        "The quoted error names the damage; restore from another backup and look for the page.";
    RowCountMismatch "ROW_COUNT_MISMATCH" Disproves
        "A table has another number of rows than the primary had."
        "Compare the difference with what was written after the backup: lost WAL shows as missing rows.";
    FingerprintMismatch "FINGERPRINT_MISMATCH" Disproves
        "A table's content differs from the primary's."
        "At least one value differs. Compare the rows with a copy of the primary.";
    TransactionsLost "TRANSACTIONS_LOST" Disproves
        "Transactions that the server acknowledged, and that recovery had to bring back, are not there."
        "The message counts them and names the first. State what may be lost as `objectives: { rpo: ... }`.";
    RpoExceeded "RPO_EXCEEDED" Disproves
        "More acknowledged work was lost than the recovery point objective allows."
        "The message says how much, and where the WAL ended. Archive more often, or stream WAL to the archive.";
    TransactionsUnexpected "TRANSACTIONS_UNEXPECTED" Disproves
        "Transactions are there that came after the recovery point, were rolled back, or were never made."
        "Recovery went past its target, or something else wrote to the server.";
    LedgerMismatch "LEDGER_MISMATCH" Disproves
        "The rows of a transaction are not what the server acknowledged."
        "The message names the transaction: it was changed, or torn.";
    LedgerDisagrees "LEDGER_DISAGREES" Unverifies
        "The ledger and the WAL say different things about a transaction, so one of the two oracles is wrong."
        "Please report it with the record of the run: nothing can be concluded from it.";
    LedgerDamaged "LEDGER_DAMAGED" Unverifies
        "The ledger of the drill cannot be read to its end."
        "It was cut off or changed; without it nobody knows what was acknowledged. Run the drill again.";
    CatalogMismatch "CATALOG_MISMATCH" Disproves
        "An index, constraint, column, view, function, trigger, policy, grant or other definition differs from the primary's."
        "The finding names the object and both definitions.";
    SequenceBehind "SEQUENCE_BEHIND" Disproves
        "A sequence would give a value that is in use already, or gave on the primary."
        "The next INSERT fails on a duplicate key, or a number is given twice. Set the sequence with setval() after a real restore, and find out what set it back.";
    WrongDatabase "WRONG_DATABASE" Disproves
        "The restored server is not the database that the witness file is of: another cluster, or a copy that went another way."
        "Look at which backup was restored, and from where. The message names both.";
    BaselineElsewhere "BASELINE_ELSEWHERE" Unverifies
        "The baseline of production belongs to another moment than the one that was recovered, so nothing can be compared with it exactly."
        "Recover to where it belongs, by `to: baseline`. One that belongs to no position in the WAL was captured while transactions ended out of order: capture another.";
    DatabaseEmpty "DATABASE_EMPTY" Disproves
        "A database of the backup holds no row in any table of its own."
        "A backup of the wrong server, or a dump that was cut short before its data, looks so. Where it is right, declare it: `empty: [NAME]`, or `prove --empty NAME`.";
    RowsDrifted "ROWS_DRIFTED" Disproves
        "A table holds more, or less, than may be beside the last proven drill of the same source."
        "Look at what production did since: a job that deleted, a load that ran twice, a dump that was cut short. Where it is right, allow more with `max-drift`.";
    RowsVanished "ROWS_VANISHED" Notes
        "A table that held rows in the last proven drill of the same source holds none, or is not there."
        "Where production dropped or emptied it, nothing is wrong. With `max-drift` it is a failure.";
    DriftUnknown "DRIFT_UNKNOWN" Notes
        "Rows were to be held against the last proven drill of the same source, and there is none."
        "Nothing, the first time. Later: keep the directory of the records (--evidence), and call the backup by the same path.";
    WitnessLost "WITNESS_LOST" Disproves
        "Beats that production had acknowledged before the recovery point are not there after the restore."
        "What production wrote in that time is lost, too. The message says from when to when; look for WAL that is missing or was not replayed.";
    WitnessUnexpected "WITNESS_UNEXPECTED" Disproves
        "A beat is there that came after the recovery point, belongs to another timeline, or is not what was acknowledged."
        "Recovery went past its target or another way, or something else wrote to the server.";
    WitnessMissing "WITNESS_MISSING" Unverifies
        "There is no beat by which the restored server could be known."
        "Let `pgdrill live witness beat` run on production, keep its file, and restore a backup that was taken since.";
    BackupStale "BACKUP_STALE" Disproves
        "What came back is older than is allowed."
        "The backup is old, or WAL since then does not reach the archive. Where beats stopped, look whether `pgdrill live witness beat` still runs.";
    CollationMismatch "COLLATION_MISMATCH" Disproves
        "A collation that columns or indexes use has another version in the restored server's library than in the database."
        "Indexes may be in another order than the library's, and hide rows. Restore on the operating system that the primary had, or REINDEX and then ALTER COLLATION ... REFRESH VERSION.";
    RelationCorrupt "RELATION_CORRUPT" Disproves
        "A table or an index is not what it must be, or an index does not agree with its table."
        "The finding names the relation. An index can be built anew with REINDEX; a table must come from another backup.";
    ConservationBroken "CONSERVATION_BROKEN" Disproves
        "A rule that every committed transaction keeps does not hold in the restored data."
        "A transaction was torn: part of it was restored and part was not.";
    IntegrityFailed "INTEGRITY_FAILED" Disproves
        "The database's own verify_backup_integrity() says that something is wrong in it."
        "The finding has the function's words. Call it yourself for all of its rows: SELECT * FROM verify_backup_integrity().";
    QueryMissed "QUERY_MISSED" Disproves
        "A query of the scenario answered something else than is expected."
        "The message has both, of a value at most 100 characters. Ask production the same, and look at what the recovery point leaves out.";
    QueryFailed "QUERY_FAILED" Disproves
        "A query of the scenario ended with an error: what it needs is not there, cannot be read, or may not be read by its role."
        "The message has the server's words. If production says the same, correct the query; a drill cannot know that.";
    QueryUndecided "QUERY_UNDECIDED" Unverifies
        "A query of the scenario got no answer that says anything about the backup: its time ran out, the server could not at that moment, or it is not one statement that only reads, which fails everywhere."
        "Correct the query, or give it more time: `within: 5m`.";
    PageChecksumFailed "PAGE_CHECKSUM_FAILED" Disproves
        "A data page does not match its checksum, or its header is not possible."
        "The finding names file and block. The page was damaged before, in, or after the backup.";
    PageFromLater "PAGE_FROM_LATER" Disproves
        "A data page was changed by WAL that lies behind the end of the backup."
        "The file does not belong to this backup: somebody copied it from a running server, or from a later backup.";
    PageChecksumsOff "PAGE_CHECKSUMS_OFF" Unverifies
        "The cluster has no page checksums, so damage inside pages cannot be told."
        "Enable them with pg_checksums on a stopped cluster, or leave the check out.";
    ManifestMismatch "MANIFEST_MISMATCH" Disproves
        "The backup is not what its manifest lists, or the manifest is not what it was when the backup ended."
        "Files of the backup were changed, lost or added after it was taken: look at what stores and moves it, and take another.";
    ManifestMissing "MANIFEST_MISSING" Unverifies
        "The backup has no manifest, so nobody knows which files belong to it."
        "Name it with -m if it lies elsewhere. pg_basebackup makes one unless it is told not to; keep it with the backup.";
    BackupUnfit "BACKUP_UNFIT" Disproves
        "Something that PostgreSQL needs to start on the backup, or to recover from it rightly, is missing or wrong."
        "The message names it. A backup that was copied by hand often lacks empty directories, backup_label or permissions.";
    BackupPermissions "BACKUP_PERMISSIONS" Notes
        "The data directory of the backup lies there with permissions with which PostgreSQL does not start; it was restored with those that it needs."
        "Nothing, for a restore that sets them. Who copies this backup back by hand says `chmod 0700` before the start; `cp -a` and `rsync -a` keep permissions.";
    BackupChainBroken "BACKUP_CHAIN_BROKEN" Disproves
        "The backups do not build upon each other, so that none can be made of them."
        "Name the full backup first and then every incremental one, in the order in which they were taken; if that is what was done, one is missing or not what it was.";
    ChainChecksumsMixed "CHAIN_CHECKSUMS_MIXED" Notes
        "Only some backups of a chain have page checksums, and the newest is one of them."
        "Pages that come from the others have none: disable, and optionally reenable, checksums with pg_checksums on what pg_combinebackup makes, before its server reads them.";
    NotABackup "NOT_A_BACKUP" Unverifies
        "What was to be proven is no backup, or none that can be recovered as it lies there."
        "The message says what was looked for. Name the directory that holds PG_VERSION, or base.tar.";
    OracleUnusable "ORACLE_UNUSABLE" Unverifies
        "A file of what production holds, a baseline or a witness, cannot be read or is not whole."
        "The message says what is wrong with it. `pgdrill live baseline` and `pgdrill live witness beat` write such files.";
    WalNotFetched "WAL_NOT_FETCHED" Unverifies
        "The command that gives WAL failed in another way than that a file is not there."
        "Run it by hand with the name of the file that the message says. Like PostgreSQL, pgdrill takes exit codes from 1 to 125 for `not there`, and all others for trouble.";
    BackupUnreadable "BACKUP_UNREADABLE" Unverifies
        "A file or directory of the backup could not be read."
        "Run pgdrill as an account that may read all of it; an input/output error means that the medium is failing.";
    RestoreFailed "RESTORE_FAILED" Unverifies
        "The backup could not be written to where it was to be restored."
        "The message names the file and the reason. What was restored is not complete, and PostgreSQL does not start on it.";
    ServerLogError "SERVER_LOG_ERROR" Disproves
        "The restored server logged an ERROR, FATAL or PANIC line that nothing explains."
        "Read the quoted line; recovery is not healthy although the server is up.";
    FirstWriteFailed "FIRST_WRITE_FAILED" Disproves
        "The application role could not write to the restored server."
        "A grant, a sequence or a constraint is not what the application needs, or the server is read-only.";
    ArchiveChanged "ARCHIVE_CHANGED" Disproves
        "The WAL archive is not what it was before the restore."
        "The restored server, or somebody else, wrote into the archive: a drill must never do that.";
    RtoExceeded "RTO_EXCEEDED" Disproves
        "Recovery took longer than the recovery time objective allows."
        "The phases in the report say where the time went.";
    RecoverySlower "RECOVERY_SLOWER" Disproves
        "Recovery takes longer than in the baseline that it was compared with, by more than that differs from itself."
        "The message names the phase in which most of the time went. Compare what changed since: versions, settings, the machine, the way WAL is fetched.";
    ComparisonUndecided "COMPARISON_UNDECIDED" Unverifies
        "The baseline cannot tell whether recovery has become slower."
        "Make one with `pgdrill run SCENARIO --repeat 5` on this machine, with nothing beside it, and name its records with --baseline.";
    RecoveryNotRepeatable "RECOVERY_NOT_REPEATABLE" Disproves
        "The same backup and archive, recovered once more, did not come back as they had before."
        "A recovery that works sometimes is none. The message says what was seen this time; look for what differs between two recoveries: time, room, what is fetched.";
    RepetitionUndecided "REPETITION_UNDECIDED" Unverifies
        "Of a repeated recovery nobody could tell whether it is proven, or how long it took."
        "The message says why. Run the drill again with room and time for it.";
    RecoveryPointWrong "RECOVERY_POINT_WRONG" Disproves
        "A recovery point of a sweep does not hold what it must, or could not be reached."
        "The message names the first such point; recover to it for a closer look.";
    ObjectiveUnmeasured "OBJECTIVE_UNMEASURED" Unverifies
        "An objective has a target, but the drill ended before it could be measured."
        "Look at the finding that ended the drill.";
    CheckNotRun "CHECK_NOT_RUN" Unverifies
        "A check that the scenario asks for did not run, or had nothing to look at."
        "A check that did not run proves nothing. The finding says why it did not.";
    EvidenceMissing "EVIDENCE_MISSING" Unverifies
        "A step of the plan was not done, or left nothing that shows that it was."
        "Look at the steps in the report; where none failed, please report it with the record of the run.";
    FaultNotInjected "FAULT_NOT_INJECTED" Unverifies
        "A fault that the scenario asks for was not made, or changed nothing."
        "Whether it would have been noticed is not known. The message says what kept it from being made.";
    MutantSurvived "MUTANT_SURVIVED" Disproves
        "A damaged copy of the drill's own backup or archive was proven by the scenario's checks."
        "Add the check that the message names, or say under `mutants: { survivors: ... }` why that damage may go unnoticed.";
    MutantUndecided "MUTANT_UNDECIDED" Unverifies
        "On a damaged copy of the drill's own backup or archive nobody could tell whether the checks notice."
        "The message says why. Run the drill again with room and time for it.";
    ExpectationMissed "EXPECTATION_MISSED" Disproves
        "The drill did not end in the way that the scenario says it must."
        "The injected trouble was not noticed, or was noticed in another way.";
    CleanupFailed "CLEANUP_FAILED" Unverifies
        "Something of the drill could not be stopped or removed."
        "Remove it with `pgdrill clean`; the finding names it.";
    Interrupted "INTERRUPTED" Unverifies
        "The drill was interrupted."
        "Run it again.";
    RunDied "RUN_DIED" Unverifies
        "pgdrill was killed in the middle of the drill; the record was sealed afterwards from its journal."
        "Run it again.";
    InternalError "INTERNAL_ERROR" Bug
        "pgdrill met a condition that it should have made impossible."
        "Please report it with the record of the run.";
}

impl Code {
    /// The catalogue's row for this code.
    pub fn entry(self) -> &'static CodeEntry {
        // The macro writes the enum and the table in the same order.
        &CODES[self as usize]
    }

    /// The name used in records, reports and scenario files.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What a finding with this code does to the verdict.
    pub fn weight(self) -> Weight {
        self.entry().weight
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.to_ascii_uppercase().replace('-', "_");
        CODES
            .iter()
            .find(|entry| entry.name == wanted)
            .map(|entry| entry.code)
            .ok_or_else(|| format!("there is no finding code '{text}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_own_row() {
        for (index, entry) in CODES.iter().enumerate() {
            assert_eq!(entry.code as usize, index);
            assert_eq!(entry.code.entry().name, entry.name);
            assert_eq!(entry.name.parse::<Code>().unwrap(), entry.code);
            let json = serde_json::to_string(&entry.code).unwrap();
            assert_eq!(json, format!("\"{}\"", entry.name));
        }
    }

    #[test]
    fn every_code_says_what_it_means_and_what_to_do() {
        for entry in CODES {
            for sentence in [entry.meaning, entry.advice] {
                assert!(sentence.ends_with('.'), "{}: {sentence}", entry.name);
            }
        }
    }
}
