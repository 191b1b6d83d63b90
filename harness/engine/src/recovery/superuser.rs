//! What the role that may do everything is called in a cluster that somebody else made: `initdb --username` says it, and who asks
//! the server must know it before.

use std::fs;
use std::path::Path;

use pgdrill_ondisk::catalog::{FilenodeMap, PG_AUTHID, bootstrap_superuser};
use pgdrill_ondisk::items::PAGE;

/// Its name, by the files of a data directory that no server has begun to replay upon; none where they do not tell. A role that is
/// renamed by the WAL to come is not seen.
pub fn of_restored(data: &Path) -> Option<String> {
    let global = data.join("global");
    let map = FilenodeMap::read(&fs::read(global.join("pg_filenode.map")).ok()?).ok()?;
    let pages = fs::read(global.join(map.file_of(PG_AUTHID)?.to_string())).ok()?;
    bootstrap_superuser(pages.chunks_exact(PAGE))
}
