//! The faults of `restore_command`: `fetch-says-nothing`, `fetch-fails`, `fetch-slow`, `fetch-program-missing` and
//! `fetch-killed`. What PostgreSQL makes of each is in `RestoreArchivedFile` (`src/backend/access/transam/xlogarchive.c`).

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Member;

use super::super::not_made;
use super::super::stored::{Stored, Trouble};
use crate::drill::Drill;

/// The command that takes the place of the right one, and what it does; none where the fault is no such.
pub(super) fn command(
    drill: &Drill<'_>,
    fault: Fault,
    chain: &[Member],
) -> Result<Option<(String, String)>, Unable> {
    Ok(Some(match fault {
        Fault::FetchSaysNothing => {
            ("true".to_owned(), "restore_command ends with exit code 0 and gives no file".to_owned())
        }
        Fault::FetchFails => {
            let newest: Vec<Member> = chain.iter().rev().take(1).cloned().collect();
            let mut stored = Stored::of(drill, fault, &newest, None)?;
            let last = stored.segment().map_err(|trouble| match trouble {
                Trouble::NotHere(why) | Trouble::Failed(why) => not_made(fault, &why),
            })?;
            (
                format!("[ \"%f\" \\< {} ] && cp \"$ARCHIVE/%f\" \"%p\"", last.name),
                format!("restore_command fails with exit code 1 from {} on", last.name),
            )
        }
        Fault::FetchSlow => (
            "sleep 0.5; cp \"$ARCHIVE/%f\" \"%p\" 2>/dev/null".to_owned(),
            "restore_command takes half a second for each file".to_owned(),
        ),
        Fault::FetchProgramMissing => (
            "/nonexistent/wal-fetch \"$ARCHIVE/%f\" \"%p\"".to_owned(),
            "the program of restore_command is not there".to_owned(),
        ),
        Fault::FetchKilled => {
            ("kill -ABRT $$; cp \"$ARCHIVE/%f\" \"%p\"".to_owned(), "restore_command crashes".to_owned())
        }
        _ => return Ok(None),
    }))
}
