//! What a verification says.

use pgdrill_model::code::Weight;
use pgdrill_model::finding::Finding;
use pgdrill_model::units::Lsn;
use pgdrill_model::verdict::Verdict;
use pgdrill_ondisk::manifest::Manifest;
use serde::Serialize;

use super::layout;
use super::observed::Inner;
use crate::wal::Survey;

/// What no reading of files can tell.
const NEVER: [&str; 2] = [
    "whether PostgreSQL starts on it, and whether it holds the right data: only a restore shows that",
    "who made it: a manifest tells of accidents, not of forgery",
];

/// What a verification says of a backup.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether the backup is what it must be, as far as files can tell.
    pub verdict: Verdict,
    /// What the backup says of itself.
    pub backup: Facts,
    /// How much was verified.
    pub checked: Counts,
    /// What is wrong, in the order in which it is told.
    pub findings: Vec<Finding>,
    /// Findings beyond those, which were only counted.
    pub more_findings: u64,
    /// What was not verified, and why.
    pub not_checked: Vec<String>,
    /// How far recovery would come with the archives that were named.
    pub recovery: Option<Survey>,
}

/// What a backup says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Where it is.
    pub path: String,
    /// The major version of its server.
    pub major: Option<u32>,
    /// Unique number of its cluster.
    pub system_identifier: Option<u64>,
    /// Its label.
    pub label: Option<String>,
    /// When it was begun, in its server's words.
    pub started: Option<String>,
    /// Whether it was taken from a standby.
    pub from_standby: bool,
    /// The timeline on which it was begun.
    pub timeline: Option<u32>,
    /// Where its WAL begins.
    pub wal_start: Option<Lsn>,
    /// Of an incremental backup, where the WAL begins of the one that it builds upon.
    pub incremental_from: Option<Lsn>,
    /// And the timeline on which that was begun.
    pub incremental_from_timeline: Option<u32>,
    /// Where it is consistent.
    pub wal_end: Option<Lsn>,
    /// The version of its manifest.
    pub manifest_version: Option<u32>,
    /// Whether its data pages have checksums.
    pub page_checksums: Option<bool>,
    /// Records of the WAL that it needs.
    pub wal_records: u64,
    /// Data pages that were read while the server wrote them, and that its WAL makes anew.
    pub pages_remade: u64,
}

/// How much was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files whose checksum was compared with the manifest's.
    pub checksums: u64,
    /// Files of tables, indexes and other relations.
    pub relation_files: u64,
    /// Their pages.
    pub pages: u64,
}

impl Facts {
    /// What its files say.
    pub(super) fn take(&mut self, read: &layout::Read, manifest: Option<&Manifest>) {
        self.major = read.major;
        if let Some(control) = &read.control {
            self.system_identifier = Some(control.system_identifier);
            self.page_checksums = Some(control.checksum_version > 0);
        }
        if let Some(label) = &read.label {
            self.label = label.name.as_deref().map(|name| String::from_utf8_lossy(name).into_owned());
            self.started = label.start_time.clone();
            self.from_standby = label.is_from_standby();
            self.timeline = Some(label.timeline);
            self.wal_start = Some(Lsn(label.start));
            self.incremental_from = label.incremental.map(|origin| Lsn(origin.start));
            self.incremental_from_timeline = label.incremental.map(|origin| origin.timeline);
        }
        if let Some(manifest) = manifest {
            self.manifest_version = Some(manifest.version);
            self.wal_end = manifest.wal.iter().map(|range| range.end).max().map(Lsn);
            self.system_identifier = self.system_identifier.or(manifest.system_identifier);
        }
    }
}

impl Report {
    /// Adds what was found later.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.verdict = self.verdict.max(verdict(Some(finding.weight)));
        self.findings.push(finding);
    }

    /// Puts it together.
    pub(super) fn of(
        backup: Facts,
        mut inner: Inner,
        mut not_checked: Vec<String>,
        recovery: Option<Survey>,
    ) -> Self {
        inner.findings.sort_by(|(order, a), (other, b)| (order, &a.subject).cmp(&(other, &b.subject)));
        let findings: Vec<Finding> = inner.findings.into_iter().map(|(_, finding)| finding).collect();
        let verdict = match verdict(inner.worst) {
            // Who looked at nothing has verified nothing.
            Verdict::Proven if inner.files == 0 => Verdict::Unverified,
            verdict => verdict,
        };
        not_checked.extend(NEVER.map(str::to_owned));
        Self {
            verdict,
            backup,
            checked: Counts {
                files: inner.files,
                bytes: inner.bytes,
                checksums: inner.compared,
                relation_files: inner.pages.files,
                pages: inner.pages.pages,
            },
            findings,
            more_findings: inner.more,
            not_checked,
            recovery,
        }
    }

    /// Whether a bug of ours was met.
    pub fn is_bug(&self) -> bool {
        self.findings.iter().any(|finding| finding.weight == Weight::Bug)
    }
}

/// What the heaviest finding makes of a backup.
fn verdict(worst: Option<Weight>) -> Verdict {
    match worst {
        Some(Weight::Disproves) => Verdict::Disproven,
        Some(Weight::Unverifies | Weight::Bug) => Verdict::Unverified,
        Some(Weight::Notes) | None => Verdict::Proven,
    }
}
