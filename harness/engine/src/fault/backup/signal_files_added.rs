//! `signal-files-added`: `recovery.signal` and `standby.signal` lie in the backup already.

use std::collections::BTreeMap;

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATHS: [&str; 2] = ["recovery.signal", "standby.signal"];

pub(super) fn run(stored: &mut Stored) -> Done {
    let edits: BTreeMap<String, Edit> =
        PATHS.iter().map(|path| ((*path).to_owned(), Edit::Write(Vec::new()))).collect();
    stored.backup.edit(edits)?;
    Ok(format!("{} are there", PATHS.join(" and ")))
}
