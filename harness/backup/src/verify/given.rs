//! A backup as it was given: a directory with files or archives, one archive, or a stream.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use pgdrill_model::code::Code;

use super::ignore::Ignored;
use super::observed::{Observed, Order};
use super::plain::{self, words};
use super::{Format, Options, Source};
use crate::parts::{self, Part};

/// A backup, as it was given.
pub struct Backup {
    /// Its path, as it is told.
    pub shown: String,
    /// Its files.
    pub content: Content,
    /// Where its manifest lies; none for a stream that has it within.
    pub manifest: Option<PathBuf>,
}

/// The files of a backup.
pub enum Content {
    /// In a directory.
    Plain(PathBuf),
    /// In archives, the largest first.
    Tars {
        /// The base and tablespaces.
        parts: Vec<Part>,
        /// The WAL.
        wal: Option<Part>,
        /// Whether all archives of the backup are there, and not only the one that was named.
        complete: bool,
    },
    /// In a tar that is streamed.
    Stream(Box<dyn Read + Send>),
    /// It cannot be read, which was said.
    Nothing,
}

impl Backup {
    /// Looks what it is. What of it has no place in a backup is said.
    pub fn of(source: Source, options: &Options, observed: &Observed) -> Self {
        let manifest = |directory: &Path| {
            Some(options.manifest.clone().unwrap_or_else(|| directory.join("backup_manifest")))
        };
        match source {
            Source::Stream(stream) => Self {
                shown: "standard input".to_owned(),
                content: Content::Stream(stream),
                manifest: options.manifest.clone(),
            },
            Source::OneTar(part) => Self {
                shown: part.path.display().to_string(),
                content: Content::Tars { parts: vec![part], wal: None, complete: true },
                manifest: options.manifest.clone(),
            },
            Source::Archive(path) => {
                let directory = path.parent().unwrap_or(Path::new(".")).to_owned();
                let content = match parts::part(&path) {
                    Some(part) => {
                        let wal = parts::of_tar(&directory).into_iter().find(|part| part.stem == "pg_wal");
                        Content::Tars { parts: vec![part], wal, complete: false }
                    }
                    None => {
                        let shown = path.display();
                        let message = format!("file \"{shown}\" is not expected in a tar format backup");
                        observed.found(
                            Order::Walk,
                            Code::BackupUnreadable,
                            shown.to_string().as_bytes(),
                            message,
                        );
                        Content::Nothing
                    }
                };
                Self { shown: path.display().to_string(), content, manifest: manifest(&directory) }
            }
            Source::Directory(directory) => {
                let plain = match options.format {
                    Some(format) => format == Format::Plain,
                    None => directory.join("PG_VERSION").exists() || parts::of_tar(&directory).is_empty(),
                };
                let content = if plain {
                    Content::Plain(directory.clone())
                } else {
                    Self::tars(&directory, options, observed)
                };
                Self { shown: directory.display().to_string(), content, manifest: manifest(&directory) }
            }
        }
    }

    /// The archives in a directory. What is none of them is told (`precheck_tar_backup_file`).
    fn tars(directory: &Path, options: &Options, observed: &Observed) -> Content {
        let ignored = Ignored::new(&options.ignore);
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let message =
                    format!("could not open directory \"{}\": {}", directory.display(), words(&error));
                observed.found(Order::Walk, Code::BackupUnreadable, b".", message);
                return Content::Nothing;
            }
        };
        let mut parts = Vec::new();
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = plain::bytes(path.file_name().unwrap_or_default().into());
            if ignored.has(&name) {
                continue;
            }
            let shown = String::from_utf8_lossy(&name);
            let message = match (fs::metadata(&path), parts::part(&path)) {
                (Ok(metadata), Some(part)) if metadata.is_file() => {
                    parts.push(part);
                    continue;
                }
                (Ok(metadata), None) if metadata.is_file() => {
                    format!("file \"{shown}\" is not expected in a tar format backup")
                }
                (Ok(_), _) => format!("file \"{shown}\" is not a regular file"),
                (Err(error), _) => {
                    format!("could not stat file or directory \"{shown}\": {}", words(&error))
                }
            };
            observed.found(Order::Walk, Code::ManifestMismatch, &name, message);
        }
        let size = |part: &Part| fs::metadata(&part.path).map_or(0, |metadata| metadata.len());
        parts.sort_by_key(|part| std::cmp::Reverse(size(part)));
        let at = parts.iter().position(|part| part.stem == "pg_wal");
        let wal = at.map(|at| parts.remove(at));
        Content::Tars { parts, wal, complete: true }
    }
}

/// How much of a backup is there to be read.
pub struct Extent {
    /// Whether the base is, and not only a tablespace.
    pub base: bool,
    /// The archive that holds the base; none where there is none.
    pub archive: Option<String>,
    /// Archives of tablespaces, by their OID, with their names.
    tablespaces: Vec<(String, String)>,
    /// Whether nothing of the backup lies elsewhere.
    complete: bool,
}

impl Extent {
    /// That of a backup.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::Plain(_) => Self { base: true, archive: None, tablespaces: Vec::new(), complete: true },
            Content::Stream(_) => {
                let archive = Some("standard input".to_owned());
                Self { base: true, archive, tablespaces: Vec::new(), complete: true }
            }
            Content::Tars { parts, complete, .. } => {
                let base = parts.iter().find(|part| part.stem == "base");
                let tablespaces = parts.iter().filter(|part| part.is_tablespace());
                Self {
                    base: base.is_some(),
                    archive: base.map(Part::name),
                    tablespaces: tablespaces.map(|part| (part.stem.clone(), part.name())).collect(),
                    complete: *complete,
                }
            }
            Content::Nothing => Self { base: false, archive: None, tablespaces: Vec::new(), complete: true },
        }
    }

    /// The archive in which a file must lie; empty where there are no archives, none where that archive is not there and
    /// need not be.
    pub fn archive_of(&self, path: &[u8]) -> Option<&str> {
        let oid = path.strip_prefix(b"pg_tblspc/").and_then(|rest| rest.split(|byte| *byte == b'/').next());
        let tablespace = oid.and_then(|oid| self.tablespaces.iter().find(|(stem, _)| stem.as_bytes() == oid));
        match (tablespace, &self.archive) {
            (Some((_, name)), _) => Some(name),
            // A tablespace of the one archive that was named lies elsewhere; so does a base without its archive.
            (None, Some(_)) if oid.is_some() && !self.complete => None,
            (None, Some(archive)) => Some(archive),
            (None, None) => self.complete.then_some(""),
        }
    }
}
