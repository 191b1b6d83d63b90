//! `own-wal-missing`: the WAL that came with the backup is gone: its tar, or every segment of a plain one.

use std::collections::BTreeMap;
use std::fs;

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    if let Some(part) = stored.backup.parts().iter().find(|part| part.stem == "pg_wal") {
        fs::remove_file(&part.path)?;
        return Ok(format!("{} is gone", part.name()));
    }
    let segments: BTreeMap<String, Edit> = stored
        .backup
        .list()?
        .into_keys()
        .filter(|path| path.strip_prefix("pg_wal/").is_some_and(|name| !name.contains('/')))
        .map(|path| (path, Edit::Remove))
        .collect();
    let count = segments.len();
    if count == 0 {
        return not_here(format!("{} has no WAL of its own", stored.name));
    }
    stored.backup.edit(segments)?;
    Ok(format!("{count} files of pg_wal are gone"))
}
