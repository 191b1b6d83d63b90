//! `backup-wal-bit-flip`: one bit of the WAL that came with the backup, between its beginning and its end.

use super::super::stored::{Done, Stored, not_here, not_zero};
use super::own_wal::needed;

pub(super) fn run(stored: &mut Stored) -> Done {
    let segments = needed(stored)?;
    let Some((path, range)) = stored.one_of(&segments).cloned() else {
        return not_here(format!("{} has no WAL of its own", stored.name));
    };
    stored.flip_in(&path, |content| not_zero(content).into_iter().filter(|at| range.contains(at)).collect())
}
