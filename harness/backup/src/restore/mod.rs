//! Restores a backup: unpacks it and verifies it on the way, so that it is verified by the time it is on disk.
//!
//! A directory that is not complete, or not what its manifest says, is one on which PostgreSQL does not start: the control
//! file comes last, when all else is on disk and was found to be good, and until then a note beside it says so.

mod aim;
mod place;
mod settings;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pgdrill_model::code::{Code, Weight};
use pgdrill_model::finding::{Finding, Stage};
use serde::Serialize;

pub use self::aim::Aim;
use self::aim::Told;
pub use self::place::{Mapping, Refused};
pub use self::settings::Settings;
use self::writing::Writing;
use crate::verify::{self, Options, Progress, Report, Source};
use crate::{parts, tablespaces};

/// The manifest, which is restored too, so that what was restored can be verified again.
const MANIFEST: &str = "backup_manifest";

/// Where and how a backup is restored.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data directory: one that is not there, or is empty.
    pub into: PathBuf,
    /// Where tablespaces go that lay elsewhere.
    pub tablespaces: Vec<Mapping>,
    /// Who is to own it, as user and group; none for whoever restores.
    pub owner: Option<(u32, u32)>,
    /// What the server is to recover to; none for a server that begins without a target.
    pub settings: Option<Settings>,
    /// Whether it is on disk in the end, and not only on its way there.
    pub sync: bool,
    /// Whether PostgreSQL may start on it although something is wrong with it.
    pub accept_damage: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// What the verification on the way says, and what went wrong with the writing.
    #[serde(flatten)]
    pub report: Report,
    /// The data directory.
    pub into: String,
    /// Whether it is complete, so that PostgreSQL starts on it.
    pub complete: bool,
    /// Where recovery will stop; none where no target was wanted, or it cannot be told.
    pub aim: Option<Aim>,
    /// Tablespaces and where they are now.
    pub tablespaces: Vec<Mapping>,
    /// Bytes that were not written because they are zero.
    pub sparse: u64,
}

/// Restores a backup.
///
/// # Errors
///
/// Why nothing was begun. Nothing was written then.
pub fn restore(
    source: Source,
    options: &Options,
    place: &Place,
    progress: &Progress,
) -> Result<Restored, Refused> {
    let manifest = options.manifest.clone().or_else(|| match &source {
        Source::Directory(path) => Some(path.join(MANIFEST)),
        Source::Archive(path) => path.parent().map(|directory| directory.join(MANIFEST)),
        Source::OneTar(_) | Source::Stream(_) => None,
    });
    let theirs = match &source {
        Source::Directory(path) => tablespaces_of(path)?,
        Source::Archive(path) => tablespaces_of(path.parent().unwrap_or(Path::new(".")))?,
        Source::OneTar(part) => tablespaces::of_one_tar(part).unwrap_or_default(),
        // A server with tablespaces refuses to stream its backup as one tar.
        Source::Stream(_) => Vec::new(),
    };
    if let Source::Directory(path) = &source {
        place::all_known(&parts::of_tar(path), &theirs)?;
    }
    let mapped = place::map(&theirs, &place.tablespaces)?;
    let writing = Arc::new(Writing::begin(place, &mapped)?);
    let also = writing::Restoring(Arc::clone(&writing));
    let mut report = verify::verify_and(source, options, progress, Some(&also));
    let given_up = progress.given_up.load(Ordering::Relaxed);
    let mut trouble = writing.trouble().or_else(|| given_up.then(|| "it was given up".to_owned()));
    let damaged = report.findings.iter().any(|finding| finding.weight >= Weight::Disproves);
    let unread = report.findings.iter().any(|finding| {
        matches!(finding.code, Code::BackupUnreadable | Code::RestoreFailed | Code::InternalError)
    });
    let mut aim = None;
    let mut astray = false;
    if let Some(settings) = place.settings.as_ref().filter(|_| trouble.is_none() && !unread && !damaged) {
        let restored = aim::Restored {
            facts: &report.backup,
            control: writing.control(),
            into: &place.into,
            archives: &options.archives,
        };
        match aim::take(settings, &restored) {
            Told::Comes(to) => aim = Some(to),
            Told::Fails(finding) => {
                report.add(finding);
                astray = true;
            }
            Told::Unknown(why) => {
                report.not_checked.push(format!("whether recovery comes to {}: {why}", settings.target));
            }
        }
    }
    let mut complete = false;
    if trouble.is_none() && !unread && ((!damaged && !astray) || place.accept_damage) {
        match writing.complete(place, &mapped, manifest.as_deref()) {
            Ok(()) => complete = true,
            Err(error) => trouble = Some(error),
        }
    }
    if let Some(message) = trouble {
        let into = place.into.display().to_string();
        report.add(Finding::new(Code::RestoreFailed, Stage::Recover, message).about(into));
    }
    Ok(Restored {
        report,
        into: place.into.display().to_string(),
        complete,
        aim,
        tablespaces: mapped.into_iter().map(|(_, mapping)| mapping).collect(),
        sparse: writing.sparse(),
    })
}

/// The tablespaces of the backup in a directory.
fn tablespaces_of(directory: &Path) -> Result<Vec<pgdrill_ondisk::tablespace::Mapping>, Refused> {
    match tablespaces::of_backup(directory) {
        Ok(mut found) => {
            // A plain backup has both a map and links.
            found.sort_by(|a, b| a.oid.cmp(&b.oid));
            found.dedup_by(|a, b| a.oid == b.oid);
            Ok(found)
        }
        // A backup that cannot be read so far is looked at more closely by the verification.
        Err(_) => Ok(Vec::new()),
    }
}
