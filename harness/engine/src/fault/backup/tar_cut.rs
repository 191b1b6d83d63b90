//! `tar-cut`: the archive of the data directory ends somewhere in its middle.

use std::fs;

use pgdrill_backup::members::replace;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let Some(part) = stored.backup.parts().iter().find(|part| part.stem == "base").cloned() else {
        return not_here(format!("{} has no base.tar", stored.name));
    };
    let mut content = fs::read(&part.path)?;
    let whole = content.len();
    let kept = whole / 4 + stored.below(whole / 2);
    content.truncate(kept);
    replace(&part.path, &content)?;
    Ok(format!("{} has {kept} of its {whole} bytes", part.name()))
}
