//! `backup-wal-bit-flip`: one bit of the WAL that came with the backup, between its beginning and its end.

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored, not_here};
use super::own_wal::needed;

pub(super) fn run(stored: &mut Stored) -> Done {
    let segments = needed(stored)?;
    let Some((path, range)) = stored.one_of(&segments).cloned() else {
        return not_here(format!("{} has no WAL of its own", stored.name));
    };
    let mut content = stored.content(&path)?;
    // Zeros may stand between two records, where no checksum is over them.
    let places: Vec<usize> = range.filter(|at| content.get(*at).is_some_and(|byte| *byte != 0)).collect();
    let what = stored.flip(&mut content, &places)?;
    stored.edit(&path, Edit::Write(content))?;
    Ok(format!("{what} of {path} is another"))
}
