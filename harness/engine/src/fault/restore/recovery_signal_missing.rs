//! `recovery-signal-missing`: there is no `recovery.signal`, so the server does not recover from the archive at all.

use std::fs;

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::super::not_made;
use crate::drill::Drill;

pub(super) fn run(drill: &Drill<'_>, server: Name) -> Result<String, Unable> {
    let removed = fs::remove_file(drill.workspace.data(server).join("recovery.signal"));
    removed.map_err(|error| not_made(Fault::RecoverySignalMissing, &error.to_string()))?;
    Ok("recovery.signal is not there".to_owned())
}
