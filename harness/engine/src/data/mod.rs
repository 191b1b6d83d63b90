//! The trading fixture: its SQL, its deterministic rows, and how they get into a server.
//!
//! Rows come in [`block`]s that depend on nothing but the seed and the block's number, so that any part of the data
//! can be made anywhere, in any order, in bounded memory; [`copy`] writes them in PostgreSQL's binary COPY format;
//! [`load`] sends the streams.

pub mod block;
pub mod copy;
pub mod load;

/// Types and tables, without keys.
pub const SCHEMA_SQL: &str = include_str!("sql/schema.sql");

/// Keys, indexes, foreign keys and sequence positions.
pub const CONSTRAINTS_SQL: &str = include_str!("sql/constraints.sql");

/// The application's role and its grants.
pub const GRANTS_SQL: &str = include_str!("sql/grants.sql");

/// The function by which the database is asked whether it agrees with itself.
pub const INTEGRITY_SQL: &str = include_str!("sql/verify_backup_integrity.sql");

/// The database that holds the fixture.
pub const DATABASE: &str = "trading";

/// The role that the application connects as.
pub const APPLICATION_ROLE: &str = "trading_app";
