//! `own-wal-tail`: the WAL that came with the backup is damaged behind the backup's end, where nobody needs it.

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored, not_here};
use super::own_wal::needed;

pub(super) fn run(stored: &mut Stored) -> Done {
    let segments = needed(stored)?;
    let Some((path, range)) = segments.last().cloned() else {
        return not_here(format!("{} has no WAL of its own", stored.name));
    };
    let mut content = stored.content(&path)?;
    // The page in which the backup ends is left whole.
    let tail = range.end.next_multiple_of(8192);
    if tail >= content.len() {
        return not_here("the backup ends in the last page of its last segment");
    }
    content[tail..].fill(0xFF);
    let bytes = content.len() - tail;
    stored.edit(&path, Edit::Write(content))?;
    Ok(format!("the last {bytes} bytes of {path} are all ones"))
}
