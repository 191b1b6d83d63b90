//! What kind of thing a path is: the signs of each kind, the surest first.

use std::fs;
use std::path::Path;

use pgdrill_backup::parts::{self, Packed};

use crate::base::{self, peek};
use crate::chain::built_on;
use crate::files::{self, Kind as EntryKind, Tree, Trouble, shown};
use crate::found::{Backup, Found, Held, Kind, WalLayout, WalPlace};
use crate::not_a_backup::{LOOKED_FOR, LOOKED_FOR_IN_A_FILE, NotABackup};
use crate::wal::segment_of;
use crate::{Options, barman, dump, pgbackrest, walg};

/// Directories and files one level below that are looked at.
const MOST_BELOW: usize = 10_000;

/// Bytes of a file by which it is seen whether it can be a backup.
const FIRST: usize = 4 << 10;

/// Remarks that are kept.
const MOST_REMARKS: usize = 1000;

/// With what files begin that are encrypted, and by what.
const ENCRYPTED: [(&[u8], &str); 4] = [
    (b"Salted__", "the passphrase with which openssl or pgBackRest encrypted it"),
    (b"age-encryption.org/", "the identity for which age encrypted it"),
    (b"-----BEGIN PGP MESSAGE-----", "the key for which gpg encrypted it"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "the identity for which age encrypted it"),
];

/// Looks at a path.
pub(crate) fn look(path: &Path, options: &Options) -> Result<Found, NotABackup> {
    let linked = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink());
    let metadata = fs::metadata(path).map_err(|error| NotABackup::of(path, error.into()))?;
    let mut found = if metadata.is_dir() {
        let tree = Tree::open(path).map_err(|trouble| NotABackup::of(path, trouble))?;
        directory(&tree, options)?
    } else {
        file(path)?
    };
    if linked {
        let remark = format!("the path is a link; what was looked at is {}", found.path.display());
        found.remarks.insert(0, remark);
    }
    if found.remarks.len() > MOST_REMARKS {
        let more = found.remarks.len() - MOST_REMARKS;
        found.remarks.truncate(MOST_REMARKS);
        found.remarks.push(format!("and {more} more remarks"));
    }
    Ok(found)
}

/// Looks at several paths as if they were one directory.
pub(crate) fn together(paths: &[&Path], options: &Options) -> Result<Found, NotABackup> {
    let mut all: Option<Found> = None;
    for path in paths {
        let found = look(path, options)?;
        if paths.len() > 1 && !matches!(found.kind, Kind::BaseBackup | Kind::Dump | Kind::Set) {
            return Err(NotABackup::PartOf {
                path: (*path).to_owned(),
                of: "several, and a repository is one alone",
                whole: found.path,
            });
        }
        match &mut all {
            None => all = Some(found),
            Some(all) => {
                all.kind = Kind::Set;
                all.backups.extend(found.backups);
                all.wal.extend(found.wal);
                all.remarks.extend(found.remarks);
            }
        }
    }
    let mut all = all.ok_or_else(|| NotABackup::Missing { path: Path::new("").to_owned() })?;
    told_apart(&mut all);
    built_on(&mut all);
    all.sort();
    Ok(all)
}

/// Looks at a path, and for what its backups are built on at others as well.
pub(crate) fn upon(path: &Path, upon: &[&Path], options: &Options) -> Result<Found, NotABackup> {
    let mut found = look(path, options)?;
    if upon.is_empty() {
        return Ok(found);
    }
    let of_files = |found: &Found| matches!(found.kind, Kind::BaseBackup | Kind::Set);
    let another = |path: &Path, found: &Found| NotABackup::NotBuiltUpon {
        path: path.to_owned(),
        is: found.kind.words(),
    };
    if !of_files(&found) {
        return Err(another(path, &found));
    }
    for path in upon {
        let more = look(path, options)?;
        if !of_files(&more) {
            return Err(another(path, &more));
        }
        found.upon.extend(more.backups);
        found.remarks.extend(more.remarks);
    }
    // Named twice, or within the path itself.
    let mut seen: Vec<_> = found.backups.iter().map(|backup| backup.path.clone()).collect();
    found.upon.retain(|backup| {
        let fresh = !seen.contains(&backup.path);
        seen.push(backup.path.clone());
        fresh
    });
    let mut labels: Vec<String> = found.backups.iter().map(|backup| backup.label.clone()).collect();
    for backup in &mut found.upon {
        if labels.contains(&backup.label) {
            backup.label = backup.path.to_string_lossy().into_owned();
        }
        labels.push(backup.label.clone());
    }
    built_on(&mut found);
    Ok(found)
}

fn directory(tree: &Tree, options: &Options) -> Result<Found, NotABackup> {
    // A directory that cannot be listed can be anything.
    tree.entries("").map_err(|trouble| NotABackup::of(tree.root(), trouble))?;
    if let Some(found) = one(tree) {
        return found.map(|mut found| {
            built_on(&mut found);
            found
        });
    }
    if let Some(whole) = pgbackrest::whole_of(tree.root()) {
        return Err(part_of(tree, "a pgBackRest repository", whole));
    }
    if let Some(whole) = barman::whole_of(tree.root()) {
        return Err(part_of(tree, "what Barman keeps of a server", whole));
    }
    if let Some(trouble) = pgbackrest::hidden(tree) {
        return Err(NotABackup::of(&tree.root().join("backup"), trouble));
    }
    if pgbackrest::is_repository(tree) {
        return pgbackrest::look(tree, options);
    }
    if walg::is_storage(tree) {
        return walg::look(tree);
    }
    let servers = barman::servers(tree);
    if !servers.is_empty() {
        return barman::look(tree, servers);
    }
    set(tree)
}

fn part_of(tree: &Tree, of: &'static str, whole: &Path) -> NotABackup {
    NotABackup::PartOf { path: tree.root().to_owned(), of, whole: whole.to_owned() }
}

/// The one base backup or dump that a directory is; none where it is something else.
fn one(tree: &Tree) -> Option<Result<Found, NotABackup>> {
    if base::is_plain(tree) && barman::whole_of(tree.root()).is_none() {
        return Some(
            base::look_plain(tree).map(|looked| of_one(Kind::BaseBackup, looked.backup, looked.remarks)),
        );
    }
    if let Some(looked) = dump::look_directory(tree) {
        return Some(looked.map(|looked| of_one(Kind::Dump, looked.backup, looked.remarks)));
    }
    if base::is_tars(tree) {
        return Some(
            base::look_tars(tree).map(|looked| of_one(Kind::BaseBackup, looked.backup, looked.remarks)),
        );
    }
    None
}

fn of_one(kind: Kind, backup: Backup, remarks: Vec<String>) -> Found {
    Found {
        path: backup.path.clone(),
        kind,
        backups: vec![backup],
        upon: Vec::new(),
        wal: Vec::new(),
        remarks,
    }
}

/// Looks at a file.
fn file(path: &Path) -> Result<Found, NotABackup> {
    let real = fs::canonicalize(path).map_err(|error| NotABackup::of(path, error.into()))?;
    let nothing =
        |holds: String| NotABackup::Nothing { path: real.clone(), looked_for: LOOKED_FOR_IN_A_FILE, holds };
    let open = || match files::open(&real) {
        Ok(file) => Ok(file),
        Err(Trouble::NoFile) => Err(nothing("no file: a pipe, a socket or a device is there".to_owned())),
        Err(trouble) => Err(NotABackup::of(&real, trouble)),
    };
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(above) = real.parent().filter(|above| is_one_of_several(above, &name)) {
        return Err(NotABackup::PartOf {
            path: real.clone(),
            of: "a base backup in several tars",
            whole: above.to_owned(),
        });
    }
    let begins = |length| match peek::begins(open()?, length) {
        Ok(begins) => Ok(begins),
        Err(error) if error.raw_os_error().is_some() => Err(NotABackup::of(&real, error.into())),
        Err(error) => {
            let what = format!("it cannot be unpacked: {}", shown(&error.to_string()));
            Err(NotABackup::HalfCopied { path: real.clone(), what })
        }
    };
    // Most files of a directory are something else, and a little of them shows that.
    let (packed, mut first) = begins(FIRST)?;
    let unfinished = base::UNFINISHED.iter().find_map(|ending| Some((ending, name.strip_suffix(ending)?)));
    if let Some((ending, stem)) = unfinished
        && (dump::is_dump(&first) || peek::is_tar(&first) || parts::part(Path::new(stem)).is_some())
    {
        let what = format!("its name ends in {ending}: it is still being copied, or was given up");
        return Err(NotABackup::HalfCopied { path: real, what });
    }
    if first.len() == FIRST && dump::is_dump(&first) {
        (_, first) = begins(dump::BEGINS)?;
    }
    let begins = first;
    if let Some((_, needs)) = ENCRYPTED.iter().find(|(magic, _)| begins.starts_with(magic)) {
        return Err(NotABackup::Encrypted { path: real, needs: (*needs).to_owned() });
    }
    if begins.is_empty() {
        return Err(nothing("nothing: it is empty".to_owned()));
    }
    if let Some(looked) = dump::look_file(&real, open()?, packed, &begins) {
        return looked.map(|looked| of_one(Kind::Dump, looked.backup, looked.remarks));
    }
    if peek::is_tar(&begins) {
        if let Some(looked) = base::look_one_tar(&real, open()?, packed) {
            return Ok(of_one(Kind::BaseBackup, looked.backup, looked.remarks));
        }
        return Err(nothing("a tar without PG_VERSION and without toc.dat".to_owned()));
    }
    Err(nothing(if packed == Packed::No {
        "something else".to_owned()
    } else {
        "something else, packed".to_owned()
    }))
}

/// Whether a file is one of the tars of a base backup. Names of numbers are also those of dumps, so the base must be among them.
fn is_one_of_several(directory: &Path, name: &str) -> bool {
    let stem = |name: &str| parts::part(Path::new(name)).map(|part| part.stem);
    let Some(own) = stem(name) else { return false };
    let tree = Tree::open(directory).ok();
    let entries = tree.and_then(|tree| tree.entries("").ok()).unwrap_or_default();
    let belongs = |other: &str| match stem(other) {
        Some(stem) => own == "base" || stem == "base",
        None => other == "backup_manifest",
    };
    entries.iter().any(|entry| entry.name != name && belongs(&entry.name))
}

/// Looks one level below a directory for base backups, dumps, and WAL beside them.
fn set(tree: &Tree) -> Result<Found, NotABackup> {
    let entries = tree.entries("").map_err(|trouble| NotABackup::of(tree.root(), trouble))?;
    let mut found = Found {
        path: tree.root().to_owned(),
        kind: Kind::Set,
        backups: Vec::new(),
        upon: Vec::new(),
        wal: Vec::new(),
        remarks: Vec::new(),
    };
    if entries.len() > MOST_BELOW {
        found
            .remarks
            .push(format!("only the first {MOST_BELOW} of its {} entries were looked at", entries.len()));
    }
    let (mut refused, mut halves) = (Vec::new(), Vec::new());
    for entry in entries.iter().take(MOST_BELOW) {
        let looked = match entry.kind {
            EntryKind::Other => continue,
            EntryKind::File(_) => Some(file(&tree.root().join(&entry.name))),
            EntryKind::Link if tree.resolve(&entry.name).is_err() => {
                found.remarks.push(format!(
                    "{}: a link that leads out of it, or nowhere; it is not followed",
                    shown(&entry.name)
                ));
                continue;
            }
            // `latest`, which leads to one of the others.
            EntryKind::Link => continue,
            EntryKind::Directory => match tree.below(&entry.name) {
                Ok(below) => match below.entries("") {
                    Ok(_) => {
                        found.wal.extend(wal_beside(&below));
                        one(&below)
                    }
                    Err(trouble) => Some(Err(NotABackup::of(below.root(), trouble))),
                },
                Err(trouble) => Some(Err(NotABackup::of(&tree.root().join(&entry.name), trouble))),
            },
        };
        match looked {
            Some(Ok(looked)) => {
                found.backups.extend(looked.backups);
                found.remarks.extend(looked.remarks);
            }
            // What is not a part of a backup at all is of no concern.
            None | Some(Err(NotABackup::Nothing { .. })) => {}
            Some(Err(why)) => {
                // Part of a backup is one that is not good: whoever means all of them means it, too.
                if matches!(why, NotABackup::HalfCopied { .. } | NotABackup::Damaged { .. }) {
                    let path = tree.root().join(&entry.name);
                    let mut half = Backup::new(entry.name.as_str(), path, Held::Base(base::Base::default()));
                    half.unfit(why.to_string());
                    halves.push(half);
                } else {
                    found.remarks.push(format!("{} is left out: {why}", shown(&entry.name)));
                }
                refused.push(why);
            }
        }
    }
    if found.backups.is_empty() {
        // One thing that nearly is a backup says more than that there is none.
        return Err(match <[NotABackup; 1]>::try_from(refused) {
            Ok([why]) => why,
            Err(_) => {
                NotABackup::Nothing { path: found.path, looked_for: LOOKED_FOR, holds: holds(&entries) }
            }
        });
    }
    found.backups.extend(halves);
    belongs(&mut found);
    built_on(&mut found);
    found.sort();
    Ok(found)
}

/// The first names in a directory.
fn holds(entries: &[files::Entry]) -> String {
    const FIRST: usize = 5;
    let names: Vec<String> = entries.iter().take(FIRST).map(|entry| shown(&entry.name)).collect();
    match entries.len() {
        0 => "nothing: it is empty".to_owned(),
        count if count > FIRST => format!("{} and {} more", names.join(", "), count - FIRST),
        _ => names.join(", "),
    }
}

/// A directory beside backups that holds WAL, packed or not.
fn wal_beside(tree: &Tree) -> Option<WalPlace> {
    let entries = tree.entries("").ok()?;
    let mut place = WalPlace::new(tree.root().to_owned(), WalLayout::Plain);
    place.note(entries.iter().filter_map(|entry| segment_of(&entry.name)));
    (place.segments > 0).then_some(place)
}

/// Keeps only WAL that says itself that it is of the cluster of a backup. Which WAL belongs to which backup is not guessed.
fn belongs(found: &mut Found) {
    let known: Vec<u64> = found.backups.iter().filter_map(|backup| backup.system_identifier).collect();
    let mut remarks = Vec::new();
    found.wal.retain_mut(|place| {
        let name = place.path.file_name().unwrap_or_default().to_string_lossy();
        match whose(place) {
            Some(system) if known.contains(&system) => {
                place.system_identifier = Some(system);
                true
            }
            Some(system) => {
                remarks.push(format!(
                    "{}: it holds WAL of another cluster ({system}); it is left out",
                    shown(&name)
                ));
                false
            }
            None => {
                remarks.push(format!(
                    "{}: it holds WAL that does not say of which cluster it is; it is left out",
                    shown(&name)
                ));
                false
            }
        }
    });
    found.remarks.extend(remarks);
}

/// The cluster whose WAL lies in a place, as the first page of its first segment says.
fn whose(place: &WalPlace) -> Option<u64> {
    let tree = Tree::open(&place.path).ok()?;
    let first = place.first.as_deref()?;
    let entries = tree.entries("").ok()?;
    let entry =
        entries.iter().find(|entry| entry.name.starts_with(first) && !entry.name.contains("backup"))?;
    let (_, page) = peek::begins(tree.file(&entry.name).ok()?, pgdrill_ondisk::wal::page::LONG).ok()?;
    let header = pgdrill_ondisk::wal::page::Header::read(&page)?;
    pgdrill_ondisk::wal::page::major(header.magic)?;
    header.long.map(|long| long.system_identifier)
}

/// Gives those of several backups that have the same name the name of the directory above as well.
fn told_apart(found: &mut Found) {
    let labels: Vec<String> = found.backups.iter().map(|backup| backup.label.clone()).collect();
    for backup in &mut found.backups {
        if labels.iter().filter(|label| **label == backup.label).count() > 1 {
            backup.label = backup.path.to_string_lossy().into_owned();
        }
    }
}
