//! `file-extra`: a file among those of a database that does not belong there: an old copy of a table's.

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::Kind;

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

/// A number that no relation has yet.
const FREE: &str = "4000000000";

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 1)?;
    let Some((like, _)) = files.last() else { return not_here("there is no table") };
    let Some((directory, _)) = like.rsplit_once('/') else { return not_here("there is no table") };
    let content = stored.content(like)?;
    let path = format!("{directory}/{FREE}");
    stored.edit(&path, Edit::Write(content))?;
    Ok(format!("{path} is there, and belongs to nothing"))
}
