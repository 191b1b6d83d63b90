//! `archive-forbidden`: a segment that a recovery reads may be read by nobody but root.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    if !rustix::process::geteuid().is_root() {
        return not_here("pgdrill itself could not read the archive any more; as root it can");
    }
    let segment = stored.segment()?;
    // A file of its own: access rights belong to all names of a file.
    replace(&segment.path, &fs::read(&segment.path)?)?;
    fs::set_permissions(&segment.path, fs::Permissions::from_mode(0o000))?;
    Ok(format!("{} has mode 0000", segment.name))
}
