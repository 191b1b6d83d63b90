//! A backup that stands somewhere, made by whoever: what its own files say before it is read in full, of where its replay begins
//! and ends.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::manifest::Manifest;
use pgdrill_ondisk::segment;
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

/// Looks at what lies in `path`: tars where there is a base among them, else a data directory. What a backup must have and this has
/// not is for the verification to say.
///
/// # Errors
///
/// What cannot be read.
pub fn look(path: &Path) -> Result<Standing, Unreadable> {
    let tars = parts::of_tar(path);
    let manifest = manifest(path)?;
    match tars.iter().find(|part| part.stem == "base") {
        Some(base) => of_tars(path, base, &tars, manifest),
        None => of_directory(path, manifest),
    }
}

/// What the one tar of a data directory says of itself.
#[derive(Debug)]
pub struct OneTar {
    /// The same as of any other.
    pub standing: Standing,
    /// The manifest as it stands in it.
    pub manifest: Option<Vec<u8>>,
    /// Why it could not be read to its end.
    pub broken: Option<String>,
}

/// Reads the one tar of a data directory to its end, and puts the WAL that is in it into a directory of its own. What is wrong with
/// it is for the verification to say, as far as there is one.
///
/// # Errors
///
/// The system cannot read it, or not write the WAL.
pub fn look_into(part: &Part, wal_into: &Path) -> Result<OneTar, Unreadable> {
    let unreadable = |what: String| Unreadable::new(&part.path, what);
    let stream = unpack::of_part(part).map_err(|error| unreadable(error.to_string()))?;
    let (mut label, mut control, mut manifest, mut has_wal) = (None, None, None, false);
    let ended = tarball::read(stream, |member, content| {
        let path = member.path.as_deref().and_then(|path| part.path_of(path));
        let Some(path) = path.filter(|_| member.kind == tarball::Kind::File) else { return Ok(()) };
        let mut bytes = |most: u64| {
            let mut bytes = Vec::new();
            content.take(most).read_to_end(&mut bytes).map(|_| bytes)
        };
        match path.as_slice() {
            b"backup_label" => label = Label::read(&bytes(SMALL)?).ok(),
            b"global/pg_control" => control = Control::read(&bytes(SMALL)?).ok(),
            b"backup_manifest" => manifest = Some(bytes(MANIFEST)?),
            other => {
                let name = other.strip_prefix(b"pg_wal/").and_then(|name| std::str::from_utf8(name).ok());
                if let Some(name) = name.filter(|name| is_of_wal(name)) {
                    has_wal = true;
                    io::copy(content, &mut fs::File::create(wal_into.join(name))?)?;
                }
            }
        }
        Ok(())
    });
    let broken = match ended {
        Ok(_) => None,
        Err(damaged @ tarball::Broken::Damaged { .. }) => Some(damaged.to_string()),
        Err(broken) => return Err(unreadable(broken.to_string())),
    };
    let read = manifest.as_ref().and_then(|bytes| Manifest::read(bytes).ok());
    let sha256 = manifest.as_ref().map(|bytes| hex::encode(Sha256::digest(bytes)));
    let standing = Standing {
        format: Format::Tar,
        base: Some(part.clone()),
        label,
        control,
        manifest: read.zip(sha256),
        bytes: fs::metadata(&part.path).map_or(0, |metadata| metadata.len()),
        own_wal: has_wal.then(|| OwnWal::Directory(wal_into.to_owned())),
    };
    Ok(OneTar { standing, manifest, broken })
}

/// A segment or the history of a timeline.
fn is_of_wal(name: &str) -> bool {
    segment::is_segment(name)
        || name.strip_suffix(".history").is_some_and(|timeline| {
            timeline.len() == 8 && timeline.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

fn manifest(path: &Path) -> Result<Option<(Manifest, String)>, Unreadable> {
    let Some(bytes) = small(&path.join("backup_manifest"), MANIFEST)? else { return Ok(None) };
    // One that is damaged is for the verification to judge.
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Ok(Manifest::read(&bytes).ok().map(|manifest| (manifest, sha256)))
}

/// The beginning of a file; none where there is no such file.
fn small(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Unreadable::new(path, error.to_string())),
    }
}

fn of_directory(path: &Path, manifest: Option<(Manifest, String)>) -> Result<Standing, Unreadable> {
    let read = |name: &str| small(&path.join(name), SMALL);
    let wal = path.join("pg_wal");
    Ok(Standing {
        format: Format::Plain,
        base: None,
        label: read("backup_label")?.and_then(|bytes| Label::read(&bytes).ok()),
        control: read("global/pg_control")?.and_then(|bytes| Control::read(&bytes).ok()),
        manifest,
        bytes: inspect::size(path) + inspect::size(&parts::beside(path)),
        own_wal: wal.is_dir().then_some(OwnWal::Directory(wal)),
    })
}

fn of_tars(
    path: &Path,
    base: &Part,
    tars: &[Part],
    manifest: Option<(Manifest, String)>,
) -> Result<Standing, Unreadable> {
    let mut label = None;
    let stream = unpack::of_part(base).map_err(|error| Unreadable::new(&base.path, error.to_string()))?;
    let ended = tarball::read(stream, |member, content| {
        if member.path.as_deref() != Some(b"backup_label") {
            return Ok(());
        }
        let mut bytes = Vec::new();
        content.take(SMALL).read_to_end(&mut bytes)?;
        label = Label::read(&bytes).ok();
        // What comes behind is left to the verification.
        Err(io::Error::other("enough"))
    });
    if let Err(tarball::Broken::Unreadable { what }) = ended {
        return Err(Unreadable::new(&base.path, what));
    }
    Ok(Standing {
        format: Format::Tar,
        base: Some(base.clone()),
        label,
        control: None,
        manifest,
        bytes: inspect::size(path),
        own_wal: tars.iter().find(|part| part.stem == "pg_wal").cloned().map(OwnWal::Tar),
    })
}
