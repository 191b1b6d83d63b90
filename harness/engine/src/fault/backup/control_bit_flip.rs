//! `control-bit-flip`: one bit of the control file, within what its own checksum is over
//! (`src/include/catalog/pg_control.h`).

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATH: &str = "global/pg_control";

/// Before the checksum in every major from 13 on.
const CHECKED: usize = 256;

pub(super) fn run(stored: &mut Stored) -> Done {
    let mut content = stored.content(PATH)?;
    // Behind the numbers of version and catalog: a file that names another version is another fault.
    let places: Vec<usize> = (16..CHECKED.min(content.len())).collect();
    let what = stored.flip(&mut content, &places)?;
    stored.edit(PATH, Edit::Write(content))?;
    Ok(format!("{what} of {PATH} is another"))
}
