//! The programs that take backups, receive WAL, and unpack or load backups: one file each, and this table of them.

pub mod barman;
pub mod copy;
pub mod pg_basebackup;
pub mod pg_combinebackup;
pub mod pg_dump;
pub mod pg_receivewal;
pub mod pgbackrest;
pub mod tar;
