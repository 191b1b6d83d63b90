//! `archive-littered`: files lie in the archive that are no WAL.

use std::fs;

use pgdrill_backup::members::replace;
use pgdrill_ondisk::segment;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let label = segment::name(stored.timeline, stored.begin.0, stored.segment_size);
    let files = ["README", &format!("{label}.00000028.backup"), ".nfs000000012"];
    for name in files {
        replace(&stored.archive.join(name), b"not WAL\n")?;
    }
    fs::create_dir(stored.archive.join("lost+found"))?;
    Ok(format!("{} and lost+found are there", files.join(", ")))
}
