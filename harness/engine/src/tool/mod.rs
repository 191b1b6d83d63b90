//! The programs that take backups and unpack them: one file each, and this table of them.

pub mod copy;
pub mod pg_basebackup;
pub mod pg_combinebackup;
pub mod tar;
