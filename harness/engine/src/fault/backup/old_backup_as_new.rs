//! `old-backup-as-new`: an older backup lies where the newest should be.

use std::fs;

use pgdrill_backup::members::link_tree;
use pgdrill_backup::parts::beside;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let Some(older) = stored.older.first().cloned() else { return not_here("there is no older backup") };
    if beside(&older).exists() || beside(&stored.directory).exists() {
        return not_here("the links of a plain backup lead to the tablespaces of their own backup");
    }
    fs::remove_dir_all(&stored.directory)?;
    link_tree(&older, &stored.directory)?;
    let older = older.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("{} has the content of {older}", stored.name))
}
