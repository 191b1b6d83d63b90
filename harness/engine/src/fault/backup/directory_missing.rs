//! `directory-missing`: an empty directory is gone that no server starts without.

use std::collections::BTreeMap;

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATH: &str = "pg_notify";

pub(super) fn run(stored: &mut Stored) -> Done {
    let mut edits: BTreeMap<String, Edit> = stored
        .backup
        .list()?
        .into_keys()
        .filter(|path| path.starts_with(PATH))
        .map(|path| (path, Edit::Remove))
        .collect();
    stored.backup.edit(std::mem::take(&mut edits))?;
    stored.edit(PATH, Edit::Remove)?;
    Ok(format!("the directory {PATH} is gone"))
}
