//! What `pg_dump` and `pg_dumpall` write: an archive in one file, in a directory or in a tar, or SQL, packed or not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use pgdrill_backup::parts::Packed;
use pgdrill_backup::unpack;
use pgdrill_model::units::Major;

use crate::base::peek;
use crate::files::{self, Tree, Trouble, shown};
use crate::found::{Backup, Held};
use crate::not_a_backup::NotABackup;
use crate::time;

mod rows;
mod text;
mod toc;

pub use rows::{Rows, rows};
pub use text::Comments;
pub use toc::{Data, Entry, Format, Invalid, MAGIC, Toc};

/// The table of contents of a directory and of a tar.
const TOC: &str = "toc.dat";

/// What only dumps have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// In which format it is.
    pub form: Form,
    /// How the file as a whole is packed, beside what `pg_dump` packs in it.
    pub packed: Packed,
    /// The database; of SQL it is not known, and `pg_dumpall` dumps several.
    pub database: Option<String>,
    /// The version of the server, in its own words.
    pub server_version: Option<String>,
    /// The version of `pg_dump`; only one as new as it reads an archive.
    pub dump_version: Option<String>,
    /// When it was made, by the clock of its host, whose zone it does not say.
    pub made: Option<String>,
    /// The encoding of its text.
    pub encoding: Option<String>,
    /// The table of contents of an archive.
    pub toc: Option<Toc>,
}

/// In which format a dump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An archive in one file (`--format=custom`).
    Custom,
    /// An archive in a directory (`--format=directory`).
    Directory,
    /// An archive in a tar (`--format=tar`).
    Tar,
    /// SQL of one database (`--format=plain`).
    Sql,
    /// SQL of a cluster (`pg_dumpall`): all its databases, where its first comments name a server's version, or only what
    /// they share.
    ClusterSql {
        /// Whether there are databases in it; none where that is not known without reading all of it.
        with_databases: Option<bool>,
    },
}

impl Form {
    /// The program that restores it.
    pub fn program(self) -> &'static str {
        match self {
            Self::Custom | Self::Directory | Self::Tar => "pg_restore",
            Self::Sql | Self::ClusterSql { .. } => "psql",
        }
    }

    /// The format, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Custom => "custom format",
            Self::Directory => "directory format",
            Self::Tar => "tar format",
            Self::Sql => "SQL of one database",
            Self::ClusterSql { with_databases: Some(false) } => {
                "SQL of what the databases of a cluster share (roles, tablespaces)"
            }
            Self::ClusterSql { .. } => "SQL of a cluster",
        }
    }
}

/// A dump with what is to be said of it.
pub(crate) struct Looked {
    pub(crate) backup: Backup,
    pub(crate) remarks: Vec<String>,
}

/// Looks at a dump in a directory; none where it is something else.
pub(crate) fn look_directory(tree: &Tree) -> Option<Result<Looked, NotABackup>> {
    let packed = [("", Packed::No), (".gz", Packed::Gzip), (".lz4", Packed::Lz4), (".zst", Packed::Zstd)];
    let (name, packed) = packed
        .into_iter()
        .map(|(ending, packed)| (format!("{TOC}{ending}"), packed))
        .find(|(name, _)| tree.has_file(name))?;
    Some(directory(tree, &name, packed))
}

fn directory(tree: &Tree, name: &str, packed: Packed) -> Result<Looked, NotABackup> {
    let path = tree.root().join(name);
    let file = tree.file(name).map_err(|trouble| NotABackup::of(&path, trouble))?;
    let stream = unpack::unpacked(unpack::buffered(Box::new(file)), packed);
    let toc =
        stream.map_err(Invalid::from).and_then(Toc::read).map_err(|invalid| damaged(&path, &invalid))?;
    let entries = tree.entries("").map_err(|trouble| NotABackup::of(tree.root(), trouble))?;
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    let gone = toc.entries.iter().find_map(|entry| match &entry.data {
        Data::File(name) => {
            let there = ["", ".gz", ".lz4", ".zst"].iter().any(|ending| has(&format!("{name}{ending}")));
            (!there).then(|| format!("{} of {} is not there", shown(name), shown(&entry.tag)))
        }
        _ => None,
    });
    let stored =
        entries.iter().map(|entry| if let files::Kind::File(bytes) = entry.kind { bytes } else { 0 }).sum();
    let mut looked = looked(tree.root(), of_toc(toc, Form::Directory, Packed::No), stored);
    if let Some(gone) = gone {
        looked.backup.unfit(gone);
    }
    Ok(looked)
}

/// What an archive whose head or table of contents cannot be read means.
fn damaged(path: &Path, invalid: &Invalid) -> NotABackup {
    let path = path.to_owned();
    match invalid {
        Invalid::CutOff => NotABackup::HalfCopied { path, what: format!("a dump of pg_dump: {invalid}") },
        Invalid::Io(error) if error.raw_os_error().is_some() => {
            NotABackup::of(&path, Trouble::Unreadable { what: error.to_string() })
        }
        _ => NotABackup::Damaged { path, what: shown(&invalid.to_string()) },
    }
}

/// Whether the first bytes of a file, unpacked, are those of a dump other than in tar format.
pub(crate) fn is_dump(first: &[u8]) -> bool {
    first.starts_with(MAGIC) || Comments::read(&String::from_utf8_lossy(first)).is_some()
}

/// Looks at a file; none where it is no dump. Of what `begins` are the first bytes, unpacked.
pub(crate) fn look_file(
    path: &Path,
    file: File,
    packed: Packed,
    begins: &[u8],
) -> Option<Result<Looked, NotABackup>> {
    if begins.starts_with(MAGIC) {
        return Some(custom(path, file, packed));
    }
    if peek::is_tar(begins) {
        return tar(path, file, packed);
    }
    Comments::read(&String::from_utf8_lossy(begins))
        .map(|comments| Ok(sql(path, file, packed, comments, begins)))
}

fn custom(path: &Path, file: File, packed: Packed) -> Result<Looked, NotABackup> {
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let stream = unpack::unpacked(unpack::buffered(Box::new(file)), packed);
    let toc = stream.map_err(Invalid::from).and_then(Toc::read).map_err(|invalid| damaged(path, &invalid))?;
    let furthest = toc.entries.iter().filter_map(|entry| match entry.data {
        Data::At(position) => Some((position, entry.tag.clone())),
        _ => None,
    });
    let behind = furthest.max().filter(|(position, _)| packed == Packed::No && *position >= bytes);
    let mut looked = looked(path, of_toc(toc, Form::Custom, packed), bytes);
    if let Some((position, tag)) = behind {
        looked.backup.unfit(format!(
            "it is cut off: the data of {} are at byte {position}, and it has {bytes}",
            shown(&tag)
        ));
    }
    if packed != Packed::No {
        looked.remarks.push(format!("{}: pg_restore reads it only unpacked", shown(&looked.backup.label)));
    }
    Ok(looked)
}

fn tar(path: &Path, file: File, packed: Packed) -> Option<Result<Looked, NotABackup>> {
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let mut toc = None;
    // It is the first member, and its table of contents can be larger than what is kept of a member.
    let stream = unpack::unpacked(unpack::buffered(Box::new(file)), packed).ok()?;
    let mut archive = ::tar::Archive::new(stream);
    let mut first = archive.entries().ok()?.next()?.ok()?;
    if first.path_bytes().as_ref() == TOC.as_bytes() {
        toc = Some(Toc::read(&mut first));
    }
    let toc = match toc? {
        Ok(toc) => toc,
        Err(invalid) => return Some(Err(damaged(path, &invalid))),
    };
    Some(Ok(looked(path, of_toc(toc, Form::Tar, packed), bytes)))
}

fn sql(path: &Path, mut file: File, packed: Packed, comments: Comments, begins: &[u8]) -> Looked {
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let form = if comments.cluster {
        let with_databases = match &comments.server_version {
            Some(_) => Some(true),
            None if begins.len() < text::BEGINS => Some(false),
            None => None,
        };
        Form::ClusterSql { with_databases }
    } else {
        Form::Sql
    };
    // The end of what is packed is known only by unpacking all of it, and that of a small one is known already.
    let end = if begins.len() < text::BEGINS {
        Some(begins[begins.len().saturating_sub(text::ENDS)..].to_vec())
    } else if packed == Packed::No {
        end(&mut file, bytes).ok()
    } else {
        None
    };
    let whole = end.map(|end| comments.ends(&String::from_utf8_lossy(&end)));
    let dump = Dump {
        form,
        packed,
        database: None,
        server_version: comments.server_version,
        dump_version: comments.dump_version,
        made: comments.started,
        encoding: comments.encoding,
        toc: None,
    };
    let mut looked = looked(path, dump, bytes);
    if whole == Some(false) {
        looked.backup.unfit("it is cut off: it does not end with the comment that it is complete");
    }
    looked
}

fn end(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(bytes.saturating_sub(text::ENDS as u64)))?;
    file.take(text::ENDS as u64).read_to_end(&mut end)?;
    Ok(end)
}

fn of_toc(toc: Toc, form: Form, packed: Packed) -> Dump {
    Dump {
        form,
        packed,
        database: toc.database.clone(),
        server_version: toc.server_version.clone(),
        dump_version: toc.dump_version.clone(),
        made: toc.made.map(|made| made.to_string().replace('T', " ")),
        encoding: toc.encoding.clone(),
        toc: Some(toc),
    }
}

fn looked(path: &Path, dump: Dump, stored: u64) -> Looked {
    let label = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let made = dump.toc.as_ref().and_then(|toc| toc.made).and_then(time::without_zone);
    let version = dump
        .server_version
        .as_deref()
        .and_then(|version| version.split([' ', '.']).next()?.parse::<Major>().ok());
    // What SQL does not say, the time of its file may.
    let modified = std::fs::metadata(path).ok().as_ref().and_then(files::modified);
    let mut backup = Backup::new(label, path.to_owned(), Held::Dump(dump));
    backup.major = version;
    backup.finished_us = made.or(modified);
    backup.stored_bytes = Some(stored);
    Looked { backup, remarks: Vec::new() }
}

/// How many bytes of a file, unpacked, must be given to [`look_file`].
pub(crate) const BEGINS: usize = text::BEGINS;
