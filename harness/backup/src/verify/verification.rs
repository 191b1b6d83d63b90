//! The way of a verification: manifest, files, what is missing, the control file, the WAL, data pages, and then what is
//! said of it all.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

use pgdrill_model::code::Code;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::manifest::Manifest;

use super::given::{Backup, Content, Extent};
use super::ignore::Ignored;
use super::names::{self, Again};
use super::observed::{Observed, Order};
use super::pages::Layout;
use super::plain::{self, words};
use super::reading::{self, Also, Reading};
use super::report::{Facts, Report};
use super::settle::{self, Known};
use super::tars::{self, Archive, ManifestWithin};
use super::wal::{self, WalFrom, WalOf};
use super::{Options, Progress, layout, missing};
use crate::flow::{Hands, Lanes};
use crate::wal::range::Range;
use crate::wal::timelines::Place;
use crate::wal::{Survey, survey};

/// Whether a backup is verified by itself, or as one of a chain of incremental ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// By itself.
    Alone,
    /// Others build upon it. Nobody recovers from it, so it is not asked how far that would come.
    BuiltUpon,
    /// The newest of a chain.
    Newest,
}

/// What a backup said of itself, for those who hold it against others.
#[derive(Debug, Default)]
pub struct Told {
    /// Its manifest.
    pub manifest: Option<Manifest>,
    /// Its label.
    pub label: Option<Label>,
    /// Its control file.
    pub control: Option<Control>,
    /// Where that lies, in words.
    pub control_path: String,
}

/// A verification on its way.
pub struct Verification<'a> {
    /// What is wanted.
    pub options: &'a Options,
    /// What was seen.
    pub observed: Arc<Observed>,
    /// What the backup says of itself.
    pub facts: Facts,
    /// What could not be told.
    pub not_checked: Vec<String>,
    /// The directory of the backup's own WAL, which a server reads where its archive has nothing.
    pub own_wal: Option<PathBuf>,
    /// How its pages are laid out, where that is known before they are read.
    pub layout: Option<Layout>,
    /// How far it is.
    pub progress: &'a Progress,
    /// Whether it is one of several.
    pub standing: Standing,
}

impl Verification<'_> {
    /// Goes all the way. Gives what is said of the backup, and what it says of itself.
    pub fn run(mut self, backup: Backup, also: Option<&dyn Also>) -> (Report, Told) {
        let Backup { content, manifest: path, .. } = backup;
        let manifest_may_come = path.is_none();
        let mut manifest = path.and_then(|path| self.manifest(&path));
        let ignored = Ignored::new(&self.options.ignore);
        let wal = WalFrom::of(&content);
        let (what, again) = (Extent::of(&content), Again::of(&content));
        let plain = matches!(content, Content::Plain(_));
        if let Content::Plain(root) = &content {
            self.own_wal = Some(root.join("pg_wal")).filter(|own| own.is_dir());
            self.layout = plain_layout(root);
        }
        if let Some(late) = self.files(content, manifest.as_ref(), manifest_may_come, &ignored, &what, also) {
            let archive = what.archive.as_deref().unwrap_or_default();
            manifest = self.parse(&late).inspect(|manifest| self.explain(manifest, &ignored, archive));
        }
        if manifest.is_none() && manifest_may_come {
            let message = "there is no backup_manifest in the archive, and none was named with -m";
            self.observed.found(Order::Walk, Code::ManifestMissing, b"backup_manifest", message);
        }
        if let Some(manifest) = manifest.as_ref().filter(|_| !plain) {
            self.not_checked.extend(missing::look(&self.observed, manifest, &ignored, &what));
        }
        if self.observed.is_over() {
            self.not_checked.push("whatever comes behind the first thing that is wrong".to_owned());
            return (self.report(None), Told::default());
        }
        if Ignored::only(&self.observed.look().unreached).has_all() {
            self.not_checked.push("anything: the backup cannot be looked into".to_owned());
            return (self.report(None), Told::default());
        }
        // Where nothing could be read, nothing is known to be missing either.
        let anything = self.observed.look().files > 0;
        let broken = self.observed.look().broken_archives.clone();
        let base = what.base && !what.archive.as_ref().is_some_and(|archive| broken.contains(archive));
        let read = if base && anything { layout::look(&self.observed) } else { layout::Read::default() };
        let control_path = match &what.archive {
            Some(archive) => format!("{archive}: global/pg_control"),
            None => format!("{}/global/pg_control", self.facts.path),
        };
        self.control(&read, manifest.as_ref(), &control_path);
        self.incremental(&read);
        let surveyed = self.wal_and_pages(wal, &read, manifest.as_ref());
        self.facts.take(&read, manifest.as_ref());
        if !self.options.stop_at_first {
            self.names(&again, read.control.as_ref());
        }
        let layout::Read { control, label, .. } = read;
        (self.report(surveyed), Told { manifest, label, control, control_path })
    }

    /// Reads the manifest at `path`.
    fn manifest(&mut self, path: &Path) -> Option<Manifest> {
        match fs::read(path) {
            Ok(bytes) => self.parse(&bytes),
            Err(error) => {
                let message = format!("could not open file \"{}\": {}", path.display(), words(&error));
                self.observed.found(Order::Walk, Code::ManifestMissing, b"backup_manifest", message);
                self.not_checked.push(
                    "which files belong to the backup, and whether they are what they were: \
                     there is no manifest"
                        .to_owned(),
                );
                None
            }
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Option<Manifest> {
        match Manifest::read(bytes) {
            Ok(manifest) => Some(manifest),
            Err(refused) => {
                let message = refused.to_string();
                self.observed.found(Order::Walk, Code::ManifestMismatch, b"backup_manifest", message);
                self.not_checked.push(
                    "which files belong to the backup, and whether they are what they were: \
                     its manifest cannot be used"
                        .to_owned(),
                );
                None
            }
        }
    }

    /// Reads all files. Gives the manifest, where it came with them.
    fn files(
        &mut self,
        content: Content,
        manifest: Option<&Manifest>,
        manifest_may_come: bool,
        ignored: &Ignored,
        what: &Extent,
        also: Option<&dyn Also>,
    ) -> Option<Vec<u8>> {
        let (options, within) = (self.options, ManifestWithin::default());
        if let Some(manifest) = manifest.filter(|_| self.standing == Standing::Alone) {
            self.progress.total.store(manifest.files.bytes(), Ordering::Relaxed);
        }
        let mut not_checked = Vec::new();
        let died = thread::scope(|scope| {
            let (hands, threads) = match content {
                Content::Plain(_) => (Hands::Readers, Vec::new()),
                _ => {
                    let (lanes, threads) = Lanes::start(scope, options.jobs);
                    (Hands::Lanes(lanes), threads)
                }
            };
            let reading = Reading {
                observed: &self.observed,
                manifest,
                manifest_may_come,
                options,
                ignored,
                hands: &hands,
                keeps_segments: matches!(content, Content::Stream(_)),
                layout: self.layout,
                progress: self.progress,
                also,
            };
            match content {
                Content::Nothing => {}
                Content::Plain(root) => {
                    layout::permissions(&self.observed, &root, also.is_some());
                    let files = plain::walk(&root, &reading);
                    // What can be told without reading is told first.
                    if let Some(manifest) = manifest {
                        not_checked = missing::look(&self.observed, manifest, ignored, what);
                    }
                    if !self.observed.is_over() {
                        plain::read(files, options.jobs, &reading);
                    }
                }
                Content::Tars { parts, wal, .. } => {
                    // Its WAL is verified apart, in its order; here it would only be restored.
                    let wal = wal.filter(|_| also.is_some());
                    let archives = parts.into_iter().chain(wal).map(Archive::File).collect();
                    tars::read(archives, options.jobs, &reading, &within);
                }
                Content::Stream(stream) => tars::read(vec![Archive::Stream(stream)], 1, &reading, &within),
            }
            drop(hands);
            threads.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_err).count()
        });
        self.not_checked.extend(not_checked);
        self.linked();
        let beside = self.observed.look().beside;
        if beside > 0 {
            self.not_checked
                .push(format!("{beside} members of the archive, which lie beside the data directory in it"));
        }
        if died > 0 {
            let message = format!("{died} of the threads that verify died");
            self.observed.found(Order::Walk, Code::InternalError, b".", message);
        }
        within.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which tablespaces the one tar of a data directory has links to, and no files of.
    fn linked(&self) {
        let linked = {
            let mut inner = self.observed.look();
            let linked = std::mem::take(&mut inner.linked);
            let below = |link: &[u8]| [link, b"/"].concat();
            let holds = |link: &[u8]| {
                inner
                    .directories
                    .range(below(link)..)
                    .next()
                    .is_some_and(|path| path.starts_with(&below(link)))
            };
            linked.into_iter().filter(|link| !holds(link)).collect::<Vec<_>>()
        };
        for link in linked {
            let message = format!(
                "\"{}\" is a link, and the files of that tablespace are not in the archive",
                String::from_utf8_lossy(&link)
            );
            self.observed.found(Order::Layout, Code::BackupUnfit, &link, message);
        }
    }

    /// Compares what came before its manifest with it.
    fn explain(&self, manifest: &Manifest, ignored: &Ignored, archive: &str) {
        let unexplained = std::mem::take(&mut self.observed.look().unexplained);
        let archive: Arc<str> = archive.into();
        for seen in unexplained.iter().filter(|seen| !ignored.has(&seen.path)) {
            reading::explain(&self.observed, manifest, self.options, &archive, seen);
        }
    }

    /// What `pg_verifybackup` says of the control file (`verify_control_file`): of the manifest's second version on.
    fn control(&self, read: &layout::Read, manifest: Option<&Manifest>, path: &str) {
        let Some(manifest) = manifest.filter(|manifest| manifest.version > 1) else { return };
        let found = |message| {
            self.observed.found(Order::Walk, Code::ManifestMismatch, b"global/pg_control", message);
        };
        if read.control_crc_is_wrong {
            found(format!("{path}: CRC is incorrect"));
        }
        let Some(control) = &read.control else { return };
        let (said, has) = (manifest.system_identifier.unwrap_or(0), control.system_identifier);
        if said != has {
            found(format!("{path}: manifest system identifier is {said}, but control file has {has}"));
        }
    }

    /// Whether it is an incremental backup by its label and by its files, and what of that cannot be told by it alone.
    fn incremental(&mut self, read: &layout::Read) {
        let (files, first, longest) = {
            let mut inner = self.observed.look();
            (inner.incremental_files, inner.first_incremental.take(), inner.longest.take())
        };
        let unfit = |subject: &[u8], message: String| {
            self.observed.found(Order::Layout, Code::BackupUnfit, subject, message);
        };
        if let (Some(longest), Some(control)) = (longest, &read.control)
            && let Some(message) = longest.excess(control.blocks_per_file)
        {
            unfit(&longest.file, message);
        }
        let Some(label) = &read.label else {
            if read.control.as_ref().is_some_and(Control::is_shut_down) {
                self.not_checked.push(
                    "whether its server stayed shut down until all of it was copied: it has no backup_label"
                        .to_owned(),
                );
            }
            return;
        };
        match (label.incremental, first) {
            (None, Some(first)) => {
                // A server would start on it, without the tables that these files hold parts of.
                let name = String::from_utf8_lossy(&first);
                let more = if files > 1 { format!(", and {} more", files - 1) } else { String::new() };
                let message = format!("full backup contains unexpected incremental file \"{name}\"{more}");
                unfit(&first, message);
            }
            (Some(from), _) if self.standing == Standing::Alone => {
                let (start, timeline) = (Lsn(from.start), from.timeline);
                self.not_checked.push(format!(
                    "what it builds upon: it is an incremental backup, and needs the one that starts at LSN {start} on \
                     timeline {timeline}, with those before that"
                ));
            }
            _ => {}
        }
    }

    fn wal_and_pages(
        &mut self,
        wal: WalFrom,
        read: &layout::Read,
        manifest: Option<&Manifest>,
    ) -> Option<Survey> {
        let segment_size = read.control.as_ref().map(|control| control.wal_segment_size);
        let ranges: Vec<Range> = match manifest {
            Some(manifest) => manifest
                .wal
                .iter()
                .map(|range| Range { timeline: range.timeline, start: range.start, end: range.end })
                .collect(),
            None => self.options.needs.into_iter().collect(),
        };
        let (within, dropped, kept) = {
            let mut inner = self.observed.look();
            (inner.segments_within > 0, inner.segments_dropped, std::mem::take(&mut inner.segments_kept))
        };
        // What is not all there would look as if it were missing.
        let wal = wal.with(self.options, within, if dropped { BTreeMap::new() } else { kept });
        let mut whole = false;
        if !self.options.wal {
            self.not_checked.push("the WAL that the backup needs".to_owned());
        } else if manifest.is_none() && ranges.is_empty() {
            self.not_checked
                .push("the WAL that the backup needs: only a manifest tells how far it goes".to_owned());
        } else if ranges.is_empty() {
            let message = "the manifest does not say which WAL the backup needs: leave it out with -n";
            self.observed.found(Order::Wal, Code::CheckNotRun, b"pg_wal", message);
        } else if matches!(wal, WalOf::Nowhere) {
            let message = "the WAL that the backup needs is not with it: name its archive with --wal, or leave it out \
                           with -n";
            self.observed.found(Order::Wal, Code::CheckNotRun, b"pg_wal", message);
        } else {
            let needed = wal::needed(&wal, &ranges, segment_size);
            whole = needed.findings.is_empty();
            self.facts.wal_records = needed.records;
            needed.findings.into_iter().for_each(|finding| self.observed.take(Order::Wal, finding));
        }
        self.pages(read, &wal, &ranges, segment_size, whole);
        self.survey(read, &ranges)
    }

    fn pages(
        &mut self,
        read: &layout::Read,
        wal: &WalOf,
        ranges: &[Range],
        segment_size: Option<u32>,
        whole: bool,
    ) {
        let (suspects, seen) = {
            let mut inner = self.observed.look();
            (inner.take_suspects(), inner.pages)
        };
        let layout = read.control.as_ref().map(Layout::of);
        let mut known = Known {
            major: read.major,
            layout,
            guessed: self.layout.is_none(),
            start: read.label.as_ref().map(|label| label.start),
            end: ranges.iter().map(|range| range.end).max(),
            remade: None,
        };
        let by_wal: HashSet<_> = suspects.iter().filter_map(settle::page).collect();
        if whole && !by_wal.is_empty() {
            known.remade = wal::remade(wal, ranges, segment_size, &by_wal);
        }
        let settled = settle::settle(&suspects, &seen, &known);
        settled.findings.into_iter().for_each(|finding| self.observed.take(Order::Pages, finding));
        self.facts.pages_remade = settled.remade;
        if !self.options.checksums {
            self.not_checked.push("the content of files".to_owned());
        } else if layout.is_some_and(|layout| !layout.checksums) {
            self.not_checked.push("damage within data pages: the cluster has no page checksums".to_owned());
        }
    }

    /// How far recovery would come with the archives.
    fn survey(&mut self, read: &layout::Read, ranges: &[Range]) -> Option<Survey> {
        if self.options.archives.is_empty() || self.standing == Standing::BuiltUpon {
            return None;
        }
        let end = ranges.iter().max_by_key(|range| range.end);
        let begin = match (end, &read.label) {
            (Some(range), _) => Some(Place { timeline: range.timeline, position: range.end }),
            (None, Some(label)) => Some(Place { timeline: label.timeline, position: label.start }),
            (None, None) => None,
        };
        let own = self.own_wal.iter();
        let archives: Vec<&Path> = self.options.archives.iter().chain(own).map(PathBuf::as_path).collect();
        match survey(&archives, begin, self.options.jobs, &|_| {}) {
            Ok(surveyed) => {
                for finding in wal::of_survey(&surveyed) {
                    self.observed.take(Order::Wal, finding);
                }
                Some(surveyed)
            }
            Err(error) => {
                let subject = error.path.display().to_string();
                self.observed.found(
                    Order::Wal,
                    Code::BackupUnreadable,
                    subject.as_bytes(),
                    error.to_string(),
                );
                None
            }
        }
    }

    /// Says of which relations the files are that something is wrong with.
    fn names(&self, again: &Again, control: Option<&Control>) {
        let (paths, maps) = {
            let mut inner = self.observed.look();
            let subjects = inner.findings.iter().filter_map(|(_, finding)| finding.subject.as_ref());
            let paths = subjects.map(|subject| subject.clone().into_bytes()).collect();
            (paths, std::mem::take(&mut inner.maps))
        };
        let page_size = control.map_or(8192, |control| control.block_size as usize);
        let names = names::of(paths, &maps, again, page_size);
        for (_, finding) in &mut self.observed.look().findings {
            let name = finding.subject.as_ref().and_then(|subject| names.get(subject.as_bytes()));
            if let Some(name) = name {
                finding.evidence.insert("relation".to_owned(), name.clone());
                finding
                    .evidence
                    .entry("detail".to_owned())
                    .or_insert_with(|| format!("it is of relation {name}"));
            }
        }
    }

    fn report(self, survey: Option<Survey>) -> Report {
        let Self { observed, facts, not_checked, .. } = self;
        let inner = std::mem::take(&mut *observed.look());
        Report::of(facts, inner, not_checked, survey)
    }
}

/// How the pages of a plain backup are laid out: its control file can be read before all else.
fn plain_layout(root: &Path) -> Option<Layout> {
    let bytes = fs::read(root.join("global/pg_control")).ok()?;
    Control::verify(&bytes).ok().map(|control| Layout::of(&control))
}
