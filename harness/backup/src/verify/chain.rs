//! Several backups of which each builds upon the one before it: each is verified, and then whether they fit together, as
//! `pg_combinebackup` asks before it makes one of them (`check_control_files` and `check_backup_label_files` in
//! `src/bin/pg_combinebackup/pg_combinebackup.c`; `reconstruct_from_incremental_file` in `reconstruct.c`;
//! `load_manifest.c`), and in its words. It stops at the first thing that is wrong; here all of it is told.
//!
//! It asks for the files that the newest backup needs. Here it is asked of each backup whether the one before it has what
//! it builds upon, so that the chain holds up to wherever it is cut. A file that a newer backup does not have at all was
//! dropped, and nobody asks for it. Which files there are is read in the manifests, which were held against the files
//! themselves; those of two backups are in memory at a time.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use pgdrill_model::code::{Code, Weight};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::manifest::Manifest;
use serde::Serialize;

use super::incremental::PREFIX;
use super::verification::{Standing, Told};
use super::{Options, Progress, Report, Source, one};

/// More findings than this are only counted: nobody reads them.
const FINDINGS: usize = 1000;

/// What a verification says of a chain of backups.
#[derive(Clone, Debug, Serialize)]
pub struct ChainReport {
    /// The worst of what is said of each and of how they fit together.
    pub verdict: Verdict,
    /// What is said of each, the oldest first.
    pub members: Vec<Report>,
    /// Where they do not fit together.
    pub findings: Vec<Finding>,
    /// Findings beyond those, which were only counted.
    pub more_findings: u64,
    /// What of the chain was not verified, and why.
    pub not_checked: Vec<String>,
}

impl ChainReport {
    /// Whether a bug of ours was met.
    pub fn is_bug(&self) -> bool {
        self.members.iter().any(Report::is_bug)
    }
}

/// Verifies backups, the oldest first: each alone, and that they build upon each other. Each is a directory, plain or with
/// archives, with its manifest: one that was named for all of them (`Options::manifest`) is not used. How far recovery
/// would come with an archive is only asked of the newest.
pub fn verify_chain(sources: Vec<PathBuf>, options: &Options, progress: &Progress) -> ChainReport {
    let each = Options { manifest: None, ..options.clone() };
    let number = sources.len();
    let mut chain = Chain { several: number > 1, ..Chain::default() };
    if options.manifest.is_some() {
        chain.not_checked.push("the manifest that was named: each backup has its own".to_owned());
    }
    // Known beforehand, so that what is done never becomes a smaller part of the whole.
    let manifests = sources.iter().filter_map(|source| fs::read(source.join("backup_manifest")).ok());
    let manifests = manifests.filter_map(|bytes| Manifest::read(&bytes).ok());
    progress.total.store(manifests.map(|manifest| manifest.files.bytes()).sum(), Ordering::Relaxed);
    let mut members = Vec::new();
    for (index, source) in sources.into_iter().enumerate() {
        let standing = if index + 1 == number { Standing::Newest } else { Standing::BuiltUpon };
        let (report, told) = one(Source::Directory(source), &each, progress, None, standing);
        let wrong = report.findings.iter().any(|finding| finding.weight != Weight::Notes);
        let path = report.backup.path.clone();
        members.push(report);
        if !(options.stop_at_first && wrong) {
            chain.add(path, told);
        }
        if options.stop_at_first && (wrong || !chain.findings.is_empty()) {
            chain.not_checked.push("whatever comes behind the first thing that is wrong".to_owned());
            break;
        }
    }
    chain.report(members)
}

/// Whether the backups in these directories, all in plain format, build upon each other, the oldest first: by their labels, control
/// files and manifests alone, which somebody has verified before. What cannot be read does not fit.
pub fn fit(sources: &[PathBuf]) -> Vec<Finding> {
    let mut chain = Chain { several: sources.len() > 1, ..Chain::default() };
    for source in sources {
        let read = |name: &str| fs::read(source.join(name)).ok();
        let told = Told {
            manifest: read("backup_manifest").and_then(|bytes| Manifest::read(&bytes).ok()),
            label: read("backup_label").and_then(|bytes| Label::read(&bytes).ok()),
            control: read("global/pg_control").and_then(|bytes| Control::verify(&bytes).ok()),
            control_path: source.join("global/pg_control").display().to_string(),
        };
        chain.add(source.display().to_string(), told);
    }
    chain.report(Vec::new()).findings
}

/// What is kept of a backup to hold others against it.
struct Member {
    path: String,
    control_path: String,
    /// Unique number of its cluster and version of its checksums.
    control: Option<(u64, u32)>,
    label: Option<Label>,
}

/// Backups that are held against each other as they come.
#[derive(Default)]
struct Chain {
    several: bool,
    members: Vec<Member>,
    /// The manifest of the latest.
    manifest: Option<Manifest>,
    findings: Vec<Finding>,
    more: u64,
    not_checked: Vec<String>,
}

impl Chain {
    fn broken(&mut self, subject: impl Into<String>, message: String) {
        if self.findings.len() < FINDINGS {
            self.findings.push(Finding::new(Code::BackupChainBroken, Stage::Check, message).about(subject));
        } else {
            self.more += 1;
        }
    }

    /// The next backup.
    fn add(&mut self, path: String, told: Told) {
        let Told { manifest, label, control, control_path } = told;
        let control = control.map(|control| (control.system_identifier, control.checksum_version));
        let member = Member { path, control_path, control, label };
        self.label(&member);
        if self.several && manifest.as_ref().is_some_and(|manifest| manifest.version < 2) {
            let message = "backup manifest version 1 does not support incremental backup".to_owned();
            self.broken(&member.path, message);
        }
        self.files(&member, manifest.as_ref());
        self.members.push(member);
        self.manifest = manifest;
    }

    /// Whether a label says that its backup builds upon the one before it (`check_backup_label_files`).
    fn label(&mut self, member: &Member) {
        let path = &member.path;
        let Some(label) = &member.label else {
            if self.several {
                self.not_checked
                    .push(format!("what backup at \"{path}\" builds upon: it has no label that can be read"));
            }
            return;
        };
        let messages = match (label.incremental, self.members.last()) {
            (None, None) => Vec::new(),
            (Some(_), None) => vec![format!(
                "backup at \"{path}\" is an incremental backup, but the first backup should be a full backup"
            )],
            (None, Some(_)) => vec![format!(
                "backup at \"{path}\" is a full backup, but only the first backup should be a full backup"
            )],
            (Some(from), Some(Member { path, label: Some(before), .. })) => {
                let mut messages = Vec::new();
                if before.timeline != from.timeline {
                    let (found, expected) = (before.timeline, from.timeline);
                    messages.push(format!(
                        "backup at \"{path}\" starts on timeline {found}, but expected {expected}"
                    ));
                }
                if before.start != from.start {
                    let (found, expected) = (Lsn(before.start), Lsn(from.start));
                    messages
                        .push(format!("backup at \"{path}\" starts at LSN {found}, but expected {expected}"));
                }
                messages
            }
            // That it has no label was said when it came.
            (Some(_), Some(Member { label: None, .. })) => Vec::new(),
        };
        messages.into_iter().for_each(|message| self.broken(path, message));
    }

    /// Whether the backup before a member has the files of which that holds only some pages.
    fn files(&mut self, member: &Member, manifest: Option<&Manifest>) {
        // The oldest builds upon none, or says so by its label.
        let Some(older) = self.members.last() else { return };
        let (older, path) = (older.path.clone(), &member.path);
        let (Some(files), Some(before)) = (manifest.map(|manifest| &manifest.files), self.manifest.take())
        else {
            self.not_checked.push(format!(
                "whether backup at \"{older}\" has the files that backup at \"{path}\" builds upon: not both have a \
                 manifest that can be used"
            ));
            return;
        };
        for file in files.iter() {
            let Some(whole) = whole_path(file.path) else { continue };
            let name = String::from_utf8_lossy(file.path);
            if files.find(&whole).is_some() {
                let whole = String::from_utf8_lossy(&whole);
                let message =
                    format!("backup at \"{path}\" holds \"{whole}\" twice: whole, and as \"{name}\"");
                self.broken(name.clone(), message);
            }
            if before.files.find(&whole).is_none() && before.files.find(file.path).is_none() {
                let message = format!(
                    "could not open file \"{older}/{name}\": No such file or directory; backup at \"{path}\" builds \
                     upon it"
                );
                self.broken(name, message);
            }
        }
    }

    /// Whether all are of one cluster (`check_control_files`).
    fn controls(&mut self) {
        let Some((newest, (identifier, checksums))) = self
            .members
            .iter()
            .rposition(|member| member.control.is_some())
            .and_then(|index| Some((index, self.members.get(index)?.control?)))
        else {
            return;
        };
        let mut mixed = false;
        let mut messages = Vec::new();
        for member in &self.members[..newest] {
            let Some((found, its_checksums)) = member.control else { continue };
            if found != identifier {
                let path = &member.control_path;
                let message = format!("{path}: expected system identifier {identifier}, but found {found}");
                messages.push((member.path.clone(), message));
            }
            mixed |= checksums != 0 && its_checksums != checksums;
        }
        messages.into_iter().for_each(|(path, message)| self.broken(path, message));
        if mixed {
            let message = "only some backups have checksums enabled";
            let path = self.members[newest].path.clone();
            self.findings.push(Finding::new(Code::ChainChecksumsMixed, Stage::Check, message).about(path));
        }
    }

    fn report(mut self, members: Vec<Report>) -> ChainReport {
        self.controls();
        let Self { findings, more, not_checked, .. } = self;
        let own = match findings.iter().map(|finding| finding.weight).max() {
            Some(Weight::Disproves) => Verdict::Disproven,
            Some(Weight::Unverifies | Weight::Bug) => Verdict::Unverified,
            // Nothing was looked at, or not all that is needed to say that they fit.
            _ if members.is_empty() || !not_checked.is_empty() => Verdict::Unverified,
            _ => Verdict::Proven,
        };
        let verdict = members.iter().map(|member| member.verdict).fold(own, worse);
        ChainReport { verdict, members, findings, more_findings: more, not_checked }
    }
}

/// The worse of two verdicts.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    let rank = |verdict| match verdict {
        Verdict::Proven => 0,
        Verdict::Unverified => 1,
        Verdict::Disproven => 2,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// The path that a file has when it is whole, of one that holds only some pages, in a directory in which
/// `pg_combinebackup` makes such files whole (`process_directory_recursively`). It does so whatever their names are.
fn whole_path(path: &[u8]) -> Option<Vec<u8>> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    let (directory, name) = (&path[..slash], &path[slash + 1..]);
    let made_whole =
        directory.starts_with(b"base/") || directory == b"global" || directory.starts_with(b"pg_tblspc/");
    let whole = name.strip_prefix(PREFIX.as_bytes()).filter(|_| made_whole)?;
    Some([directory, b"/", whole].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("base/5/INCREMENTAL.16384", Some("base/5/16384"))]
    #[case("global/INCREMENTAL.1262", Some("global/1262"))]
    #[case(
        "pg_tblspc/16400/PG_17_202406281/5/INCREMENTAL.16401.1",
        Some("pg_tblspc/16400/PG_17_202406281/5/16401.1")
    )]
    #[case("base/5/INCREMENTAL.config", Some("base/5/config"))]
    #[case("INCREMENTAL.config", None)]
    #[case("pg_xact/INCREMENTAL.0000", None)]
    #[case("base/5/16384", None)]
    fn what_is_made_whole(#[case] path: &str, #[case] whole: Option<&str>) {
        assert_eq!(whole_path(path.as_bytes()).as_deref(), whole.map(str::as_bytes));
    }

    #[rstest]
    #[case(Verdict::Proven, Verdict::Unverified, Verdict::Unverified)]
    #[case(Verdict::Disproven, Verdict::Unverified, Verdict::Disproven)]
    #[case(Verdict::Proven, Verdict::Proven, Verdict::Proven)]
    fn the_worst_counts(#[case] one: Verdict, #[case] other: Verdict, #[case] expected: Verdict) {
        assert_eq!((worse(one, other), worse(other, one)), (expected, expected));
    }

    #[test]
    fn labels_alone_tell_what_does_not_fit() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, start: &str, from: &str| {
            let directory = parent.path().join(name);
            fs::create_dir(&directory).unwrap();
            let mut label = format!(
                "START WAL LOCATION: {start} (file 000000010000000000000002)\nCHECKPOINT LOCATION: {start}\n"
            );
            label.push_str("BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIMELINE: 1\n");
            if !from.is_empty() {
                label.push_str(&format!("INCREMENTAL FROM LSN: {from}\nINCREMENTAL FROM TLI: 1\n"));
            }
            fs::write(directory.join("backup_label"), label).unwrap();
            directory
        };
        let full = make("full", "0/2000028", "");
        let (first, second) =
            (make("first", "0/4000028", "0/2000028"), make("second", "0/6000028", "0/4000028"));
        assert_eq!(fit(&[full.clone(), first.clone(), second.clone()]), []);
        let words = |chain: &[&PathBuf]| -> Vec<String> {
            let chain: Vec<PathBuf> = chain.iter().map(|one| (*one).clone()).collect();
            fit(&chain).into_iter().map(|finding| finding.message).collect()
        };
        assert!(words(&[&full, &second])[0].ends_with("starts at LSN 0/2000028, but expected 0/4000028"));
        assert!(words(&[&first, &second])[0].contains("the first backup should be a full backup"));
        assert!(words(&[&first, &full])[1].contains("only the first backup should be a full backup"));
    }
}
