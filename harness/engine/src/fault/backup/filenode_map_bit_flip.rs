//! `filenode-map-bit-flip`: one bit of the map that tells in which files the shared catalogs lie, within what its own
//! checksum is over (`src/backend/utils/cache/relmapper.c`).

use pgdrill_backup::members::Edit;

use super::super::stored::{Done, Stored};

const PATH: &str = "global/pg_filenode.map";

/// Before the checksum in every major from 13 on, whose maps have room for 62 or 64 relations of 8 bytes.
const CHECKED: usize = 8 + 62 * 8;

pub(super) fn run(stored: &mut Stored) -> Done {
    let mut content = stored.content(PATH)?;
    let places: Vec<usize> = (8..CHECKED.min(content.len())).collect();
    let what = stored.flip(&mut content, &places)?;
    stored.edit(PATH, Edit::Write(content))?;
    Ok(format!("{what} of {PATH} is another"))
}
