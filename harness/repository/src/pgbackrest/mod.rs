//! A pgBackRest repository: `backup/STANZA/backup.info` with its copy, the manifests of its backups, and the WAL below
//! `archive/STANZA`. Only its descriptions are read; what they describe is for pgBackRest itself to restore.

use std::collections::BTreeMap;
use std::path::Path;

use pgdrill_model::units::{Lsn, Major};
use pgdrill_ondisk::segment::is_segment;
use serde_json::Value;

use crate::files::{Kind as EntryKind, Tree, Trouble, shown};
use crate::found::{Backup, Found, Held, Kind, WalLayout, WalPlace};
use crate::not_a_backup::NotABackup;
use crate::wal::segment_of;
use crate::{Options, Tablespace, time};

mod cipher;
mod info;

pub use cipher::{Closed, Passphrase, of_wal};
pub use info::{Info, Invalid};

/// Bytes of a `backup.info`: thousands of backups.
const LARGEST_INFO: u64 = 64 << 20;

/// Bytes of a manifest that hold all that comes before its list of files.
const MANIFEST_BEGINS: u64 = 1 << 20;

/// Environment variables with the passphrase of the first repository.
pub const PASSPHRASE: &str = "PGBACKREST_REPO1_CIPHER_PASS";

const OF: &str = "a pgBackRest repository";

/// What only backups of pgBackRest have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PgBackRest {
    /// `full`, `diff` or `incr`.
    pub kind: String,
    /// The version of pgBackRest that made it; an older one need not be able to restore it.
    pub version: Option<String>,
    /// The number of its database in the stanza's history.
    pub database: Option<u64>,
    /// All databases that the stanza had; each upgrade adds one.
    pub history: Vec<Database>,
    /// The number of the one that it has now.
    pub current: Option<u64>,
    /// The first segment that it needs.
    pub archive_start: Option<String>,
    /// The last segment that it needs.
    pub archive_stop: Option<String>,
    /// Labels of all backups in which files of it lie.
    pub references: Vec<String>,
    /// Whether pgBackRest found errors while it took it: page checksums that do not match.
    pub error: Option<bool>,
    /// Whether it was taken of a running server.
    pub online: bool,
    /// Whether page checksums were verified while it was taken.
    pub checksum_page: bool,
    /// Whether it was taken from a standby.
    pub from_standby: bool,
    /// Whether the WAL that it needs was copied into it.
    pub archive_copy: bool,
    /// How its files are packed: `none`, `gz`, `lz4`, `zst`, `bz2`.
    pub compression: Option<String>,
    /// Whether small files lie together.
    pub bundle: bool,
    /// Whether of large files only changed blocks are stored.
    pub block_incremental: bool,
    /// Whether its repository is encrypted.
    pub encrypted: bool,
    /// What people wrote beside it.
    pub annotations: BTreeMap<String, String>,
    /// Its tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// The bytes that changed since the one on which it is built.
    pub delta_bytes: Option<u64>,
}

/// A database that a stanza has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its number.
    pub id: u64,
    /// Its version, `15`.
    pub version: String,
    /// The cluster's unique number.
    pub system_identifier: u64,
}

/// Whether a directory looks like a repository of pgBackRest.
pub(crate) fn is_repository(tree: &Tree) -> bool {
    stanzas(tree).is_ok_and(|stanzas| !stanzas.is_empty())
}

/// Why a directory that is laid out like a repository cannot be looked into.
pub(crate) fn hidden(tree: &Tree) -> Option<Trouble> {
    let laid_out = tree.has_directory("backup") && tree.has_directory("archive");
    tree.directories("backup").err().filter(|_| laid_out)
}

/// The stanzas that have a description of their backups, or of their WAL.
fn stanzas(tree: &Tree) -> Result<Vec<String>, Trouble> {
    let below = |directory: &str, file: &str| -> Result<Vec<String>, Trouble> {
        if !tree.has_directory(directory) {
            return Ok(Vec::new());
        }
        let mut found = tree.directories(directory)?;
        found.retain(|stanza| {
            let path = format!("{directory}/{stanza}/{file}");
            tree.has_file(&path) || tree.has_file(&format!("{path}.copy"))
        });
        Ok(found)
    };
    let mut stanzas = below("backup", "backup.info")?;
    stanzas.extend(below("archive", "archive.info")?);
    stanzas.sort();
    stanzas.dedup();
    Ok(stanzas)
}

/// Looks at a repository.
pub(crate) fn look(tree: &Tree, options: &Options) -> Result<Found, NotABackup> {
    let mut found = Found {
        path: tree.root().to_owned(),
        kind: Kind::PgBackRest,
        backups: Vec::new(),
        upon: Vec::new(),
        wal: Vec::new(),
        remarks: Vec::new(),
    };
    let stanzas = stanzas(tree).map_err(|trouble| NotABackup::of(tree.root(), trouble))?;
    let mut refused = None;
    for stanza in &stanzas {
        found.wal.extend(archive(tree, stanza, &mut found.remarks));
        match of_stanza(tree, stanza, options, &mut found.remarks) {
            Ok(backups) => found.backups.extend(backups),
            Err(why) => {
                if stanzas.len() > 1 {
                    found.remarks.push(format!("stanza {} is left out: {why}", shown(stanza)));
                }
                refused.get_or_insert(why);
            }
        }
    }
    if found.backups.is_empty() {
        let what = format!(
            "backup.info of {} lists none",
            stanzas.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
        );
        return Err(refused.unwrap_or(NotABackup::Empty { path: found.path, of: OF, what }));
    }
    found.sort();
    Ok(found)
}

/// The backups of one stanza.
fn of_stanza(
    tree: &Tree,
    stanza: &str,
    options: &Options,
    remarks: &mut Vec<String>,
) -> Result<Vec<Backup>, NotABackup> {
    let relative = format!("backup/{stanza}/backup.info");
    let path = tree.root().join(&relative);
    match described(tree, &relative, options, remarks) {
        Ok(info) => Ok(listed(tree, stanza, &info, remarks)),
        Err(Unread::Encrypted) => {
            let another = format!("another {PASSPHRASE} than the one that was given");
            let needs = options.key.as_ref().map_or_else(|| PASSPHRASE.to_owned(), |_| another);
            Err(NotABackup::Encrypted { path, needs })
        }
        Err(Unread::Trouble(Trouble::Missing)) => {
            let what = format!("stanza {} has no backup.info", shown(stanza));
            Err(NotABackup::Empty { path: tree.root().to_owned(), of: OF, what })
        }
        Err(Unread::Trouble(trouble)) => Err(NotABackup::of(&path, trouble)),
        Err(Unread::Both { main, copy }) => {
            Err(NotABackup::Damaged { path, what: format!("{main}; and of its copy: {copy}") })
        }
    }
}

/// Why neither a description nor its copy could be read.
enum Unread {
    Encrypted,
    Trouble(Trouble),
    Both { main: String, copy: String },
}

/// Reads a description, or its copy where it is damaged, as pgBackRest does.
fn described(
    tree: &Tree,
    relative: &str,
    options: &Options,
    remarks: &mut Vec<String>,
) -> Result<Info, Unread> {
    let one = |relative: &str| {
        let bytes = tree.read(relative, LARGEST_INFO)?;
        Ok(match &options.key {
            Some(key) => {
                key.description(bytes).ok_or(Invalid::Encrypted).and_then(|bytes| Info::read(&bytes))
            }
            None => Info::read(&bytes),
        })
    };
    let copy_path = format!("{relative}.copy");
    let words = |read: &Result<Result<Info, Invalid>, Trouble>| match read {
        Ok(Ok(_)) => "it is good".to_owned(),
        Ok(Err(invalid)) => invalid.to_string(),
        Err(trouble) => trouble.to_string(),
    };
    let (main, copy) = (one(relative), one(&copy_path));
    match (main, copy) {
        (Ok(Ok(main)), copy) => {
            match copy {
                Ok(Ok(copy)) if copy == main => {}
                Ok(Ok(_)) => {
                    remarks.push(format!("{} and its copy are both whole and differ", shown(relative)));
                }
                other => remarks.push(format!("{} is of no use: {}", shown(&copy_path), words(&other))),
            }
            Ok(main)
        }
        (main, Ok(Ok(copy))) => {
            remarks.push(format!(
                "{} is of no use: {}; its copy was read instead",
                shown(relative),
                words(&main)
            ));
            Ok(copy)
        }
        (Ok(Err(Invalid::Encrypted)), _) | (_, Ok(Err(Invalid::Encrypted))) => Err(Unread::Encrypted),
        (Err(main), Err(Trouble::Missing)) => Err(Unread::Trouble(main)),
        (main, copy) => Err(Unread::Both { main: words(&main), copy: words(&copy) }),
    }
}

/// The backups that a description lists.
fn listed(tree: &Tree, stanza: &str, info: &Info, remarks: &mut Vec<String>) -> Vec<Backup> {
    let history: Vec<Database> =
        info.section("db:history").filter_map(|(id, value)| database(id, &value)).collect();
    let current = info.value("db", "db-id").and_then(|id| id.as_u64());
    let key = cipher::inner(info);
    let mut backups = Vec::new();
    for (label, value) in info.section("backup:current") {
        if !is_label(label) {
            remarks.push(format!(
                "stanza {}: {} is no label of a backup; it is left out",
                shown(stanza),
                shown(label)
            ));
            continue;
        }
        backups.push(backup(tree, stanza, label, &value, (&history, current, key.as_ref())));
    }
    for backup in
        backups.iter().filter(|backup| matches!(&backup.held, Held::PgBackRest(of) if of.error == Some(true)))
    {
        remarks.push(format!(
            "{}: pgBackRest found errors in it while it took it (page checksums)",
            backup.label
        ));
    }
    let unlisted = tree.directories(&format!("backup/{stanza}")).unwrap_or_default();
    let unlisted =
        unlisted.iter().filter(|name| is_label(name) && !backups.iter().any(|of| of.label == **name));
    for name in unlisted {
        remarks.push(format!(
            "{name}: backup.info does not list it: it was interrupted, or not removed as a whole"
        ));
    }
    backups
}

fn database(id: &str, value: &Value) -> Option<Database> {
    let version = value.get("db-version")?.as_str()?.to_owned();
    Some(Database { id: id.parse().ok()?, version, system_identifier: value.get("db-system-id")?.as_u64()? })
}

fn backup(
    tree: &Tree,
    stanza: &str,
    label: &str,
    value: &Value,
    (history, current, key): (&[Database], Option<u64>, Option<&Passphrase>),
) -> Backup {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let flag = |key: &str| value.get(key).and_then(Value::as_bool);
    let lsn = |key: &str| text(key).and_then(|text| text.parse::<Lsn>().ok());
    let database = number("db-id");
    let mut held = PgBackRest {
        kind: text("backup-type").unwrap_or_default(),
        version: text("backrest-version"),
        database,
        history: history.to_vec(),
        current,
        archive_start: text("backup-archive-start").filter(|name| is_segment(name)),
        archive_stop: text("backup-archive-stop").filter(|name| is_segment(name)),
        references: strings(value.get("backup-reference")),
        error: flag("backup-error"),
        online: flag("option-online").unwrap_or(true),
        checksum_page: flag("option-checksum-page").unwrap_or(false),
        from_standby: flag("option-backup-standby").unwrap_or(false),
        archive_copy: flag("option-archive-copy").unwrap_or(false),
        annotations: annotations(value.get("backup-annotation")),
        delta_bytes: number("backup-info-size-delta"),
        ..PgBackRest::default()
    };
    let directory = format!("backup/{stanza}/{label}");
    let mut positions = (lsn("backup-lsn-start"), lsn("backup-lsn-stop"));
    let missing = of_manifest(tree, &directory, key, (&mut held, &mut positions));
    let timeline = held.archive_start.as_deref().and_then(|name| u32::from_str_radix(&name[..8], 16).ok());
    let mut backup = Backup::new(label, tree.root().join(&directory), Held::PgBackRest(held));
    backup.server = Some(stanza.to_owned());
    let of_history = history.iter().find(|of| Some(of.id) == database);
    backup.major = of_history.and_then(|of| major(&of.version));
    backup.system_identifier = of_history.map(|of| of.system_identifier);
    backup.timeline = timeline;
    (backup.start, backup.stop) = positions;
    backup.started_us = number("backup-timestamp-start").and_then(time::of_seconds);
    backup.finished_us = number("backup-timestamp-stop").and_then(time::of_seconds);
    // Where files lie in bundles, pgBackRest leaves the size of all of them out.
    backup.bytes = number("backup-info-size");
    backup.stored_bytes = number("backup-info-repo-size").or_else(|| number("backup-info-repo-size-delta"));
    backup.prior = text("backup-prior");
    if let Some(missing) = missing {
        backup.unfit(missing);
    }
    backup
}

/// Reads what the manifest of a backup says of it as a whole; what is missing, where it has none.
fn of_manifest(
    tree: &Tree,
    directory: &str,
    key: Option<&Passphrase>,
    (held, positions): (&mut PgBackRest, &mut (Option<Lsn>, Option<Lsn>)),
) -> Option<String> {
    if !tree.has_directory(directory) {
        return Some("backup.info lists it, and its directory is not there".to_owned());
    }
    let manifest = format!("{directory}/backup.manifest");
    let bytes = match tree.beginning(&manifest, MANIFEST_BEGINS) {
        Err(Trouble::Missing) => tree.beginning(&format!("{manifest}.copy"), MANIFEST_BEGINS),
        other => other,
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(Trouble::Missing) => return Some("its backup.manifest is not there".to_owned()),
        Err(trouble) => return Some(format!("its backup.manifest cannot be read: {trouble}")),
    };
    held.encrypted = key.is_some();
    let opened = key.map(|key| key.decrypt_beginning(&bytes));
    let bytes = match opened {
        Some(Ok(opened)) => opened,
        Some(Err(closed)) => return Some(format!("its backup.manifest is damaged: {closed}")),
        None => bytes,
    };
    let info = match Info::beginning(&bytes) {
        Ok(info) => info,
        Err(invalid) => return Some(format!("its backup.manifest is damaged: {invalid}")),
    };
    let flag = |section: &str, key: &str| info.value(section, key).and_then(|value| value.as_bool());
    held.compression = match info.value("backup:option", "option-compress-type") {
        Some(Value::String(name)) => Some(name),
        _ => flag("backup:option", "option-compress")
            .map(|packed| if packed { "gz" } else { "none" }.to_owned()),
    };
    // Older versions write them here alone.
    let lsn = |key: &str| info.value("backup", key).and_then(|value| value.as_str()?.parse().ok());
    *positions =
        (positions.0.or_else(|| lsn("backup-lsn-start")), positions.1.or_else(|| lsn("backup-lsn-stop")));
    held.bundle = flag("backup", "backup-bundle").unwrap_or(false);
    held.block_incremental = flag("backup", "backup-block-incr").unwrap_or(false);
    held.tablespaces = info
        .section("backup:target")
        .filter_map(|(_, target)| {
            let text = |key: &str| target.get(key).and_then(Value::as_str).map(str::to_owned);
            let oid = text("tablespace-id")?;
            Some(Tablespace { oid: oid.parse().ok()?, name: text("tablespace-name"), path: text("path") })
        })
        .collect();
    None
}

/// Whether a name is a label of pgBackRest: `20261129-224634F`, and behind it `_20261129-224639I`.
fn is_label(name: &str) -> bool {
    let part = |part: &str, kinds: &[char]| {
        let (digits, kind) = part.split_at_checked(15).unwrap_or(("", ""));
        let good = |(at, byte): (usize, u8)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() };
        let mut letters = kind.chars();
        digits.len() == 15
            && digits.bytes().enumerate().all(good)
            && letters.next().is_some_and(|letter| kinds.contains(&letter))
            && letters.next().is_none()
    };
    match name.split_once('_') {
        None => part(name, &['F']),
        Some((full, other)) => part(full, &['F']) && part(other, &['D', 'I']),
    }
}

/// The WAL of a stanza, one place for each of its databases.
fn archive(tree: &Tree, stanza: &str, remarks: &mut Vec<String>) -> Vec<WalPlace> {
    let directory = format!("archive/{stanza}");
    let mut places = Vec::new();
    for id in tree.directories(&directory).unwrap_or_default() {
        if id.split_once('-').and_then(|(version, _)| major(version)).is_none() {
            continue;
        }
        let relative = format!("{directory}/{id}");
        let mut place = WalPlace::new(tree.root().join(&relative), WalLayout::PgBackRest);
        place.server = Some(stanza.to_owned());
        for segments in tree.directories(&relative).unwrap_or_default() {
            match tree.entries(&format!("{relative}/{segments}")) {
                Ok(entries) => {
                    let files = entries.iter().filter(|entry| matches!(entry.kind, EntryKind::File(_)));
                    place.note(files.filter_map(|entry| segment_of(&entry.name)));
                }
                Err(trouble) => remarks.push(format!("{}/{}: {trouble}", shown(&relative), shown(&segments))),
            }
        }
        places.push(place);
    }
    places
}

/// The WAL of the database that a backup is of: each that the stanza had has a place of its own, `VERSION-NUMBER`.
pub(crate) fn wal_of<'a>(places: &'a [WalPlace], backup: &Backup, held: &PgBackRest) -> Option<&'a WalPlace> {
    let number = |place: &WalPlace| place.path.file_name()?.to_str()?.rsplit_once('-')?.1.parse().ok();
    places.iter().find(|place| {
        place.server == backup.server && (held.database.is_none() || number(place) == held.database)
    })
}

/// The major of `15`, or of `9.6`.
fn major(version: &str) -> Option<Major> {
    version.split('.').next()?.parse().ok()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn annotations(value: Option<&Value>) -> BTreeMap<String, String> {
    let map = value.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The repository that a path within one belongs to.
pub(crate) fn whole_of(path: &Path) -> Option<&Path> {
    // `backup/STANZA/LABEL`, `backup/STANZA`, `backup` and the same of the archive.
    let mut at = path;
    for _ in 0..3 {
        let above = at.parent()?;
        let name = at.file_name()?.to_str()?;
        if matches!(name, "backup" | "archive") && Tree::open(above).is_ok_and(|tree| is_repository(&tree)) {
            return Some(above);
        }
        at = above;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("20261129-224634F", true)]
    #[case("20261129-224634F_20261129-224639I", true)]
    #[case("20261129-224634F_20261129-224639D", true)]
    #[case("20261129-224634F_20261129-224639F", false)]
    #[case("20261129-224634I", false)]
    #[case("20261129-2246345F", false)]
    #[case("../../etc", false)]
    #[case("20261129-22463\u{e9}F", false)]
    #[case("latest", false)]
    #[case("", false)]
    fn labels(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_label(name), expected);
    }

    #[test]
    fn names_of_segments() {
        let name = "000000010000000000000009-7339ef17108e35e7f843722f7be6256f638c5217.zst";
        assert_eq!(segment_of(name), Some("000000010000000000000009"));
        assert_eq!(segment_of("000000010000000000000009.00000028.backup"), None);
        assert_eq!(segment_of("000000010000000000000009-73"), None);
    }
}
