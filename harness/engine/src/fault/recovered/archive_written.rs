//! `archive-written`: the history of the restored server's own timeline gets into the archive.

use std::fs;

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::not_made;
use crate::archiving;
use crate::drill::Drill;

pub(super) fn run(drill: &Drill<'_>, on: Name) -> Result<String, Unable> {
    let fault = Fault::ArchiveWritten;
    let failed = |error: std::io::Error| not_made(fault, &error.to_string());
    let wal = drill.workspace.data(on).join("pg_wal");
    let mut histories: Vec<_> = fs::read_dir(&wal)
        .map_err(failed)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "history"))
        .collect();
    histories.sort();
    let Some(newest) = histories.pop() else {
        return Err(not_made(fault, "the restored server has no timeline of its own"));
    };
    let name = newest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let archive = drill.workspace.path(archiving::directory(&drill.made.archive));
    fs::copy(&newest, archive.join(&name)).map_err(failed)?;
    Ok(format!("{name} of the restored server is in the archive"))
}
