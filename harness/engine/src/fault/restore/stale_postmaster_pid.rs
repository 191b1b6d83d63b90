//! `stale-postmaster-pid`: a lock file of a postmaster that is long gone lies among the restored files, as where the data
//! directory of a running server was copied (`CreateLockFile`, `src/backend/utils/init/miscinit.c`).

use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use crate::drill::Drill;

/// Higher than any number that Linux gives (`PID_MAX_LIMIT`).
const NOBODY: u32 = 4_194_304 + 4711;

pub(super) fn run(drill: &Drill<'_>, server: Name) -> Result<String, Unable> {
    let text = format!("{NOBODY}\n/var/lib/postgresql/data\n1700000000\n5432\n\n\n");
    drill.workspace.write(format!("{}/postmaster.pid", server.name()), &text, 0o600)?;
    Ok(format!("postmaster.pid names process {NOBODY}, which nobody is"))
}
