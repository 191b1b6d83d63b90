//! An incremental backup that was there already, and those that it is built on. `pg_combinebackup` looks at labels and control files,
//! and takes the rest as it is: so each of them is restored by pgdrill first, which verifies it against its own manifest, and the
//! program then combines what came of that, in the place of the restored server.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pgdrill_backup::parts::{Part, beside};
use pgdrill_backup::standing::{self, Standing};
use pgdrill_backup::verify::{self, Options, Source};
use pgdrill_model::code::{Code, Weight};
use pgdrill_model::evidence::{BackupEvidence, VerifiedEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::scenario::WalMethod;
use pgdrill_repository::{Backup as Picked, Chained, Files, Layout};

use super::{TOGETHER, evidence, origin, with_tablespaces};
use crate::drill::{Drill, on_a_thread};
use crate::recovery::native;
use crate::recovery::unpack::{SCRATCH, Unpacked};
use crate::workspace::trouble;

/// One of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is called in the record: by its label, or as the backup that is proven.
    pub name: String,
    /// By what it is chosen.
    pub label: String,
    /// Where its files lie.
    pub path: PathBuf,
}

/// Where the files of a chain lie, as its layout says.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`, `WORKSPACE_UNUSABLE`.
pub fn links(drill: &Drill<'_>, layout: &Layout, chain: &[&Picked], name: &str) -> Result<Vec<Link>, Unable> {
    let plain = |number: usize, one: &Chained| {
        with_tablespaces(drill, one, Path::new(&format!("{TOGETHER}-{number}")))
    };
    let tars = |parts: &[Part]| {
        let directory = parts.first().and_then(|base| base.path.parent());
        directory.map(Path::to_owned).ok_or_else(|| Unable::bug("a backup of no tars"))
    };
    let paths: Vec<PathBuf> = match layout {
        Layout::Plain { chain, .. } => {
            (1..).zip(chain).map(|(number, one)| plain(number, one)).collect::<Result<_, _>>()?
        }
        Layout::Tars { chain, .. } => chain.iter().map(|parts| tars(parts)).collect::<Result<_, _>>()?,
        Layout::Mixed { chain, .. } => (1..)
            .zip(chain)
            .map(|(number, one)| match one {
                Files::Plain(one) => plain(number, one),
                Files::Tars(parts) => tars(parts),
            })
            .collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    if paths.len() != chain.len() {
        return Err(Unable::bug("a chain of backups that do not lie in directories"));
    }
    let newest = chain.len() - 1;
    let link = |(at, (picked, path)): (usize, (&&Picked, PathBuf))| Link {
        name: match at {
            _ if at == newest => name.to_owned(),
            _ if picked.label == name => picked.path.display().to_string(),
            _ => picked.label.clone(),
        },
        label: picked.label.clone(),
        path,
    };
    Ok(chain.iter().zip(paths).enumerate().map(link).collect())
}

/// What the record tells of one that others are built on; a finding where it does not say where it began.
///
/// # Errors
///
/// `BACKUP_UNREADABLE`.
pub async fn describe(link: &Link, picked: &Picked) -> Result<Result<BackupEvidence, Box<Finding>>, Unable> {
    let standing: Standing = {
        let path = link.path.clone();
        on_a_thread(move || standing::look(&path))
            .await?
            .map_err(|error| Unable::new(Code::BackupUnreadable, error.to_string()))?
    };
    Ok(origin::of_files(&link.path, &standing)?
        .map(|origin| evidence::prior(link, picked, &standing, origin)))
}

/// Restores each of a chain into a directory of its own; gives these, and what was verified in all. Findings name the one that is
/// not good.
///
/// # Errors
///
/// What keeps one from being restored.
pub async fn restore(
    drill: &Drill<'_>,
    links: &[Link],
    wal: WalMethod,
) -> Result<Result<(Vec<PathBuf>, Unpacked), Vec<Finding>>, Unable> {
    let workspace = drill.workspace;
    let mut all = Unpacked { verified: Some(VerifiedEvidence::default()), ..Unpacked::default() };
    let mut directories = Vec::new();
    remove(drill, links.len()).await?;
    for (number, link) in (1..).zip(links) {
        let data = member(number);
        let own = beside(&data);
        workspace.make_dir(&data)?;
        workspace.make_dir(&own)?;
        let newest = number == links.len();
        let options = Options {
            // No recovery begins at one that others are built on.
            wal: newest,
            wal_elsewhere: (newest && wal == WalMethod::None).then(|| workspace.path("archive")),
            ..Options::default()
        };
        let restored =
            native::restore_as(drill, Source::Directory(link.path.clone()), options, &data, &own).await?;
        let named = |finding: Finding| {
            let message = format!("{}: {}", link.label, finding.message);
            Finding { message, ..finding }.with("backup", &link.label)
        };
        match restored {
            Ok(restored) => {
                all.doubts.extend(restored.doubts.into_iter().map(named));
                if let (Some(all), Some(own)) = (&mut all.verified, restored.verified) {
                    all.files += own.files;
                    all.bytes += own.bytes;
                    all.checksums += own.checksums;
                    all.pages += own.pages;
                    all.wal_records += own.wal_records;
                }
            }
            Err(findings) => return Ok(Err(findings.into_iter().map(named).collect())),
        }
        directories.push(workspace.path(data));
    }
    let restored = directories.clone();
    let misfits = on_a_thread(move || verify::fit(&restored)).await?;
    let (wrong, notes): (Vec<Finding>, Vec<Finding>) = misfits
        .into_iter()
        .map(|finding| Finding {
            message: as_given(&finding.message, &directories, links),
            stage: Stage::Recover,
            ..finding
        })
        .partition(|finding| finding.weight != Weight::Notes);
    if !wrong.is_empty() {
        return Ok(Err(wrong));
    }
    all.doubts.extend(notes);
    Ok(Ok((directories, all)))
}

/// Removes what each of a chain was restored into: nobody needs it when they are combined.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`.
pub async fn remove(drill: &Drill<'_>, links: usize) -> Result<(), Unable> {
    let data = (1..=links).map(member);
    let paths: Vec<PathBuf> =
        data.flat_map(|data| [beside(&data), data]).map(|path| drill.workspace.path(path)).collect();
    let removed = move || {
        paths.into_iter().try_for_each(|path| match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(trouble(&path, &error)),
            _ => Ok(()),
        })
    };
    on_a_thread(removed).await?
}

/// Words about directories within the workspace, as words about the backups that were restored there.
fn as_given(words: &str, directories: &[PathBuf], links: &[Link]) -> String {
    directories.iter().zip(links).rev().fold(words.to_owned(), |words, (directory, link)| {
        words.replace(&directory.display().to_string(), &link.path.display().to_string())
    })
}

/// Where one of a chain is restored, within the workspace.
fn member(number: usize) -> PathBuf {
    Path::new(SCRATCH).join(format!("member-{number}"))
}
