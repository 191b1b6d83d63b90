//! The checks: one table that feeds the scenario language, the plan, `explain`, the reports and the pairing test.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::fault::Fault;
use crate::scenario::BackupTool;

/// One row of the catalogue of checks.
#[derive(Clone, Copy, Debug)]
pub struct CheckEntry {
    /// The check.
    pub check: Check,
    /// Its name in the scenario language.
    pub name: &'static str,
    /// What it looks at and how, in one or two sentences.
    pub doc: &'static str,
    /// What it does not see.
    pub blind: &'static str,
    /// The codes by which it reports.
    pub codes: &'static [Code],
    /// The unit of what it examines, plural.
    pub unit: &'static str,
    /// A fault that it catches, also where no other check is made.
    pub catches: Fault,
}

macro_rules! checks {
    ($($check:ident $name:literal $unit:literal $catches:ident [$($code:ident),+] $doc:literal $blind:literal;)+) => {
        /// One way to compare the recovered server with what was there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Check {
            $(#[doc = $doc] #[serde(rename = $name)] $check,)+
        }

        /// Every check, in the order in which reports list them.
        pub const CHECKS: &[CheckEntry] = &[
            $(CheckEntry {
                check: Check::$check,
                name: $name,
                doc: $doc,
                blind: $blind,
                codes: &[$(Code::$code),+],
                unit: $unit,
                catches: Fault::$catches,
            },)+
        ];
    };
}

checks! {
    RowCounts "row-counts" "tables" RowDeleted [DatabaseMissing, TableMissing, TableUnexpected, RowCountMismatch]
        "Counts the rows of every table of every database and compares with the primary."
        "Changed values, as long as the number of rows stays the same.";
    Fingerprints "fingerprints" "rows" ValuesSwapped [DatabaseMissing, TableMissing, TableUnexpected, FingerprintMismatch]
        "Sums two differently seeded 64-bit hashes of every row's text, per table, and compares with the primary."
        "Unlogged tables, indexes, the physical order of rows, and anything that is not in a row.";
    Ledger "ledger" "transactions" ArchiverFails [TransactionsLost, TransactionsUnexpected, LedgerMismatch, LedgerDisagrees, LedgerDamaged]
        "Every transaction that the server acknowledged to the drill's writers before the recovery point is there, whole and unchanged, and no other is: by the ledger kept outside the database, and independently by the commit records of the WAL."
        "What other clients than the drill's own writers did.";
    ReadAll "read-all" "tables" HeapBitFlip [TableUnreadable, DatabaseEmpty, DatabaseMissing]
        "Reads every row and every out-of-line value of every table, those of the system catalog too. Of a backup that was there already, each database holds a row, or was declared as one that may be empty."
        "Indexes other than those the system uses, and values that are readable but wrong.";
    Catalog "catalog" "definitions" IndexLost [DatabaseMissing, CatalogMismatch]
        "Compares every definition with the primary: of each database its schemas, tables, columns, indexes, constraints, sequences, views, functions, triggers, rules, policies, types, grants, extensions, foreign servers, publications and comments; of the cluster its roles, memberships, settings, databases and tablespaces."
        "A changed password or user mapping option, where a tablespace lies, planner statistics, and whether an index agrees with its table.";
    Sequences "sequences" "sequences" SequenceBehind [SequenceBehind]
        "Every sequence that feeds a number column is ahead of the greatest value there, and none is behind where the primary's was."
        "Sequences that cycle or are unlogged, sequences that are too far ahead (WAL logs them 32 values ahead), and columns of other than number types.";
    Collations "collations" "collations" CollationChanged [CollationMismatch]
        "Compares the version of each collation that a database recorded with the version that the restored server's library has."
        "Collations without a version, such as C; an unused one is only mentioned; and an order that changed while the version stayed.";
    Conservation "conservation" "positions" TransactionTorn [ConservationBroken]
        "Every \"Position\" equals the sum of the fills of its \"Order\" rows, and every order has its audit row: true for every committed transaction, false for a torn one."
        "Whole transactions that are missing, and tables outside the trading fixture.";
    Integrity "integrity" "checks" SequenceBehind [IntegrityFailed]
        "Calls verify_backup_integrity(), the function by which the database is asked after a real restore as well: counts, keys, references, conservation, audit rows, sequences, indexes, and amcheck where it is installed. Of a backup that was there already, in each database that has it."
        "Whatever agrees with itself: whole transactions that are missing, and values that are possible but wrong.";
    Amcheck "amcheck" "relations" IndexOutOfOrder [RelationCorrupt]
        "Verifies the structure of every table and B-tree index of every database with PostgreSQL's own amcheck, and that each row is found in each of its indexes. PostgreSQL 13 has it for indexes alone."
        "Hash, GiST, GIN, SP-GiST and BRIN indexes, rows that are missing from table and index alike, and values that are possible but wrong.";
    PageChecksums "page-checksums" "pages" IndexBitFlip [PageChecksumFailed, PageChecksumsOff]
        "Reads every page of every relation file from disk and verifies its checksum and header; the header alone where a backup that was there already is of a cluster without checksums."
        "Files that hold no pages (transaction status, control file), and damage from before the checksum was written.";
    Manifest "manifest" "files" ManifestRewritten [ManifestMismatch]
        "Verifies every file of the backup that was restored against the backup's manifest with PostgreSQL's own pg_verifybackup, the WAL that came with it, and the manifest against what it was when the backup ended."
        "The WAL archive, and damage from before the backup was taken.";
    Verify "verify" "files" FileExtra [ManifestMismatch, BackupUnfit, PageChecksumFailed, PageFromLater, WalDamaged, WalGap, BackupChainBroken, ManifestMissing, BackupUnreadable]
        "Reads the backup that was restored as `pgdrill verify` does: every file against the manifest, every page, what a server needs to start on it, and the WAL that it needs."
        "The WAL archive, damage from before the backup was taken, and a manifest that was made anew.";
    ServerLog "server-log" "lines" StatementFails [ServerLogError]
        "Reads the restored server's log, after all other checks, and reports every ERROR, FATAL and PANIC line that the drill did not cause itself and no other finding tells already."
        "Trouble that the server does not log: recovery that ends early is only a LOG line.";
    FirstWrite "first-write" "writes" GrantLost [FirstWriteFailed]
        "Places an order on the recovered server with the application's own role, and reads it back. Of a backup that was there already, commits a transaction in each database."
        "Statements of the application other than this one.";
    ArchiveUntouched "archive-untouched" "files" ArchiveWritten [ArchiveChanged]
        "Names, sizes, times, inodes and content of every file in the WAL archive are the same before the restore and after. Where a backup was there already, names, sizes, times and inodes of its files and of the WAL that a recovery of it can ask for."
        "Damage that was in the archive before the restore, and what comes into an archive that is in use.";
    Queries "queries" "queries" RowDeleted [QueryMissed, QueryFailed, QueryUndecided]
        "Asks what the scenario asks under `queries`: each in a transaction of its own that only reads, in its database and as its role, and compares the answer with what is expected: a value, bounds of a number, or a number of rows."
        "What no query asks for. A query that holds says nothing of rows that it does not look at.";
}

impl Check {
    /// The catalogue's row for this check.
    pub fn entry(self) -> &'static CheckEntry {
        // The macro writes the enum and the table in the same order.
        &CHECKS[self as usize]
    }

    /// The name in the scenario language.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Every check that can be made of any drill: without writers there is no ledger.
    pub fn all_of(works: bool) -> Vec<Self> {
        let own = |check: &Self| *check != Self::Queries && (works || *check != Self::Ledger);
        Self::all().into_iter().filter(own).collect()
    }

    /// These checks, and that of a scenario's own queries where it has some. It is asked for nowhere else: where nobody has
    /// a question, none is missing.
    pub fn and_queries(mut checks: Vec<Self>, queries: bool) -> Vec<Self> {
        if queries {
            checks.push(Self::Queries);
        }
        checks
    }

    /// Every check that can be made of a drill whose backups pgBackRest takes.
    pub fn all_of_repository(works: bool) -> Vec<Self> {
        Self::all_of(works).into_iter().filter(|check| !check.reads_the_backup()).collect()
    }

    /// Every check that can be made of a drill whose backups the low-level API takes: they have no manifest.
    pub fn all_of_low_level(works: bool) -> Vec<Self> {
        Self::all_of(works).into_iter().filter(|check| *check != Self::Manifest).collect()
    }

    /// Every check that can be made of a drill whose backups are taken so.
    pub fn all_of_tool(tool: BackupTool, works: bool) -> Vec<Self> {
        match tool {
            // Barman keeps the files as `pg_basebackup` made them.
            BackupTool::PgBasebackup | BackupTool::Barman => Self::all_of(works),
            BackupTool::PgBackRest => Self::all_of_repository(works),
            BackupTool::LowLevel => Self::all_of_low_level(works),
            BackupTool::PgDump => Self::all_of_dump(works),
        }
    }

    /// Every check that can be made of a drill whose backups are dumps.
    pub fn all_of_dump(works: bool) -> Vec<Self> {
        Self::all_of(works).into_iter().filter(|check| check.is_of_dumps()).collect()
    }

    /// Whether it can be made of what came out of a dump, which has no files of a server and is ordered anew where it is loaded.
    pub fn is_of_dumps(self) -> bool {
        !self.reads_the_backup() && self != Self::Collations
    }

    /// Whether it reads the files of a base backup where they are stored: a repository of pgBackRest holds none.
    pub fn reads_the_backup(self) -> bool {
        matches!(self, Self::Manifest | Self::Verify)
    }

    /// Whether it reads each table of users in full, and so counts its rows.
    pub fn counts_rows(self) -> bool {
        matches!(self, Self::RowCounts | Self::Fingerprints | Self::Ledger | Self::ReadAll)
    }

    /// Every check that can be made of a server recovered from a backup that was there already, which is verified on its way to
    /// disk. Without a baseline nobody knows what it must hold.
    pub fn all_of_given(baseline: bool) -> Vec<Self> {
        let needs_more = |check: &Self| match check {
            Self::RowCounts | Self::Fingerprints | Self::Catalog | Self::Sequences => !baseline,
            Self::Ledger | Self::Conservation | Self::Manifest | Self::Verify | Self::Queries => true,
            _ => false,
        };
        Self::all().into_iter().filter(|check| !needs_more(check)).collect()
    }

    /// Every check.
    pub fn all() -> Vec<Self> {
        CHECKS.iter().map(|entry| entry.check).collect()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        CHECKS
            .iter()
            .find(|entry| entry.name == text)
            .map(|entry| entry.check)
            .ok_or_else(|| format!("there is no check '{text}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Weight;

    #[test]
    fn every_check_finds_its_own_row_and_can_disprove() {
        for (index, entry) in CHECKS.iter().enumerate() {
            assert_eq!(entry.check as usize, index);
            assert_eq!(entry.name.parse::<Check>().unwrap(), entry.check);
            assert_eq!(serde_json::to_string(&entry.check).unwrap(), format!("\"{}\"", entry.name));
            assert!(entry.codes.iter().any(|code| code.weight() == Weight::Disproves), "{}", entry.name);
            assert!(!entry.blind.is_empty());
        }
    }
}
