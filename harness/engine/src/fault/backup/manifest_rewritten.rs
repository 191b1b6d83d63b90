//! `manifest-rewritten`: a table's file and its line in the manifest are gone, and the manifest's own checksum is right
//! again.

use std::collections::BTreeMap;

use pgdrill_backup::members::Edit;
use pgdrill_ondisk::items::Kind;
use pgdrill_ondisk::manifest::edit::without;

use super::super::stored::{Done, Stored, not_here};
use super::relations::of_fixture;

const MANIFEST: &str = "backup_manifest";

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 1)?;
    let Some((path, _)) = files.last() else { return not_here("there is no table") };
    let manifest = String::from_utf8_lossy(&stored.content(MANIFEST)?).into_owned();
    let Some(rewritten) = without(&manifest, path) else {
        return not_here(format!("the manifest does not list {path} in a line of its own"));
    };
    stored.backup.edit(BTreeMap::from([
        (path.clone(), Edit::Remove),
        (MANIFEST.to_owned(), Edit::Write(rewritten.into_bytes())),
    ]))?;
    Ok(format!("{path} is gone, from the backup and from its manifest, whose checksum is right"))
}
