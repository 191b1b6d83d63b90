//! `commit-log-bit-flip`: one bit of `pg_xact`, where it says how transactions ended. No page of it has a checksum.

use super::super::stored::{Done, Stored, not_here, not_zero};

pub(super) fn run(stored: &mut Stored) -> Done {
    let files: Vec<String> =
        stored.backup.list()?.into_keys().filter(|path| path.starts_with("pg_xact/")).collect();
    // What is zero says nothing of any transaction yet.
    match files.last() {
        Some(path) => stored.flip_in(path, not_zero),
        None => not_here(format!("{} has no pg_xact", stored.name)),
    }
}
