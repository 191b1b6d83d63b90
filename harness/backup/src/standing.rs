//! A backup that stands somewhere, made by whoever: what its own files say before it is read in full, of where its replay begins
//! and ends, and by which server it must be recovered.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::manifest::Manifest;
use pgdrill_ondisk::wal::page::{self, Header};
use sha2::{Digest, Sha256};

use crate::parts::{self, Part};
use crate::verify::Format;
use crate::{Unreadable, inspect, tarball, unpack};

/// Bytes of a small file of a backup that are read at most.
const SMALL: u64 = 1 << 20;

/// Bytes of a manifest that are read at most: some hundred for each of ten million files.
const MANIFEST: u64 = 4 << 30;

/// What a backup says of itself.
#[derive(Clone, Debug)]
pub struct Standing {
    /// In which format it is.
    pub format: Format,
    /// Its base, where it is in tars.
    pub base: Option<Part>,
    /// The major version of its server; none where nothing says it before it is unpacked.
    pub major: Option<u32>,
    /// Its label; none where it has none, or it cannot be read.
    pub label: Option<Label>,
    /// Its control file; none in tars, where it comes last.
    pub control: Option<Control>,
    /// Its manifest, and the SHA-256 of that.
    pub manifest: Option<(Manifest, String)>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Where the WAL lies that it brings itself.
    pub own_wal: Option<OwnWal>,
}

/// Where WAL lies that a backup brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnWal {
    /// A directory.
    Directory(PathBuf),
    /// A tar.
    Tar(Part),
}

/// Why something is no backup that could be recovered.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// It cannot be read, which says nothing about it.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It is something else, or half of one.
    #[error("{} is no base backup: {why}", path.display())]
    Other {
        /// Where.
        path: PathBuf,
        /// What was looked for.
        why: String,
    },
    /// Part of one is there.
    #[error("{} is half a base backup: {why}", path.display())]
    Half {
        /// Where.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A server runs on it.
    #[error(
        "{} is the data directory of a server, and no backup: it has a postmaster.pid, with the process {pid}, which runs",
        path.display()
    )]
    Live {
        /// Where.
        path: PathBuf,
        /// The postmaster.
        pid: u32,
    },
}

/// Looks at what lies in `path`.
///
/// # Errors
///
/// Why it is no backup; what cannot be read.
pub fn look(path: &Path) -> Result<Standing, NoBackup> {
    let unreadable = |error: &io::Error| NoBackup::Unreadable(Unreadable::new(path, error.to_string()));
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    let other = |why: &str| NoBackup::Other { path: path.to_owned(), why: why.to_owned() };
    let half = |why: &str| NoBackup::Half { path: path.to_owned(), why: why.to_owned() };
    if !metadata.is_dir() {
        return Err(other("it is not a directory; name the one that holds its base.tar"));
    }
    fs::read_dir(path).map_err(|error| unreadable(&error))?;
    let tars = parts::of_tar(path);
    let manifest = manifest(path)?;
    match tars.iter().find(|part| part.stem == "base") {
        Some(base) => of_tars(path, base, &tars, manifest),
        None if path.join("PG_VERSION").exists() => of_directory(path, manifest),
        None if path.join("global").is_dir() || path.join("base").is_dir() => {
            Err(half("there is no PG_VERSION, although other parts of a data directory are"))
        }
        None if !tars.is_empty() => Err(half("there are tars, and no base.tar among them")),
        None => Err(other("there is neither PG_VERSION, as in a data directory, nor base.tar")),
    }
}

/// Whether a backup holds only what changed since another, by its label.
pub fn is_incremental(standing: &Standing) -> bool {
    standing.label.as_ref().is_some_and(|label| label.incremental.is_some())
}

fn manifest(path: &Path) -> Result<Option<(Manifest, String)>, NoBackup> {
    let path = path.join("backup_manifest");
    let bytes = match small(&path, MANIFEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unreadable::new(&path, error.to_string()).into()),
    };
    // One that is damaged is for the verification to judge.
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Ok(Manifest::read(&bytes).ok().map(|manifest| (manifest, sha256)))
}

fn small(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn version(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

fn of_directory(path: &Path, manifest: Option<(Manifest, String)>) -> Result<Standing, NoBackup> {
    if let Some(pid) = postmaster(path) {
        return Err(NoBackup::Live { path: path.to_owned(), pid });
    }
    let read = |name: &str| small(&path.join(name), SMALL);
    let unreadable = |name: &str, error: &io::Error| Unreadable::new(&path.join(name), error.to_string());
    let major = version(&read("PG_VERSION").map_err(|error| unreadable("PG_VERSION", &error))?);
    let control = match read("global/pg_control") {
        Ok(bytes) => Control::read(&bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = "there is no global/pg_control, which is copied last";
            return Err(NoBackup::Half { path: path.to_owned(), why: why.to_owned() });
        }
        Err(error) => return Err(unreadable("global/pg_control", &error).into()),
    };
    let wal = path.join("pg_wal");
    Ok(Standing {
        format: Format::Plain,
        base: None,
        major,
        label: read("backup_label").ok().and_then(|bytes| Label::read(&bytes).ok()),
        control,
        manifest,
        bytes: inspect::size(path) + inspect::size(&parts::beside(path)),
        own_wal: wal.is_dir().then_some(OwnWal::Directory(wal)),
    })
}

/// The process of a server that runs on a directory, by its lock file (`CreateLockFile`, `src/backend/utils/init/miscinit.c`); none
/// where it names one that is gone, or was copied along.
fn postmaster(path: &Path) -> Option<u32> {
    let text = String::from_utf8(small(&path.join("postmaster.pid"), SMALL).ok()?).ok()?;
    let pid: u32 = text.lines().next()?.trim().parse().ok()?;
    let own = text.lines().nth(1).map(PathBuf::from)?;
    let here = fs::canonicalize(path).ok()? == fs::canonicalize(own).ok()?;
    (here && Path::new("/proc").join(pid.to_string()).exists()).then_some(pid)
}

fn of_tars(
    path: &Path,
    base: &Part,
    tars: &[Part],
    manifest: Option<(Manifest, String)>,
) -> Result<Standing, NoBackup> {
    let own_wal = tars.iter().find(|part| part.stem == "pg_wal").cloned();
    let by_wal = own_wal.as_ref().and_then(first_page).and_then(|header| page::major(header.magic));
    let wanted = if by_wal.is_some() { 1 } else { 2 };
    let (mut label, mut major, mut found) = (None, None, 0);
    let stream = unpack::of_part(base).map_err(|error| Unreadable::new(&base.path, error.to_string()))?;
    let ended = tarball::read(stream, |member, content| {
        let kept = match member.path.as_deref() {
            Some(b"backup_label") => &mut label,
            Some(b"PG_VERSION") => &mut major,
            _ => return Ok(()),
        };
        let mut bytes = Vec::new();
        content.take(SMALL).read_to_end(&mut bytes)?;
        *kept = Some(bytes);
        found += 1;
        // What comes behind is left to the verification.
        if label.is_some() && found >= wanted { Err(io::Error::other("enough")) } else { Ok(()) }
    });
    if let Err(tarball::Broken::Unreadable { what }) = ended {
        return Err(Unreadable::new(&base.path, what).into());
    }
    Ok(Standing {
        format: Format::Tar,
        base: Some(base.clone()),
        major: major.as_deref().and_then(version).or(by_wal.map(u32::from)),
        label: label.and_then(|bytes| Label::read(&bytes).ok()),
        control: None,
        manifest,
        bytes: inspect::size(path),
        own_wal: own_wal.map(OwnWal::Tar),
    })
}

/// The first page of the first segment in a tar of WAL.
fn first_page(part: &Part) -> Option<Header> {
    let mut found = None;
    let _ = tarball::read(unpack::of_part(part).ok()?, |_, content| {
        let mut bytes = Vec::new();
        content.take(64).read_to_end(&mut bytes)?;
        found = Header::read(&bytes).filter(|header| header.long.is_some());
        if found.is_some() { Err(io::Error::other("enough")) } else { Ok(()) }
    });
    found
}
