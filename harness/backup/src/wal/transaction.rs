//! What a transaction did, as far as the WAL tells, and where recovery must stop to be rid of it.

use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::Relation;
use serde::Serialize;

use super::open::FIRST_USER;
use super::tally::Commit;

/// A committed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// Its commit.
    pub commit: Commit,
    /// Its first record, as far as it was read.
    pub first: Lsn,
    /// Recovery that stops before this record (`recovery_target_lsn` with `recovery_target_inclusive` off) is rid of the
    /// transaction.
    pub stop_before: Lsn,
    /// Whether that record comes before the commit, because what it says takes effect at once. To stop before the commit
    /// (`recovery_target_xid` with `recovery_target_inclusive` off) is too late then.
    pub before_commit: bool,
    /// Subtransactions, whose work is counted here.
    pub subtransactions: u64,
    /// Records.
    pub records: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// The name under which it was prepared; empty when it was prepared before the WAL that was read.
    pub gid: Option<String>,
    /// What it did beside changing rows.
    pub deeds: Vec<Deed>,
    /// Rows that it changed, by relation.
    pub relations: Vec<Rows>,
    /// Rows of further relations.
    pub other_rows: u64,
    /// Rows of the system catalogs: what defines tables, roles and the like.
    pub catalog_rows: u64,
}

/// What a transaction does beside changing rows. Relations are told by the names of their files, as `pg_waldump` writes
/// them: tablespace, database, number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Deed {
    /// A database was made.
    CreateDatabase {
        /// Its OID.
        database: u32,
    },
    /// A database was dropped.
    DropDatabase {
        /// Its OID.
        database: u32,
    },
    /// A tablespace was made.
    CreateTablespace {
        /// Its OID.
        tablespace: u32,
        /// Its directory; empty for one within the data directory.
        path: String,
    },
    /// A tablespace was dropped.
    DropTablespace {
        /// Its OID.
        tablespace: u32,
    },
    /// Tables, indexes or others were dropped.
    Drop {
        /// How many files of relations went with the transaction.
        files: u64,
        /// Some of them.
        of: Vec<String>,
    },
    /// Tables were truncated: empty files took the place of theirs.
    Truncate {
        /// How many files of relations went with the transaction.
        files: u64,
        /// Some of them.
        of: Vec<String>,
    },
    /// Tables or indexes were written anew (`VACUUM FULL`, `CLUSTER`, `REINDEX`, some ways of `ALTER TABLE`).
    Rewrite {
        /// How many files of relations went with the transaction.
        files: u64,
        /// Some of them.
        of: Vec<String>,
    },
}

/// Rows of one relation that a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// OID of its tablespace.
    pub tablespace: u32,
    /// OID of its database; 0 for one that all share.
    pub database: u32,
    /// Number of its file: `relfilenode` in `pg_class`, and at first the OID of the table.
    pub relation: u32,
    /// Rows added.
    pub inserts: u64,
    /// Rows replaced.
    pub updates: u64,
    /// Rows removed.
    pub deletes: u64,
}

impl Transaction {
    /// Whether it may be the accident that somebody looks for: it drops or truncates something, or removes or replaces at
    /// least `many` rows of one relation.
    pub fn is_notable(&self, many: u64) -> bool {
        let deed = |deed: &Deed| match deed {
            Deed::DropDatabase { .. }
            | Deed::DropTablespace { .. }
            | Deed::Drop { .. }
            | Deed::Truncate { .. } => true,
            Deed::CreateDatabase { .. } | Deed::CreateTablespace { .. } | Deed::Rewrite { .. } => false,
        };
        self.deeds.iter().any(deed)
            || self.relations.iter().any(|rows| rows.deletes.saturating_add(rows.updates) >= many)
    }
}

impl Rows {
    pub(super) fn of(relation: Relation) -> Self {
        let Relation { tablespace, database, number } = relation;
        Self { tablespace, database, relation: number, inserts: 0, updates: 0, deletes: 0 }
    }

    pub(super) fn is_of(&self, relation: Relation) -> bool {
        (self.relation, self.database, self.tablespace)
            == (relation.number, relation.database, relation.tablespace)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.relation, self.database, self.tablespace) == (other.relation, other.database, other.tablespace)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
    }

    /// Its name as `pg_waldump` writes it.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.tablespace, self.database, self.relation)
    }

    /// Whether it is one of PostgreSQL's own.
    pub fn is_catalog(&self) -> bool {
        self.relation < FIRST_USER
    }
}
