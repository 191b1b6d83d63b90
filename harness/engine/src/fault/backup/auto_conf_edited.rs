//! `auto-conf-edited`: `postgresql.auto.conf` has a line more. No manifest minds, and a restored server never reads it.

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATH: &str = "postgresql.auto.conf";

pub(super) fn run(stored: &mut Stored) -> Done {
    let mut content = stored.content(PATH)?;
    content.extend_from_slice(b"work_mem = '1MB'\n");
    stored.edit(PATH, Edit::Write(content))?;
    Ok(format!("{PATH} sets work_mem"))
}
