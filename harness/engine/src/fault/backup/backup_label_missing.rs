//! `backup-label-missing`: `backup_label` was removed.

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATH: &str = "backup_label";

pub(super) fn run(stored: &mut Stored) -> Done {
    stored.content(PATH)?;
    stored.edit(PATH, Edit::Remove)?;
    Ok(format!("{PATH} is gone"))
}
