//! A chronicle that is being made, record by record.

use std::collections::HashMap;

use pgdrill_ondisk::Malformed;
use pgdrill_ondisk::wal::{Content, End, Lineage, Prepare, Reason, Record, Xids};

use super::super::replayed;
use super::super::timelines::Place;
use super::{CHUNK, Chronicle, Entry, Extra, Kind, Last, NOTHING, Near, Strayed};

/// A chronicle that is being made.
pub(super) struct Reading {
    /// What is known so far.
    pub(super) chronicle: Chronicle,
    /// Transactions that are prepared: where their name is.
    prepared: HashMap<u32, usize>,
    timeline: u32,
    /// Positions to be looked at closely that are still to come, the next one last.
    closely: Vec<u64>,
    lineage: Lineage,
    /// The timeline of the file that is read, and where the lineage left it.
    file: (u32, u64),
}

impl Reading {
    /// Nothing yet.
    pub(super) fn new(begin: Place, lineage: &Lineage, closely: &[u64]) -> Self {
        let mut closely = closely.to_vec();
        closely.sort_unstable_by(|a, b| b.cmp(a));
        closely.dedup();
        let nothing = End {
            lsn: begin.position,
            at: begin.position,
            segment: String::new(),
            offset: 0,
            cuts_a_record: false,
            reason: Reason::Missing { instead: None },
        };
        let chronicle = Chronicle {
            entries: Vec::new(),
            timelines: vec![begin.timeline],
            subxids: Vec::new(),
            extras: Vec::new(),
            begin,
            last: None,
            near: Vec::new(),
            strayed: None,
            identity: None,
            major: 0,
            end: nothing,
        };
        Self {
            chronicle,
            prepared: HashMap::new(),
            timeline: begin.timeline,
            closely,
            file: (0, u64::MAX),
            lineage: lineage.clone(),
        }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, record: &Record<'_>) -> Result<(), Reason> {
        let undecodable = |error: Malformed| Reason::Undecodable { what: error.to_string() };
        let content = record.content().map_err(undecodable)?;
        self.look_closely(record);
        self.chronicle.major = record.major;
        self.change_timeline(&content)?;
        self.look_for_straying(record);
        self.note(record, &content);
        self.chronicle.last =
            Some(Last { start: record.start, end: record.end, rmgr: record.rmgr(), timeline: self.timeline });
        Ok(())
    }

    /// The chronicle of WAL that ends so.
    pub(super) fn finish(mut self, end: End) -> Chronicle {
        while let Some(position) = self.closely.pop() {
            self.chronicle.near.push(near(position, self.chronicle.last, None));
        }
        self.chronicle.end = end;
        self.chronicle
    }

    fn look_closely(&mut self, record: &Record<'_>) {
        while let Some(position) = self.closely.pop_if(|position| *position <= record.start) {
            let from = Some((record.start, record.end));
            self.chronicle.near.push(near(position, self.chronicle.last, from));
        }
    }

    fn change_timeline(&mut self, content: &Content<'_>) -> Result<(), Reason> {
        if let Some(said) = replayed::said(content)
            && replayed::follow(&mut self.timeline, &self.lineage, said)?
        {
            self.chronicle.timelines.push(self.timeline);
        }
        Ok(())
    }

    /// The file counts, and not the timeline that is replayed: a new timeline can begin with other records than the one
    /// that says so.
    fn look_for_straying(&mut self, record: &Record<'_>) {
        let timeline = record.file_timeline;
        if self.file.0 != timeline {
            self.file = (timeline, self.lineage.left_at(timeline).unwrap_or(u64::MAX));
        }
        if record.start >= self.file.1 && self.chronicle.strayed.is_none() {
            let expected = self.lineage.timeline_at(record.start).unwrap_or(timeline);
            self.chronicle.strayed = Some(Strayed { at: record.start, timeline, expected });
        }
    }

    fn note(&mut self, record: &Record<'_>, content: &Content<'_>) {
        let silent = i64::MIN;
        match content {
            Content::Commit(finish) | Content::Abort(finish) => {
                let commit = matches!(content, Content::Commit(_));
                let subxids = self.keep_subxids(finish.subxids);
                if finish.prepared {
                    let gid = match self
                        .prepared
                        .remove(&finish.xid)
                        .and_then(|at| self.chronicle.extras.get(at))
                    {
                        Some(Extra::Prepare { gid, .. }) => gid.clone(),
                        _ => text(finish.gid),
                    };
                    let extra = if commit {
                        Extra::CommitPrepared { gid, subxids }
                    } else {
                        Extra::AbortPrepared { gid, subxids }
                    };
                    self.push_extra(record, finish.xid, finish.time, extra);
                } else {
                    let kind = if commit { Kind::Commit } else { Kind::Abort };
                    self.push(record, kind, finish.xid, finish.time, subxids);
                }
            }
            Content::Prepare(Prepare { xid, time, gid, subxids, .. }) => {
                let subxids = self.keep_subxids(*subxids);
                self.prepared.insert(*xid, self.chronicle.extras.len());
                self.push_extra(record, *xid, *time, Extra::Prepare { gid: text(gid), subxids });
            }
            Content::RestorePoint { time, name } => {
                self.push_extra(record, 0, *time, Extra::RestorePoint(text(name)));
            }
            Content::BackupEnd { start } => self.push_extra(record, 0, silent, Extra::BackupEnd(*start)),
            Content::Checkpoint(checkpoint) if checkpoint.shutdown => {
                let from = (checkpoint.previous != checkpoint.timeline).then_some(checkpoint.previous);
                self.push_extra(record, 0, checkpoint.time, Extra::Shutdown(from));
            }
            Content::EndOfRecovery { time, previous, .. } => {
                self.push_extra(record, 0, *time, Extra::EndOfRecovery(*previous));
            }
            Content::ParameterChange(parameters) => {
                self.push_extra(record, 0, silent, Extra::Parameters(*parameters));
            }
            Content::CreateTablespace { oid, path } => {
                self.push_extra(record, *oid, silent, Extra::CreateTablespace(text(path)));
            }
            Content::DropTablespace { oid } => self.push_extra(record, *oid, silent, Extra::DropTablespace),
            Content::Overwrite { overwritten, time } => {
                self.push_extra(record, 0, *time, Extra::Overwritten(*overwritten));
            }
            _ => {}
        }
    }

    fn keep_subxids(&mut self, xids: Xids<'_>) -> u32 {
        if xids.is_empty() {
            return NOTHING;
        }
        let list = &mut self.chronicle.subxids;
        let at = u32::try_from(list.len()).unwrap_or(NOTHING);
        list.push(xids.len() as u32);
        list.extend(xids.iter());
        at
    }

    fn push_extra(&mut self, record: &Record<'_>, xid: u32, time: i64, extra: Extra) {
        let at = u32::try_from(self.chronicle.extras.len()).unwrap_or(NOTHING);
        self.chronicle.extras.push(extra);
        self.push(record, Kind::Other, xid, time, at);
    }

    fn push(&mut self, record: &Record<'_>, kind: Kind, xid: u32, time: i64, extra: u32) {
        // A record is shorter than 2 GB, and so is what can lie between two, pages of one that was given up.
        let short = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
        let before = self.chronicle.last.map_or(record.start, |last| last.end);
        let entry = Entry {
            start: record.start,
            time,
            length: short(record.end - record.start),
            since_previous: short(record.start.saturating_sub(record.previous())),
            gap: short(record.start.saturating_sub(before)),
            xid,
            extra,
            timeline: u16::try_from(self.chronicle.timelines.len() - 1).unwrap_or(u16::MAX),
            kind,
        };
        match self.chronicle.entries.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(entry),
            _ => {
                // The first piece grows as it is needed: most WAL has little in it.
                let room = if self.chronicle.entries.is_empty() { 0 } else { CHUNK };
                let mut chunk = Vec::with_capacity(room);
                chunk.push(entry);
                self.chronicle.entries.push(chunk);
            }
        }
    }
}

fn near(position: u64, before: Option<Last>, from: Option<(u64, u64)>) -> Near {
    Near {
        position,
        before: before.map(|last| (last.start, last.end)),
        before_rmgr: before.map_or(0, |last| last.rmgr),
        from,
    }
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}
