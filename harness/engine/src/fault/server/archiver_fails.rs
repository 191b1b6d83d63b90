//! `archiver-fails`: from now on `archive_command` fails, and nobody looks.

use pgdrill_model::finding::Unable;

use crate::drill::Drill;
use crate::workspace::STOPPED;

pub(super) fn run(drill: &Drill<'_>) -> Result<String, Unable> {
    drill.workspace.write(format!("archive/{STOPPED}"), "", 0o600)?;
    Ok("archive_command fails from now on".to_owned())
}
