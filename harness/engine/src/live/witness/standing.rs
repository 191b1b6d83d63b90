//! Which server it is, what of the witness is there, and what a role may do with it; each lack with the statement that mends it.

use pgdrill_model::witness::System;
use tokio_postgres::{Client, Error};

use super::super::refused::Refused;
use super::within;

const STANDING: &str = include_str!("../../sql/live_witness_standing.sql");

/// What the comment on the table begins with; another table of that name is not touched.
const OURS: &str = "pgdrill witness/1";

/// How a server stands to the witness.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub system: System,
    pub database: String,
    pub has_schema: bool,
    pub has_table: bool,
    pub may_make_points: bool,
    in_recovery: bool,
    read_only: bool,
    comment: String,
    role: String,
    quoted_database: String,
    may_create_schema: bool,
    may_create_table: bool,
    owns_table: bool,
    owns_schema: bool,
    may_use: bool,
    may_write: bool,
}

/// The identifier of a cluster, which has 64 bits without a sign.
pub(super) fn system(signed: i64) -> System {
    System(signed.cast_unsigned())
}

impl Standing {
    pub(super) async fn ask(client: &Client) -> Result<Self, Refused> {
        within(Self::read(client), "asking the server what it is").await
    }

    async fn read(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(STANDING, &[]).await?;
        Ok(Self {
            system: system(row.try_get("system")?),
            database: row.try_get("database")?,
            has_schema: row.try_get("has_schema")?,
            has_table: row.try_get("has_table")?,
            may_make_points: row.try_get("may_make_points")?,
            in_recovery: row.try_get("in_recovery")?,
            read_only: row.try_get("read_only")?,
            comment: row.try_get("comment")?,
            role: row.try_get("role")?,
            quoted_database: row.try_get("quoted_database")?,
            may_create_schema: row.try_get("may_create_schema")?,
            may_create_table: row.try_get("may_create_table")?,
            owns_table: row.try_get("owns_table")?,
            owns_schema: row.try_get("owns_schema")?,
            may_use: row.try_get("may_use")?,
            may_write: row.try_get("may_write")?,
        })
    }

    pub(super) fn expect_writable(&self, what: &str) -> Result<(), Refused> {
        if self.in_recovery {
            return Err(Refused::new(
                format!("cannot {what} this server: it is a standby, which cannot be written to"),
                "name the primary; the beats come to its standbys by themselves",
            ));
        }
        if self.read_only {
            return Err(Refused::new(
                format!(
                    "cannot {what} this server: its transactions are read-only (default_transaction_read_only)"
                ),
                "find out who set that, and why",
            ));
        }
        Ok(())
    }

    pub(super) fn expect_ours(&self) -> Result<(), Refused> {
        if !self.has_table || self.comment.starts_with(OURS) {
            return Ok(());
        }
        Err(Refused::new(
            format!("database {} has a table pgdrill.witness that pgdrill did not make", self.database),
            "name another database; the table is not touched",
        ))
    }

    pub(super) fn expect_may_install(&self) -> Result<(), Refused> {
        let (may, grant) = if self.has_schema {
            (self.may_create_table, format!("GRANT CREATE, USAGE ON SCHEMA pgdrill TO {}", self.role))
        } else {
            (
                self.may_create_schema,
                format!("GRANT CREATE ON DATABASE {} TO {}", self.quoted_database, self.role),
            )
        };
        if may {
            return Ok(());
        }
        let what = if self.has_schema { "make a table in schema pgdrill" } else { "make a schema" };
        Err(Refused::new(
            format!("role {} may not {what} in database {}", self.role, self.database),
            format!("let its owner say `{grant}`, or install by another role"),
        ))
    }

    pub(super) fn expect_may_beat(&self) -> Result<(), Refused> {
        if !self.has_table {
            return Err(Refused::new(
                format!("database {} has no table pgdrill.witness", self.database),
                "make it with `pgdrill live witness install`, or name the database that has it",
            ));
        }
        match self.to_write().as_slice() {
            [] => Ok(()),
            grants => Err(Refused::new(
                format!("role {} may not write to pgdrill.witness in database {}", self.role, self.database),
                format!("let its owner say `{}`", grants.join("; ")),
            )),
        }
    }

    pub(super) fn expect_may_remove(&self) -> Result<(), Refused> {
        if self.owns_table || self.owns_schema {
            return Ok(());
        }
        Err(Refused::new(
            format!("role {} does not own pgdrill.witness in database {}", self.role, self.database),
            "remove it by the role that installed it, or by a superuser",
        ))
    }

    /// Grants without which no beat can be written.
    fn to_write(&self) -> Vec<String> {
        let mut grants = Vec::new();
        if !self.may_use {
            grants.push(format!("GRANT USAGE ON SCHEMA pgdrill TO {}", self.role));
        }
        if !self.may_write {
            grants.push(format!("GRANT SELECT, INSERT, DELETE ON pgdrill.witness TO {}", self.role));
        }
        grants
    }

    /// What this role lacks, with what would mend it.
    pub(super) fn lacks(&self) -> Vec<String> {
        let mut lacks = self.to_write();
        if !self.may_make_points {
            lacks.push(format!("GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO {}", self.role));
        }
        lacks
    }
}
