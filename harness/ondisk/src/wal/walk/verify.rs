//! What a page, a record's header and a record must be to be read on.

use super::super::Content;
use super::super::end::Reason;
use super::super::fields::{u32_at, u64_at};
use super::super::page::{self, Header, Identity};
use super::super::record::{CRC_AT, HEADER, Record, rmgr};
use super::super::segments::Segments;
use super::{Walker, Wrong};

impl<S: Segments> Walker<S> {
    pub(super) fn verify_page(&mut self, address: u64, header: &Header) -> Result<(), Wrong> {
        let offset = (address & (self.segment_size - 1)) as usize;
        let within = offset.saturating_sub(self.base);
        let known = match self.identity {
            Some((magic, _)) => header.magic == magic,
            None => page::major(header.magic).is_some(),
        };
        if !known {
            let empty = self.file[within..].iter().take(page::LONG).all(|byte| *byte == 0);
            let reason = if empty { self.zeros(within) } else { Reason::Magic { found: header.magic } };
            return Err((address, reason));
        }
        if header.has_unknown_flags() || (offset == 0 && header.long.is_none()) {
            return Err((address, Reason::PageFlags { found: header.info }));
        }
        if let Some(long) = header.long {
            let expected = *self.identity.get_or_insert((header.magic, long));
            if long.system_identifier != expected.1.system_identifier {
                let (found, expected) = (long.system_identifier, expected.1.system_identifier);
                return Err((address, Reason::System { found, expected }));
            }
            let possible =
                long.block_size.is_power_of_two() && (1 << 10..=1 << 16).contains(&long.block_size);
            if !possible
                || u64::from(long.segment_size) != self.segment_size
                || long.block_size != expected.1.block_size
            {
                let Identity { segment_size, block_size, .. } = long;
                return Err((address, Reason::Layout { segment_size, block_size }));
            }
        }
        if header.address != address {
            return Err((address, Reason::PageAddress { found: header.address }));
        }
        if address > self.latest.0 && header.timeline < self.latest.1 {
            let reason = Reason::TimelineBackwards { found: header.timeline, after: self.latest.1 };
            return Err((address, reason));
        }
        if !self.lineage.contains(header.timeline) {
            return Err((address, Reason::TimelineForeign { found: header.timeline }));
        }
        self.latest = (address, header.timeline);
        Ok(())
    }

    /// `ValidXLogRecordHeader`.
    pub(super) fn verify_header(&mut self, start: u64, record: &[u8; HEADER]) -> Result<(), Wrong> {
        let length = u32_at(record, 0);
        if (length as usize) < HEADER {
            let from = ((start & (self.segment_size - 1)) as usize).saturating_sub(self.base);
            return Err((start, self.too_short(from, HEADER, length)));
        }
        let manager = record[17];
        if manager > rmgr::LAST_BUILTIN && manager < rmgr::FIRST_CUSTOM {
            return Err((start, Reason::ResourceManager { found: manager }));
        }
        let found = u64_at(record, 8);
        let fits = self.previous.map_or(found < start, |previous| found == previous);
        if fits { Ok(()) } else { Err((start, Reason::PrevLink { found, expected: self.previous })) }
    }

    /// Why a record is shorter than its header: because there is none, or because it is damaged.
    pub(super) fn too_short(&mut self, from: usize, header: usize, length: u32) -> Reason {
        let empty = self.file[from..].iter().take(header).all(|byte| *byte == 0);
        if empty { self.zeros(from) } else { Reason::Length { found: length } }
    }

    /// Zeros from there on in what was read of the segment, maybe to its end: to know it, the rest is read.
    pub(super) fn zeros(&mut self, from: usize) -> Reason {
        let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let mut to_the_end = zero(&self.file[from..]);
        while to_the_end && ((self.base + self.file.len()) as u64) < self.segment_size {
            to_the_end = self.read_on(self.position).is_ok() && zero(&self.file);
        }
        Reason::Zeros { to_the_end }
    }

    /// A record that says which one was given up must name the one that was (`xlogrecovery_redo`).
    pub(super) fn verify_overwrite(
        &mut self,
        start: u64,
        within: Option<(usize, usize)>,
    ) -> Result<(), Wrong> {
        let bytes = within.map_or(self.crossing.as_slice(), |(from, to)| &self.file[from..to]);
        if !says_overwritten(bytes) {
            return Ok(());
        }
        let record = Record { start, end: start, file_timeline: 0, major: 0, bytes };
        let Ok(Content::Overwrite { overwritten, .. }) = record.content() else {
            let what = "it should say which record was given up".to_owned();
            return Err((start, Reason::Undecodable { what }));
        };
        let expected = self.given_up.take();
        // Whoever begins reading here has not seen the record that was given up.
        if expected == Some(overwritten) || self.previous.is_none() {
            return Ok(());
        }
        Err((start, Reason::Overwrite { found: overwritten, expected }))
    }
}

/// A file that had more bytes when it was opened.
pub(super) fn shorter() -> Reason {
    Reason::Unreadable { error: "it became shorter while it was read".to_owned() }
}

/// Whether a record says that another one was given up (`XLOG_OVERWRITE_CONTRECORD`).
pub(super) fn says_overwritten(record: &[u8]) -> bool {
    record[17] == rmgr::XLOG && record[16] & 0xF0 == 0xD0
}

/// `ValidXLogRecord`: the CRC covers the data first, then the header before it.
pub(super) fn verify_crc(start: u64, record: &[u8]) -> Result<(), Wrong> {
    let (header, data) = record.split_at(HEADER);
    let computed = crc32c::crc32c_append(crc32c::crc32c(data), &header[..CRC_AT]);
    let stored = u32_at(header, CRC_AT);
    if computed == stored { Ok(()) } else { Err((start, Reason::Checksum { stored, computed })) }
}
