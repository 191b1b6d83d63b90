//! `archive-not-mounted`: the archive's directory is there and empty.

use std::fs;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let mut gone = 0;
    for entry in fs::read_dir(&stored.archive)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
        gone += 1;
    }
    Ok(format!("the archive is an empty directory; {gone} files are not in it"))
}
