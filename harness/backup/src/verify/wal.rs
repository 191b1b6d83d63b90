//! The WAL that a backup itself needs, and how far recovery would come with an archive.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_ondisk::wal::{Lineage, Reason, Segments, Walker};

use super::Options;
use super::given::Content;
use super::segments::{KeptSegments, TarSegments};
use super::settle::Page;
use crate::parts::Part;
use crate::wal::Store;
use crate::wal::range::{self, Range, Why};
use crate::wal::{Kind, Survey};

/// Where the WAL of a backup lies.
#[derive(Clone, Debug)]
pub enum WalOf {
    /// In directories, of which the first comes before the others.
    Directories(Vec<PathBuf>),
    /// In a tar.
    Within(Part),
    /// In memory, since it was streamed.
    Kept(BTreeMap<(u32, u64), Vec<u8>>),
    /// Nowhere that can be read again.
    Nowhere,
}

/// Where the WAL of a backup may lie, by the backup alone.
pub enum WalFrom {
    /// In a directory of it.
    Directory(PathBuf),
    /// In its archives: of its own, or among the files of the base.
    Archives {
        /// Its own.
        wal: Option<Part>,
        /// The base.
        base: Option<Part>,
    },
    /// In a stream, which cannot be read again.
    Stream,
}

impl WalFrom {
    /// That of a backup.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::Plain(root) => Self::Directory(root.join("pg_wal")),
            Content::Tars { parts, wal, .. } => Self::Archives {
                wal: wal.clone(),
                base: parts.iter().find(|part| part.stem == "base").cloned(),
            },
            Content::Stream(_) | Content::Nothing => Self::Stream,
        }
    }

    /// Where it lies, with what was asked for. `within`: whether segments were seen among the files of the base; `kept`:
    /// those that were kept of a stream.
    pub fn with(self, options: &Options, within: bool, kept: BTreeMap<(u32, u64), Vec<u8>>) -> WalOf {
        let mut directories = options.archives.clone();
        if let Some(directory) = &options.wal_directory {
            // It was named for just this.
            return WalOf::Directories(vec![directory.clone()]);
        }
        match self {
            Self::Archives { wal: Some(part), .. } => return WalOf::Within(part),
            Self::Archives { base: Some(part), .. } if within => return WalOf::Within(part),
            Self::Stream if !kept.is_empty() => return WalOf::Kept(kept),
            Self::Directory(own) => directories.push(own),
            _ => {}
        }
        directories.extend(options.wal_elsewhere.clone());
        if directories.is_empty() { WalOf::Nowhere } else { WalOf::Directories(directories) }
    }
}

impl WalOf {
    /// The segments; none where there are none.
    fn segments(&self, segment_size: Option<u32>) -> Result<Option<Box<dyn Segments>>, String> {
        Ok(match self {
            Self::Nowhere => None,
            Self::Directories(directories) => {
                let paths: Vec<&Path> = directories.iter().map(PathBuf::as_path).collect();
                let mut store = Store::open(&paths).map_err(|error| error.to_string())?.with_compressed();
                if directories.len() == 1 {
                    store = store.with_short();
                }
                if let Some(bytes) = segment_size {
                    store = store.of_segment_size(bytes);
                }
                Some(Box::new(store))
            }
            Self::Within(part) => Some(Box::new(TarSegments::open(part, segment_size))),
            Self::Kept(segments) => {
                let first = segments.values().next().map_or(0, |bytes| bytes.len() as u32);
                let segment_size = segment_size.unwrap_or(first);
                Some(Box::new(KeptSegments { segments: segments.clone(), segment_size }))
            }
        })
    }
}

impl WalOf {
    /// Whether a directory of it is not there at all, and not only closed to us.
    fn is_missing(&self) -> bool {
        let missing = |directory: &PathBuf| {
            fs::metadata(directory).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        matches!(self, Self::Directories(directories) if directories.iter().any(missing))
    }
}

/// What the WAL of a backup shows.
#[derive(Debug, Default)]
pub struct Needed {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Records that were read.
    pub records: u64,
}

/// Reads the ranges that a backup needs.
pub fn needed(wal: &WalOf, ranges: &[Range], segment_size: Option<u32>) -> Needed {
    let mut needed = Needed::default();
    for range in ranges {
        let why = match wal.segments(segment_size) {
            Ok(Some(mut segments)) => match range::check(&mut *segments, *range) {
                Ok(records) => {
                    needed.records += records;
                    continue;
                }
                Err(broken) => broken.why,
            },
            Ok(None) => continue,
            Err(error) => {
                let code = if wal.is_missing() { Code::WalGap } else { Code::BackupUnreadable };
                needed.findings.push(failed(range, code, error));
                continue;
            }
        };
        let code = match &why {
            Why::Ends(end) if matches!(end.reason, Reason::Missing { .. }) => Code::WalGap,
            Why::Ends(end) if matches!(end.reason, Reason::Unreadable { .. }) => Code::BackupUnreadable,
            _ => Code::WalDamaged,
        };
        needed.findings.push(failed(range, code, why.to_string()));
    }
    needed
}

fn failed(range: &Range, code: Code, why: String) -> Finding {
    Finding::new(code, Stage::Check, format!("WAL parsing failed for timeline {}", range.timeline))
        .about("pg_wal")
        .with("detail", why)
        .with("range", range)
}

/// Which of these pages the WAL of the ranges makes anew, by an image of the whole page or by a record that begins it
/// afresh; none where the WAL cannot be read to the end of the ranges.
pub fn remade(
    wal: &WalOf,
    ranges: &[Range],
    segment_size: Option<u32>,
    wanted: &HashSet<Page>,
) -> Option<HashSet<Page>> {
    let mut remade = HashSet::new();
    for range in ranges {
        let mut segments = wal.segments(segment_size).ok()??;
        let mut walker = Walker::new(&mut *segments, Lineage::single(range.timeline), range.start);
        while walker.position() < range.end {
            let record = walker.next().ok()?;
            for block in record.blocks().ok()? {
                let page = Page {
                    tablespace: block.relation.tablespace,
                    database: block.relation.database,
                    number: block.relation.number,
                    fork: block.fork,
                    block: block.number,
                };
                let anew = block.initialises || block.image.is_some_and(|image| image.applied);
                if anew && wanted.contains(&page) {
                    remade.insert(page);
                }
            }
        }
    }
    (!ranges.is_empty()).then_some(remade)
}

/// What is wrong with archives.
pub fn of_survey(survey: &Survey) -> Vec<Finding> {
    let about = survey.directories.join(", ");
    let finding = |code, message: String| Finding::new(code, Stage::Check, message).about(about.clone());
    let mut findings = Vec::new();
    if let Some(refused) = &survey.refused {
        findings.push(finding(Code::TimelineUnrelated, refused.clone()));
    }
    let Some(window) = &survey.window else {
        findings.push(finding(Code::CheckNotRun, "there is no WAL to recover from".to_owned()));
        return findings;
    };
    if let Some(strayed) = window.strayed {
        findings.push(finding(
            Code::WalGap,
            format!(
                "from {} on, segments of timeline {} are missing, and those of timeline {} are replayed in their place",
                strayed.at, strayed.expected, strayed.timeline
            ),
        ));
    }
    let ends = &window.ends;
    let lost = survey.beyond.iter().map(|run| run.segments).sum::<u64>();
    if window.records == 0 && ends.kind == Kind::Clean {
        let message = format!(
            "the archive holds nothing from {} on: segment {} is not there",
            window.begin, ends.segment
        );
        findings.push(finding(Code::WalGap, message));
        return findings;
    }
    let code = match ends.kind {
        Kind::Unread => Some(Code::BackupUnreadable),
        Kind::Clean | Kind::Partial if lost == 0 => None,
        Kind::Broken if !matches!(ends.reason, Reason::Missing { .. }) => Some(Code::WalDamaged),
        _ => Some(Code::WalGap),
    };
    if let Some(code) = code {
        let lost = if lost == 0 { String::new() } else { format!("; {lost} segments behind it are lost") };
        findings.push(finding(
            code,
            format!("recovery ends at {}, in segment {}: {}{lost}", window.end, ends.segment, ends.why),
        ));
    }
    findings
}
