//! `tablespace-missing`: the files of a tablespace are gone: its tar, or its directory beside a plain backup.

use std::fs;

use pgdrill_backup::parts::beside;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let tars: Vec<_> = stored.backup.parts().iter().filter(|part| part.is_tablespace()).cloned().collect();
    if let Some(part) = stored.one_of(&tars) {
        fs::remove_file(&part.path)?;
        return Ok(format!("{} is gone", part.name()));
    }
    let mut directories = Vec::new();
    for entry in fs::read_dir(beside(&stored.directory)).into_iter().flatten() {
        directories.push(entry?.path());
    }
    directories.sort();
    let Some(directory) = stored.one_of(&directories).cloned() else {
        return not_here(format!("{} has no tablespace", stored.name));
    };
    fs::remove_dir_all(&directory)?;
    let oid = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("the files of tablespace {oid} are gone"))
}
