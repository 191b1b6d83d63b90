//! `history-garbage`: the history of the newest timeline is garbage; where there is none, that of the next one is there.

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    let newest = stored.archived()?.iter().map(|segment| segment.timeline).max();
    let name = format!("{:08X}.history", newest.unwrap_or(stored.timeline).max(2));
    replace(&stored.archive.join(&name), b"\x7fELF\x02\x01\x01 this is no history\n")?;
    Ok(format!("{name} is garbage"))
}
