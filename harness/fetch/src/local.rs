//! A directory of this host, such as a mounted share, read like a store: `file:///mnt/backups/main`.

use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::BytesMut;

use crate::checksum::Said;
use crate::listing::{Listing, Object};
use crate::place::Failure;
use crate::trouble::{Kind, Trouble};

/// A directory, or a single file.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
}

impl Local {
    /// The directory or file at a path.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The path of an object.
    fn path(&self, name: &str) -> PathBuf {
        if self.root.is_file() { self.root.clone() } else { self.root.join(name) }
    }

    /// What there is.
    pub async fn list(&self) -> Result<Listing, Failure> {
        let root = self.root.clone();
        let listed = tokio::task::spawn_blocking(move || walk(&root));
        listed.await.unwrap_or_else(|error| Err(unreadable(&self.root, &io::Error::other(error))))
    }

    /// One object as it is now.
    pub async fn look(&self, name: &str) -> Result<Object, Failure> {
        let (path, name) = (self.path(name), name.to_owned());
        let looked = tokio::task::spawn_blocking(move || match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(object(name, &metadata)),
            Ok(_) => Err(no_file(&path)),
            Err(error) => Err(unreadable(&path, &error)),
        });
        looked.await.unwrap_or_else(|error| Err(unreadable(&self.root, &io::Error::other(error))))
    }

    /// Puts a range of an object's bytes behind those that are there already.
    pub async fn read(
        &self,
        object: &Object,
        range: Range<u64>,
        bytes: &mut BytesMut,
    ) -> Result<Said, Failure> {
        let (path, object) = (self.path(&object.name), object.clone());
        let read = tokio::task::spawn_blocking(move || read(&path, &object, range));
        let came =
            read.await.unwrap_or_else(|error| Err(unreadable(&self.root, &io::Error::other(error))))?;
        bytes.extend_from_slice(&came);
        Ok(Said::default())
    }
}

fn read(path: &Path, wanted: &Object, range: Range<u64>) -> Result<Vec<u8>, Failure> {
    let failed = |error: &io::Error| unreadable(path, error);
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if object(wanted.name.clone(), &metadata) != *wanted {
        return Err(Failure::Changed);
    }
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut came = vec![0; length];
    match file.read_exact_at(&mut came, range.start) {
        Ok(()) => Ok(came),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::Changed),
        Err(error) => Err(failed(&error)),
    }
}

fn walk(root: &Path) -> Result<Listing, Failure> {
    let metadata = fs::symlink_metadata(root).map_err(|error| unreadable(root, &error))?;
    let mut listing = Listing::default();
    if metadata.is_file() {
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        listing.objects.push(object(name, &metadata));
        return Ok(listing);
    }
    // What was named may be a link, as a mount point often is; nothing below it may.
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((directory, above)) = open.pop() {
        let mut empty = true;
        for entry in fs::read_dir(&directory).map_err(|error| unreadable(&directory, &error))? {
            let entry = entry.map_err(|error| unreadable(&directory, &error))?;
            empty = false;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(|name| format!("{above}{name}")) else {
                return Err(Failure::Lasting(Trouble::new(
                    Kind::Name,
                    format!("the name of {} is not UTF-8", path.display()),
                    "name a directory that holds the backup alone",
                )));
            };
            let metadata = fs::symlink_metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if metadata.is_dir() {
                open.push((path, format!("{name}/")));
            } else if metadata.is_file() {
                listing.objects.push(object(name, &metadata));
            } else {
                return Err(no_file(&path));
            }
        }
        if empty && !above.is_empty() {
            listing.directories.insert(above.trim_end_matches('/').to_owned());
        }
    }
    listing.objects.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listing)
}

fn object(name: String, metadata: &Metadata) -> Object {
    let modified_us =
        metadata.mtime().saturating_mul(1_000_000).saturating_add(metadata.mtime_nsec() / 1_000);
    let etag = format!("{:x}-{:x}-{}", metadata.dev(), metadata.ino(), metadata.mtime_nsec());
    Object { name, size: metadata.len(), etag: Some(etag), modified_us }
}

fn no_file(path: &Path) -> Failure {
    Failure::Lasting(Trouble::new(
        Kind::Name,
        format!("{} is neither a file nor a directory", path.display()),
        "a link could lead anywhere, so none is followed; a backup on this host can be named by its path, without file://",
    ))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::Missing(format!("there is no {}", path.display()));
    }
    let kind =
        if error.kind() == io::ErrorKind::PermissionDenied { Kind::Credentials } else { Kind::Refused };
    Failure::Lasting(Trouble::new(
        kind,
        format!("cannot read {}: {error}", path.display()),
        "run pgdrill as an account that may read all of it; an input/output error means that the medium is failing",
    ))
}
