//! `commit-log-bit-flip`: one bit of `pg_xact`, where it says how transactions ended. No page of it has a checksum.

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let files: Vec<String> =
        stored.backup.list()?.into_keys().filter(|path| path.starts_with("pg_xact/")).collect();
    let Some(path) = files.last() else { return not_here(format!("{} has no pg_xact", stored.name)) };
    let mut content = stored.content(path)?;
    // What is zero says nothing of any transaction yet.
    let places: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
    let what = stored.flip(&mut content, &places)?;
    stored.edit(path, Edit::Write(content))?;
    Ok(format!("{what} of {path} is another"))
}
