//! What Barman keeps: of each server `base/ID` with the backups, each described by its `backup.info`, and `wals` with the WAL.
//! What `barman-cloud-backup` writes into an object store has the same layout, with tars instead of directories.

use std::path::{Path, PathBuf};

use pgdrill_backup::parts::Packed;
use pgdrill_model::units::{Lsn, Major};
use pgdrill_ondisk::segment::is_segment;

use crate::files::{Kind as EntryKind, Tree, Trouble, shown};
use crate::found::{Backup, Found, Held, Kind, WalLayout, WalPlace};
use crate::not_a_backup::NotABackup;
use crate::{Tablespace, time};

mod info;

pub use info::{Info, Invalid};

/// Bytes of a `backup.info`. One with statistics of a parallel copy has some kilobytes.
const LARGEST_INFO: u64 = 4 << 20;

const OF: &str = "a Barman directory";

/// What only backups of Barman have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barman {
    /// How it ended: `DONE`, `FAILED`, `WAITING_FOR_WALS` and others.
    pub status: String,
    /// How it was taken: `postgres`, `rsync-concurrent`, `snapshot-...`.
    pub mode: Option<String>,
    /// The exact version of the server, as PostgreSQL counts it: `150018`.
    pub version: Option<u64>,
    /// The first segment that it needs.
    pub begin_wal: Option<String>,
    /// The last segment that it needs.
    pub end_wal: Option<String>,
    /// Bytes of a segment.
    pub segment_size: Option<u64>,
    /// Its tablespaces, by their paths on the server.
    pub tablespaces: Vec<Tablespace>,
    /// How it is packed, where it is.
    pub compression: Option<String>,
    /// By what it is encrypted, where it is.
    pub encryption: Option<String>,
    /// How its files lie.
    pub form: Form,
    /// Whether it holds a `backup_manifest`: only what `pg_basebackup` took has one.
    pub has_manifest: bool,
}

/// How the files of a backup lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `data` is a data directory, and each tablespace lies beside it in a directory named by its OID.
    #[default]
    Plain,
    /// `data` holds the tars of `pg_basebackup`.
    Tars,
    /// `data.tar` lies beside `backup.info`, and `OID.tar` for each tablespace, packed or not (`barman-cloud-backup`).
    Cloud,
}

/// Whether a directory is what Barman keeps of a server.
pub(crate) fn is_server(tree: &Tree) -> bool {
    if !tree.has_directory("base") || tree.has_file("PG_VERSION") {
        return false;
    }
    let described = || ids(tree).is_ok_and(|ids| !ids.is_empty());
    (tree.has_directory("wals") && tree.has_file("identity.json")) || described()
}

/// The IDs of all backups that are described.
fn ids(tree: &Tree) -> Result<Vec<String>, Trouble> {
    let mut ids = tree.directories("base")?;
    ids.retain(|id| description(tree, id).is_some());
    // Newer versions describe a backup before there is a directory of it.
    let files = if tree.has_directory("meta") { tree.entries("meta")? } else { Vec::new() };
    ids.extend(
        files.into_iter().filter_map(|entry| Some(entry.name.strip_suffix("-backup.info")?.to_owned())),
    );
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Where a backup is described.
fn description(tree: &Tree, id: &str) -> Option<String> {
    let places = [format!("meta/{id}-backup.info"), format!("base/{id}/backup.info")];
    places.into_iter().find(|path| tree.has_file(path))
}

/// The servers below a directory: itself, or one level below.
pub(crate) fn servers(tree: &Tree) -> Vec<(String, Tree)> {
    let name = |tree: &Tree| tree.root().file_name().unwrap_or_default().to_string_lossy().into_owned();
    if is_server(tree) {
        return vec![(name(tree), tree.clone())];
    }
    let below = tree.directories("").unwrap_or_default();
    let trees = below.into_iter().filter_map(|server| Some((server.clone(), tree.below(&server).ok()?)));
    trees.filter(|(_, tree)| is_server(tree)).collect()
}

/// Looks at what Barman keeps of these servers.
pub(crate) fn look(tree: &Tree, servers: Vec<(String, Tree)>) -> Result<Found, NotABackup> {
    let mut found = Found {
        path: tree.root().to_owned(),
        kind: Kind::Barman,
        backups: Vec::new(),
        upon: Vec::new(),
        wal: Vec::new(),
        remarks: Vec::new(),
    };
    let mut names = Vec::new();
    for (name, server) in servers {
        let ids = ids(&server).map_err(|trouble| NotABackup::of(&server.root().join("base"), trouble))?;
        let place = archive(&server, &name, &mut found.remarks);
        let mut backups = Vec::new();
        for id in ids {
            match of_id(&server, &name, &id) {
                Ok(backup) => backups.push(backup),
                Err(why) => {
                    found.remarks.push(format!("{} of {} is left out: {why}", shown(&id), shown(&name)));
                }
            }
        }
        for backup in &backups {
            found.remarks.extend(missing_wal(&server, backup));
        }
        found.remarks.extend(waiting(&server, &name));
        found.backups.extend(backups);
        found.wal.extend(place);
        names.push(shown(&name));
    }
    if found.backups.is_empty() {
        let mut what = format!("{} has no base/ID/backup.info that can be read", names.join(", "));
        if let Some(remark) = found.remarks.first() {
            what = format!("{what} ({remark})");
        }
        return Err(NotABackup::Empty { path: found.path, of: OF, what });
    }
    found.sort();
    Ok(found)
}

/// One backup of a server.
fn of_id(tree: &Tree, server: &str, id: &str) -> Result<Backup, String> {
    let path = description(tree, id).ok_or("it has no backup.info")?;
    let bytes = tree.read(&path, LARGEST_INFO).map_err(|trouble| format!("{path}: {trouble}"))?;
    let info = Info::read(&bytes).map_err(|invalid| format!("{path}: {invalid}"))?;
    let own = |key: &str| info.text(key).map(str::to_owned);
    let (directory, status) = (format!("base/{id}"), own("status").unwrap_or_default());
    let form = form(tree, &directory);
    let manifest = match form {
        Some(Form::Plain | Form::Tars) => format!("{directory}/data/backup_manifest"),
        Some(Form::Cloud) | None => String::new(),
    };
    let held = Barman {
        status: status.clone(),
        mode: own("mode"),
        version: info.number("version"),
        begin_wal: own("begin_wal").filter(|name| is_segment(name)),
        end_wal: own("end_wal").filter(|name| is_segment(name)),
        segment_size: info.number("xlog_segment_size"),
        tablespaces: info.tablespaces().ok_or_else(|| format!("{path}: its tablespaces cannot be read"))?,
        compression: own("compression"),
        encryption: own("encryption"),
        form: form.unwrap_or_default(),
        has_manifest: !manifest.is_empty() && tree.has_file(&manifest),
    };
    let lsn = |key: &str| info.text(key).and_then(|text| text.parse::<Lsn>().ok());
    let missing = missing(tree, &directory, form, &held);
    let mut backup = Backup::new(id, tree.root().join(&directory), Held::Barman(held));
    backup.server = Some(server.to_owned());
    backup.name = own("backup_name");
    // 150018 is 15.18, and 90624 was 9.6.24.
    backup.major = info.number("version").and_then(|of| u16::try_from(of / 10_000).ok()).map(Major);
    backup.system_identifier = info.number("systemid");
    backup.timeline = info.number("timeline").and_then(|timeline| u32::try_from(timeline).ok());
    (backup.start, backup.stop) = (lsn("begin_xlog"), lsn("end_xlog"));
    backup.started_us = info.text("begin_time").and_then(time::with_offset);
    backup.finished_us = info.text("end_time").and_then(time::with_offset);
    backup.bytes = info.number("cluster_size").or_else(|| info.number("size"));
    backup.stored_bytes = info.number("deduplicated_size").or_else(|| info.number("size"));
    backup.prior = own("parent_backup_id");
    if !matches!(status.as_str(), "DONE" | "WAITING_FOR_WALS") {
        let error = info.text("error").map_or(String::new(), |error| format!(": {}", shown(error)));
        backup.unfit(format!("Barman says that it is {}{error}", shown(&status)));
    }
    if info.text("snapshots_info").is_some() {
        backup.unfit("its data are snapshots of a cloud's disks, which are not here");
    }
    if let Some(encryption) = info.text("encryption") {
        backup
            .unfit(format!("it is encrypted by {}, which only Barman with its key reads", shown(encryption)));
    }
    if let Some(missing) = missing {
        backup.unfit(missing);
    }
    Ok(backup)
}

/// How the files of a backup lie, if there are any.
fn form(tree: &Tree, directory: &str) -> Option<Form> {
    let data = format!("{directory}/data");
    if tree.has_directory(&data) {
        let tars = |name: &str| name.starts_with("base.tar");
        let has_tars = tree.entries(&data).is_ok_and(|entries| entries.iter().any(|entry| tars(&entry.name)));
        return Some(if has_tars { Form::Tars } else { Form::Plain });
    }
    let cloud = |name: &str| name.starts_with("data.tar");
    let has_cloud =
        tree.entries(directory).is_ok_and(|entries| entries.iter().any(|entry| cloud(&entry.name)));
    has_cloud.then_some(Form::Cloud)
}

/// What of a backup's files is missing, of those that are looked for.
fn missing(tree: &Tree, directory: &str, form: Option<Form>, held: &Barman) -> Option<String> {
    let gone = |path: String| format!("{path} is not there");
    match form {
        None => Some(gone(format!("{directory}/data"))),
        Some(Form::Plain) => {
            // The label need not be there: of some ways to take a backup it is in the description alone.
            let files = ["PG_VERSION", "global/pg_control"].map(|name| format!("{directory}/data/{name}"));
            let file = files.into_iter().find(|path| !tree.has_file(path));
            let mut tablespaces = held.tablespaces.iter().map(|of| format!("{directory}/{}", of.oid));
            file.or_else(|| tablespaces.find(|path| !tree.has_directory(path))).map(gone)
        }
        Some(Form::Tars | Form::Cloud) => None,
    }
}

/// What a backup needs of the WAL and the archive does not have, by the names of its first and last segment.
fn missing_wal(tree: &Tree, backup: &Backup) -> Option<String> {
    let Held::Barman(held) = &backup.held else { return None };
    if !backup.is_complete() {
        return None;
    }
    let gone = [held.begin_wal.as_deref(), held.end_wal.as_deref()]
        .into_iter()
        .flatten()
        .find(|name| !tree.has_file(&format!("wals/{}/{name}", &name[..16])))?;
    let waits = if held.status == "WAITING_FOR_WALS" { ", for which Barman still waits" } else { "" };
    Some(format!("{}: it needs the segment {gone}{waits}, and wals does not have it", shown(&backup.label)))
}

/// What came from the server and was not put into the archive yet: Barman gives it to nobody who restores.
fn waiting(tree: &Tree, server: &str) -> Option<String> {
    let count = |directory: &str| {
        let entries = tree.entries(directory).unwrap_or_default();
        entries.iter().filter(|entry| is_segment(&entry.name)).count()
    };
    let (incoming, streaming) = (count("incoming"), count("streaming"));
    (incoming + streaming > 0).then(|| {
        format!(
            "{}: {} segments of WAL lie in incoming and streaming, not yet in wals",
            shown(server),
            incoming + streaming
        )
    })
}

/// The WAL of a server.
fn archive(tree: &Tree, server: &str, remarks: &mut Vec<String>) -> Option<WalPlace> {
    if !tree.has_directory("wals") {
        return None;
    }
    let mut place = WalPlace::new(tree.root().join("wals"), WalLayout::Barman);
    place.server = Some(server.to_owned());
    match each_wal(tree, |name, _| place.note(Some(name).filter(|name| is_segment(name)))) {
        Ok(()) => {}
        Err(trouble) => remarks.push(format!("wals of {}: {trouble}", shown(server))),
    }
    Some(place)
}

/// Calls with each file of `wals`, and where it is.
fn each_wal(tree: &Tree, mut each: impl FnMut(&str, String)) -> Result<(), Trouble> {
    for entry in tree.entries("wals")? {
        match entry.kind {
            EntryKind::File(_) if entry.name.ends_with(".history") => {
                each(&entry.name, format!("wals/{}", entry.name));
            }
            EntryKind::Directory if entry.name.len() == 16 => {
                let directory = format!("wals/{}", entry.name);
                for file in
                    tree.entries(&directory)?.iter().filter(|file| matches!(file.kind, EntryKind::File(_)))
                {
                    each(&file.name, format!("{directory}/{}", file.name));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A file of WAL that Barman keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalFile {
    /// The name by which PostgreSQL asks for it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it is packed, as its first bytes tell: its name does not. None where it is packed or encrypted in a way that is
    /// not read here.
    pub packed: Option<Packed>,
}

/// All WAL that Barman keeps in a directory `wals`, in the order of names, from the segment `from` on where one is given;
/// histories always. Its names have no endings, so each file is asked how it is packed.
///
/// # Errors
///
/// What cannot be read.
pub fn wal_files(wals: &Path, from: Option<&str>) -> Result<Vec<WalFile>, NotABackup> {
    let above = wals.parent().unwrap_or(wals);
    let go = || -> Result<Vec<WalFile>, Trouble> {
        let tree = Tree::open(above)?;
        let mut found = Vec::new();
        each_wal(&tree, |name, path| found.push((name.to_owned(), path)))?;
        // The eight digits of the timeline come first in a name, and a backup can be followed along several.
        found.retain(|(name, _)| {
            name.ends_with(".history") || from.is_none_or(|from| name.get(8..) >= from.get(8..))
        });
        found.sort();
        let file = |(name, path): (String, String)| {
            let begins = tree.beginning(&path, 8)?;
            Ok(WalFile { packed: packed(&name, &begins), path: tree.root().join(path), name })
        };
        found.into_iter().map(file).collect()
    };
    go().map_err(|trouble| NotABackup::of(wals, trouble))
}

/// How a file of WAL is packed, by its first bytes.
fn packed(name: &str, begins: &[u8]) -> Option<Packed> {
    match begins {
        [0x1F, 0x8B, ..] => Some(Packed::Gzip),
        [0x04, 0x22, 0x4D, 0x18, ..] => Some(Packed::Lz4),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Packed::Zstd),
        _ if !is_segment(name) && !name.ends_with(".partial") => Some(Packed::No),
        // The first two bytes of WAL tell its version.
        [_, 0xD0 | 0xD1, ..] => Some(Packed::No),
        _ => None,
    }
}

/// The directory of a server that a path within one belongs to.
pub(crate) fn whole_of(path: &Path) -> Option<&Path> {
    let above = path.parent()?;
    let candidates = [above.parent(), Some(above)];
    let is_part =
        path.join("backup.info").is_file() || matches!(path.file_name()?.to_str()?, "base" | "wals" | "data");
    candidates
        .into_iter()
        .chain([above.parent().and_then(Path::parent)])
        .flatten()
        .find(|path| is_part && Tree::open(path).is_ok_and(|tree| is_server(&tree)))
}
