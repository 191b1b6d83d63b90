//! A base backup as files: a data directory, the tars of `pg_basebackup`, or a data directory in one tar.

use std::path::Path;

use pgdrill_backup::parts::{self, Packed, Part};
use pgdrill_model::units::{Lsn, Major};
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::manifest::Manifest;
use pgdrill_ondisk::segment::is_segment;
use pgdrill_ondisk::wal::page;

use crate::files::{Entry, Kind as EntryKind, Tree, Trouble, shown};
use crate::found::{Backup, Held};
use crate::not_a_backup::NotABackup;
use crate::{Tablespace, time};

pub(crate) mod peek;
mod plain;

pub(crate) use plain::{is_plain, look as look_plain};

/// Bytes of a manifest that is read here; a larger one is left to whoever verifies the backup.
const LARGEST_MANIFEST: u64 = 256 << 20;

/// Bytes of a manifest in which it lists the label.
const MANIFEST_BEGINS: usize = 1 << 20;

/// Bytes of a label or a map of tablespaces.
const LARGEST_LABEL: u64 = 1 << 20;

/// The file that `pg_basebackup` gives its name only when everything is there.
const UNFINISHED_MANIFEST: &str = "backup_manifest.tmp";

/// Endings of files that somebody still copies.
pub(crate) const UNFINISHED: [&str; 6] =
    [".part", ".partial", ".filepart", ".tmp", ".crdownload", ".incomplete"];

/// What only base backups have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// How its files lie.
    pub form: Form,
    /// Whether there is a manifest.
    pub has_manifest: bool,
    /// What its label says, if it has one that can be read.
    pub label: Option<Label>,
    /// Its tablespaces, by where they were on the server.
    pub tablespaces: Vec<Tablespace>,
    /// Segments of WAL that it brings along; none where that is not known.
    pub wal_segments: Option<u64>,
    /// The state in the control file, where there is no label: `shut down` is whole without any WAL.
    pub state: Option<&'static str>,
}

/// How the files of a base backup lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A data directory.
    #[default]
    Plain,
    /// Tars of `pg_basebackup`, the base first.
    Tars(Vec<Part>),
    /// A data directory in one tar.
    OneTar {
        /// How it is packed.
        packed: Packed,
        /// What comes before the names of all members; empty, or a directory with a slash.
        below: String,
    },
}

impl Base {
    /// Whether it holds only what changed since another.
    pub fn is_incremental(&self) -> bool {
        self.label.as_ref().is_some_and(|label| label.incremental.is_some())
    }
}

/// A base backup with what is to be said of it.
pub(crate) struct Looked {
    pub(crate) backup: Backup,
    pub(crate) remarks: Vec<String>,
}

impl Looked {
    fn new(path: &Path, base: Base) -> Self {
        let label = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Self { backup: Backup::new(label, path.to_owned(), Held::Base(base)), remarks: Vec::new() }
    }

    fn base(&mut self) -> Option<&mut Base> {
        match &mut self.backup.held {
            Held::Base(base) => Some(base),
            _ => None,
        }
    }

    fn remark(&mut self, remark: impl std::fmt::Display) {
        self.remarks.push(format!("{}: {remark}", shown(&self.backup.label)));
    }

    /// Takes down what a label says.
    fn labelled(&mut self, bytes: &[u8]) {
        match Label::read(bytes) {
            Ok(label) => {
                self.backup.timeline = Some(label.timeline);
                self.backup.start = Some(Lsn(label.start));
                self.backup.name = label.name.as_deref().map(|name| shown(&String::from_utf8_lossy(name)));
                self.backup.started_us = label.start_time.as_deref().and_then(time::of_server);
                if let Some(base) = self.base() {
                    base.label = Some(label);
                }
            }
            Err(invalid) => self.remark(invalid),
        }
    }

    /// Takes down what a manifest says.
    fn manifested(&mut self, tree: &Tree) {
        let bytes = match tree.read("backup_manifest", LARGEST_MANIFEST) {
            Ok(bytes) => bytes,
            Err(Trouble::Missing) => {
                if tree.has_file(UNFINISHED_MANIFEST) {
                    self.backup.unfit(format!(
                        "{UNFINISHED_MANIFEST} is there and backup_manifest is not: pg_basebackup did not come to its end"
                    ));
                }
                return;
            }
            Err(trouble) => {
                if let Some(base) = self.base() {
                    base.has_manifest = true;
                }
                return self.remark(format!("backup_manifest: {trouble}"));
            }
        };
        if let Some(base) = self.base() {
            base.has_manifest = true;
        }
        if self.backup.started_us.is_none() {
            let begins = &bytes[..bytes.len().min(MANIFEST_BEGINS)];
            self.backup.started_us = label_written(&String::from_utf8_lossy(begins));
        }
        match Manifest::read(&bytes) {
            Ok(manifest) => {
                self.backup.bytes = Some(manifest.files.bytes());
                self.backup.system_identifier = self.backup.system_identifier.or(manifest.system_identifier);
                self.backup.stop = manifest.wal.iter().map(|range| Lsn(range.end)).max();
            }
            Err(refused) => self.remark(format!("backup_manifest: {}", shown(&refused.to_string()))),
        }
    }

    fn controlled(&mut self, bytes: &[u8]) {
        match Control::read(bytes) {
            Ok(control) => {
                self.backup.system_identifier = Some(control.system_identifier);
                if let Some(base) = self.base().filter(|base| base.label.is_none()) {
                    base.state = control.state_name();
                }
            }
            // Whoever verifies the backup finds it, too; here it only means that less is known.
            Err(malformed) => self.remark(malformed),
        }
    }

    fn versioned(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        match text.trim().split('.').next().unwrap_or_default().parse::<Major>() {
            Ok(major) => self.backup.major = Some(major),
            Err(_) => self.remark(format!("PG_VERSION says '{}', which is no version", shown(text.trim()))),
        }
    }

    /// Says what follows from there being no label.
    fn unlabelled(&mut self) {
        let Some(base) = self.base().filter(|base| base.label.is_none()) else { return };
        match base.state {
            Some("shut down" | "shut down in recovery") => {
                self.remark("it has no backup_label; its server was shut down, so it is whole as it is");
            }
            Some(state) => {
                let state = state.to_owned();
                self.remark(format!(
                    "it has no backup_label, and its server was '{state}': it is only whole if all of it was taken in one instant, \
                     as by a snapshot"
                ));
            }
            None => {}
        }
    }
}

/// When the label was written, as the manifest lists it: the clock of the server when the backup began, always in GMT.
fn label_written(manifest: &str) -> Option<i64> {
    let at = manifest.find("\"Path\": \"backup_label\"")?;
    let rest = manifest.get(at..)?.split('}').next()?;
    let (_, rest) = rest.split_once("\"Last-Modified\": \"")?;
    time::of_server(rest.split('"').next()?)
}

/// Maps of tablespaces as they are written into backups.
fn mapped(bytes: &[u8]) -> Result<Vec<Tablespace>, String> {
    let mappings = pgdrill_ondisk::tablespace::read(&String::from_utf8_lossy(bytes))
        .map_err(|error| error.to_string())?;
    let tablespaces = mappings.into_iter().filter_map(|mapping| {
        Some(Tablespace { oid: mapping.oid.parse().ok()?, name: None, path: Some(mapping.path) })
    });
    Ok(tablespaces.collect())
}

/// Whether a directory holds tars of `pg_basebackup`, or what is left of them.
pub(crate) fn is_tars(tree: &Tree) -> bool {
    tree.entries("").is_ok_and(|entries| entries.iter().any(|entry| entry.name.starts_with("base.tar")))
}

/// Looks at the tars of `pg_basebackup`.
pub(crate) fn look_tars(tree: &Tree) -> Result<Looked, NotABackup> {
    let entries = tree.entries("").map_err(|trouble| NotABackup::of(tree.root(), trouble))?;
    let half = |what: String| NotABackup::HalfCopied { path: tree.root().to_owned(), what };
    let parts: Vec<Part> = {
        // What links out of the directory is not looked at.
        let mut parts = parts::of_tar(tree.root());
        parts.retain(|part| tree.has_file(&part.name()));
        parts
    };
    let unfinished = entries.iter().find(|entry| {
        UNFINISHED.iter().any(|ending| {
            entry.name.strip_suffix(ending).is_some_and(|name| parts::part(Path::new(name)).is_some())
        })
    });
    if let Some(entry) = unfinished {
        return Err(half(format!("{} is still being copied, or was given up", shown(&entry.name))));
    }
    let Some(base) = parts.iter().find(|part| part.stem == "base").cloned() else {
        let link = entries.iter().find(|entry| entry.name.starts_with("base.tar"));
        return Err(half(match link {
            Some(Entry { name, kind: EntryKind::Link }) => {
                format!("{} is a link that leads out of it, or nowhere", shown(name))
            }
            Some(entry) => format!(
                "{} is there, which is no tar that is read here (.gz, .lz4, .zst)",
                shown(&entry.name)
            ),
            None => "there is no base.tar".to_owned(),
        }));
    };
    let file = tree.file(&base.name()).map_err(|trouble| NotABackup::of(&base.path, trouble))?;
    let with_wal = parts.iter().find(|part| part.stem == "pg_wal").cloned();
    let stored = parts.iter().filter_map(|part| Some(tree.stat(&part.name()).ok()?.0)).sum();
    let has_tablespaces: Vec<u32> = parts.iter().filter_map(|part| part.stem.parse().ok()).collect();
    let mut looked = Looked::new(tree.root(), Base { form: Form::Tars(parts), ..Base::default() });
    looked.backup.stored_bytes = Some(stored);
    let keep = |name: &str| {
        let version = name == "PG_VERSION" || (name.starts_with("base/") && name.ends_with("/PG_VERSION"));
        (version || matches!(name, "backup_label" | "tablespace_map")).then_some(LARGEST_LABEL)
    };
    // The label comes first in what pg_basebackup wrote, and the map of tablespaces next.
    let enough = |peeked: &peek::Peeked| {
        peeked.kept.iter().any(|(name, _)| name.ends_with("PG_VERSION"))
            && peeked.file("backup_label").is_some()
    };
    let peeked = peek::peek(file, base.packed, &keep, &enough);
    looked.peeked(&base.name(), &peeked, &has_tablespaces);
    looked.manifested(tree);
    if let Some(part) = with_wal {
        looked.with_wal(tree, &part);
    }
    Ok(looked)
}

impl Looked {
    /// Takes down what was seen in a tar.
    fn peeked(&mut self, name: &str, peeked: &peek::Peeked, has_tablespaces: &[u32]) {
        if let Some(bytes) = peeked.file("backup_label") {
            self.labelled(bytes);
        }
        // Every database has the same version as the cluster.
        let version = peeked.kept.iter().find(|(name, _)| name.ends_with("PG_VERSION"));
        if let Some((_, bytes)) = version {
            self.versioned(bytes);
        }
        if let Some(bytes) = peeked.file("tablespace_map") {
            match mapped(bytes) {
                Ok(tablespaces) => {
                    let gone =
                        tablespaces.iter().find(|of| !has_tablespaces.contains(&of.oid)).map(|of| of.oid);
                    if let Some(oid) =
                        gone.filter(|_| !matches!(self.base(), Some(Base { form: Form::OneTar { .. }, .. })))
                    {
                        self.backup.unfit(format!("the tablespace {oid} has no {oid}.tar"));
                    }
                    if let Some(base) = self.base() {
                        base.tablespaces = tablespaces;
                    }
                }
                Err(what) => self.remark(format!("tablespace_map: {}", shown(&what))),
            }
        }
        if let Some(ended) = &peeked.ended {
            self.remark(format!("{}: {}", shown(name), shown(ended)));
        }
    }

    /// Takes down what the WAL that a backup brings along says of its cluster: the first page of a segment names it.
    fn with_wal(&mut self, tree: &Tree, part: &Part) {
        let Ok(file) = tree.file(&part.name()) else { return };
        let keep = |name: &str| is_segment(name).then_some(page::LONG as u64);
        let peeked = peek::peek(file, part.packed, &keep, &|peeked| !peeked.kept.is_empty());
        let header = peeked.kept.first().and_then(|(_, bytes)| page::Header::read(bytes));
        if let Some(header) = header {
            self.backup.major =
                self.backup.major.or_else(|| page::major(header.magic).map(|major| Major(u16::from(major))));
            let of_wal = header.long.map(|long| long.system_identifier);
            self.backup.system_identifier = self.backup.system_identifier.or(of_wal);
        }
    }
}

/// Looks at a tar of a data directory; none where it is something else.
pub(crate) fn look_one_tar(path: &Path, file: std::fs::File, packed: Packed) -> Option<Looked> {
    const WANTED: [&str; 4] = ["PG_VERSION", "backup_label", "tablespace_map", "global/pg_control"];
    let stored = file.metadata().ok()?.len();
    let keep = |name: &str| {
        let of_a_database = name.starts_with("base/") && name.ends_with("/PG_VERSION");
        (of_a_database || WANTED.contains(&name)).then_some(LARGEST_LABEL)
    };
    let enough = |peeked: &peek::Peeked| {
        ["PG_VERSION", "backup_label", "global/pg_control"].iter().all(|name| peeked.file(name).is_some())
    };
    let peeked = peek::peek(file, packed, &keep, &enough);
    peeked.kept.iter().find(|(name, _)| name.ends_with("PG_VERSION"))?;
    let form = Form::OneTar { packed, below: peeked.below.clone() };
    let mut looked = Looked::new(path, Base { form, ..Base::default() });
    looked.backup.stored_bytes = Some(stored);
    let name = looked.backup.label.clone();
    looked.peeked(&name, &peeked, &[]);
    match (peeked.file("global/pg_control"), &peeked.ended) {
        (Some(bytes), _) => looked.controlled(bytes),
        // It comes last in what pg_basebackup wrote, and more was not looked at.
        (None, Some(_)) if peeked.bounded => {}
        (None, None) => looked
            .backup
            .unfit("it has no global/pg_control: it is cut off, or was never all of a data directory"),
        (None, Some(ended)) => looked
            .backup
            .unfit(format!("it has no global/pg_control as far as it can be read: {}", shown(ended))),
    }
    if looked.base().is_some_and(|base| !base.tablespaces.is_empty()) {
        looked.remark(
            "tablespace_map names tablespaces, whose files are in such a tar only where links were followed",
        );
    }
    looked.unlabelled();
    Some(looked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_label_is_read_from_the_manifest() {
        let manifest = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n\
            { \"Path\": \"backup_label\", \"Size\": 225, \"Last-Modified\": \"2026-11-29 22:47:21 GMT\", \"Checksum\": \"a\" },\n\
            { \"Path\": \"PG_VERSION\", \"Size\": 3, \"Last-Modified\": \"2026-11-29 22:47:12 GMT\" }";
        assert_eq!(label_written(manifest), Some(1_795_992_441_000_000));
        assert_eq!(
            label_written("{ \"Path\": \"backup_label\", \"Size\": 225 }, \"Last-Modified\": \"2026"),
            None
        );
        assert_eq!(label_written(""), None);
    }
}
