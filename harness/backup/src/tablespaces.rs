//! Where the tablespaces of a backup lead. A restored server that follows a link to a live tablespace writes into
//! it, and a DROP TABLESPACE replayed there removes the live one's files: so links are looked at before a start.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use pgdrill_ondisk::tablespace::{self, Mapping};

use crate::parts::Part;
use crate::{Unreadable, parts, tarball, unpack};

/// The file in a data directory that names its tablespaces.
pub const MAP: &str = "tablespace_map";

/// The tablespaces of the backup in `directory`, plain or in tar format.
///
/// # Errors
///
/// A backup that cannot be read so far, or a map that is malformed.
pub fn of_backup(directory: &Path) -> Result<Vec<Mapping>, Unreadable> {
    let Some(base) = parts::of_tar(directory).into_iter().find(|part| part.stem == "base") else {
        return of_data_directory(directory);
    };
    let read = |to_its_end| map_in_tar(unpack::of_part(&base)?, to_its_end);
    // Somebody may have packed it anew, in another order.
    let has_tablespaces = parts::of_tar(directory).iter().any(Part::is_tablespace);
    let map = match read(false) {
        Ok(None) if has_tablespaces => read(true),
        read => read,
    };
    let map = map.map_err(|error| Unreadable::new(&base.path, error.to_string()))?;
    parse(&base.path, &map.unwrap_or_default())
}

/// The tablespaces that the map in the one tar of a data directory names.
///
/// # Errors
///
/// As of any backup.
pub fn of_one_tar(part: &Part) -> Result<Vec<Mapping>, Unreadable> {
    let unreadable = |error: io::Error| Unreadable::new(&part.path, error.to_string());
    // What pg_basebackup wrote begins with it.
    let early = unpack::of_part(part).and_then(|stream| map_in_tar(stream, false)).map_err(unreadable)?;
    let mut map = early;
    if map.is_none() && !begins_with_label(part) {
        let stream = unpack::of_part(part).map_err(unreadable)?;
        let read = tarball::read(stream, |member, content| {
            let path = member.path.as_deref().and_then(|path| part.path_of(path));
            if path.as_deref() != Some(MAP.as_bytes()) {
                return Ok(());
            }
            let mut text = String::new();
            content.take(MAP_BYTES).read_to_string(&mut text)?;
            map = Some(text);
            Err(io::Error::other("nothing more is wanted"))
        });
        if let (Err(broken), None) = (read, &map) {
            return Err(Unreadable::new(&part.path, broken.to_string()));
        }
    }
    parse(&part.path, &map.unwrap_or_default())
}

/// Whether the label is the first member, as `pg_basebackup` writes it: then the map is the next, or there is none.
fn begins_with_label(part: &Part) -> bool {
    let first = || {
        let mut archive = tar::Archive::new(unpack::of_part(part).ok()?);
        let entry = archive.entries().ok()?.next()?.ok()?;
        Some(entry.path_bytes().as_ref() == b"backup_label")
    };
    first().unwrap_or(false)
}

/// The tablespaces of a data directory: those of its map, and the links that are there.
///
/// # Errors
///
/// A directory that cannot be read, or a map that is malformed.
pub fn of_data_directory(directory: &Path) -> Result<Vec<Mapping>, Unreadable> {
    let mut found = map(directory)?.unwrap_or_default();
    found.extend(links(directory));
    Ok(found)
}

/// The tablespaces that a data directory has links for, by OID, and where the links lead.
pub fn links(directory: &Path) -> Vec<Mapping> {
    let links = directory.join("pg_tblspc");
    let Ok(entries) = fs::read_dir(&links) else { return Vec::new() };
    let mut found: Vec<Mapping> = entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let absolute = if target.is_absolute() { target } else { links.join(target) };
            Some(Mapping {
                oid: entry.file_name().to_string_lossy().into_owned(),
                path: absolute.to_string_lossy().into_owned(),
            })
        })
        .collect();
    found.sort_by(|a, b| a.oid.cmp(&b.oid));
    found
}

/// Whether a data directory holds tablespaces that have no place of their own (`allow_in_place_tablespaces`).
pub fn has_in_place(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory.join("pg_tblspc")).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

/// The tablespaces that a data directory's map names; none where it has no map.
///
/// # Errors
///
/// A map that cannot be read, or is malformed.
pub fn map(directory: &Path) -> Result<Option<Vec<Mapping>>, Unreadable> {
    let path = directory.join(MAP);
    match fs::read_to_string(&path) {
        Ok(map) => parse(&path, &map).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Unreadable::new(&path, error.to_string())),
    }
}

/// Whether `path` leaves `root`, by its text or through a link.
pub fn leaves(path: &Path, root: &Path) -> bool {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    // The part that exists may itself go through links.
    let real = plain.ancestors().find_map(|part| {
        let resolved = fs::canonicalize(part).ok()?;
        Some(resolved.join(plain.strip_prefix(part).ok()?))
    });
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    !real.unwrap_or(plain).starts_with(root)
}

/// More than a map of ten thousand tablespaces has.
const MAP_BYTES: u64 = 16 << 20;

/// The map's text from a base backup's tar; none where it has none. The server sends it among the first members, before
/// any data (`perform_base_backup`, `src/backend/backup/basebackup.c`), so nothing more is read unless it is to be.
fn map_in_tar(stream: impl Read, to_its_end: bool) -> io::Result<Option<String>> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries()? {
        let entry = entry?;
        match entry.path()?.to_str() {
            Some(MAP) => {
                if entry.size() > MAP_BYTES {
                    return Err(io::Error::other(format!(
                        "{MAP} has {} bytes, which no map has",
                        entry.size()
                    )));
                }
                let mut text = String::new();
                entry.take(MAP_BYTES).read_to_string(&mut text)?;
                return Ok(Some(text));
            }
            Some("backup_label") => {}
            _ if to_its_end => {}
            _ => break,
        }
    }
    Ok(None)
}

fn parse(path: &Path, map: &str) -> Result<Vec<Mapping>, Unreadable> {
    tablespace::read(map).map_err(|error| Unreadable::new(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use rstest::rstest;
    use std::io::Write;

    fn tar_with_map() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in
            [("backup_label", "START WAL"), (MAP, "16400 /srv/live\n"), ("PG_VERSION", "15\n")]
        {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_cksum();
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[rstest]
    fn the_map_is_found_in_a_tar_without_unpacking_it(#[values(false, true)] gzip: bool) {
        let directory = tempfile::tempdir().unwrap();
        if gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&tar_with_map()).unwrap();
            fs::write(directory.path().join("base.tar.gz"), encoder.finish().unwrap()).unwrap();
        } else {
            fs::write(directory.path().join("base.tar"), tar_with_map()).unwrap();
        }
        let expected = Mapping { oid: "16400".to_owned(), path: "/srv/live".to_owned() };
        assert_eq!(of_backup(directory.path()).unwrap(), [expected]);
    }

    #[test]
    fn a_tar_that_is_cut_is_unreadable() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("base.tar"), &tar_with_map()[..700]).unwrap();
        assert!(of_backup(directory.path()).is_err());
    }

    #[test]
    fn links_of_a_data_directory_are_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("pg_tblspc")).unwrap();
        std::os::unix::fs::symlink("/srv/live", directory.path().join("pg_tblspc/16400")).unwrap();
        assert_eq!(of_data_directory(directory.path()).unwrap()[0].path, "/srv/live");
    }

    #[test]
    fn a_path_leaves_by_text_or_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink("/srv", root.path().join("link")).unwrap();
        assert!(!leaves(&inside, root.path()));
        assert!(!leaves(&inside.join("not/there/yet"), root.path()));
        assert!(leaves(&inside.join("../../out"), root.path()));
        assert!(leaves(&root.path().join("link/ts"), root.path()));
        assert!(leaves(Path::new("/srv/ts"), root.path()));
    }
}
