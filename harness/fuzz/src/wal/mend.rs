//! WAL with its page headers, the links and the CRCs of its records set right: what lies behind these is reached only
//! so.

use std::collections::BTreeMap;

use pgdrill_ondisk::segment::PAGE;
use pgdrill_ondisk::wal::page::{self, Header};

use super::archive::{Archive, SIZE};

/// What is taken where no page says which version wrote it: 15.
const USUAL_MAGIC: u16 = 0xD110;

const CONTINUES: u16 = 0x0001;
const IS_LONG: u16 = 0x0002;
const OVERWRITES: u16 = 0x0008;

/// Bytes of a record's header, and where its CRC is there (`XLogRecord`, `src/include/access/xlogrecord.h`).
const HEADER: usize = 24;
const CRC_AT: usize = 20;

/// The archive mended, and where records begin in it: all that a reader comes by from its first segment on, unless it
/// refuses what one says.
pub fn mended(archive: &Archive) -> (Archive, Vec<u64>) {
    let mut timeline = 1;
    let segments: BTreeMap<u64, (u32, Vec<u8>)> = (archive.first()..)
        .zip(archive.segments.iter())
        .map(|(number, ((of, _), pages))| {
            timeline = timeline.max(*of);
            (number, (timeline, pages.clone()))
        })
        .collect();
    let magic =
        segments.values().next().and_then(|(_, pages)| Header::read(pages)).map(|header| header.magic);
    let magic = magic.filter(|magic| page::major(*magic).is_some()).unwrap_or(USUAL_MAGIC);
    let mut mending = Mending { segments, magic };
    let starts = mending.all(archive.first() * u64::from(SIZE));
    let segments = mending.segments.into_iter().map(|(number, (of, pages))| ((of, number), pages)).collect();
    (Archive::from(segments, archive.zero), starts)
}

struct Mending {
    segments: BTreeMap<u64, (u32, Vec<u8>)>,
    magic: u16,
}

/// Some bytes of a record: of which segment, from where to where.
type Part = (u64, usize, usize);

impl Mending {
    /// The page at a position, with its timeline; none where there is none.
    fn page(&mut self, address: u64) -> Option<(u32, &mut [u8])> {
        let (timeline, pages) = self.segments.get_mut(&(address / u64::from(SIZE)))?;
        let offset = (address % u64::from(SIZE)) as usize;
        Some((*timeline, pages.get_mut(offset..offset + PAGE)?))
    }

    /// Sets the header of the page right, on which so many bytes of a record go on. Gives its length; none where
    /// there is no page.
    fn header(&mut self, address: u64, remaining: u32) -> Option<usize> {
        let magic = self.magic;
        let (timeline, page) = self.page(address)?;
        let begins = address.is_multiple_of(SIZE.into());
        let overwrites = u16::from_le_bytes([page[2], page[3]]) & OVERWRITES;
        let long = if begins { IS_LONG } else { 0 };
        let info = long | if remaining > 0 { CONTINUES } else { overwrites };
        page[..2].copy_from_slice(&magic.to_le_bytes());
        page[2..4].copy_from_slice(&info.to_le_bytes());
        page[4..8].copy_from_slice(&timeline.to_le_bytes());
        page[8..16].copy_from_slice(&address.to_le_bytes());
        page[16..20].copy_from_slice(&remaining.to_le_bytes());
        if begins {
            page[24..32].copy_from_slice(&1_u64.to_le_bytes());
            page[32..36].copy_from_slice(&SIZE.to_le_bytes());
            page[36..40].copy_from_slice(&(PAGE as u32).to_le_bytes());
        }
        Some(if begins { page::LONG } else { page::SHORT })
    }

    fn overwrites(&mut self, address: u64) -> bool {
        self.page(address).is_some_and(|(_, page)| u16::from_le_bytes([page[2], page[3]]) & OVERWRITES != 0)
    }

    fn all(&mut self, mut position: u64) -> Vec<u64> {
        let mut starts = Vec::new();
        let mut previous = 0;
        loop {
            let page = position - position % PAGE as u64;
            if position == page {
                match self.header(page, 0) {
                    Some(header) => position += header as u64,
                    None => return starts,
                }
            }
            match self.record(position, previous) {
                Some(Next::Record(end)) => {
                    starts.push(position);
                    (previous, position) = (position, end);
                }
                Some(Next::Page(page)) => position = page,
                None => return starts,
            }
        }
    }

    /// Sets the record right that begins there; none where no more follows.
    fn record(&mut self, start: u64, previous: u64) -> Option<Next> {
        let number = start / u64::from(SIZE);
        let (from, mut page) = ((start % u64::from(SIZE)) as usize, start - start % PAGE as u64);
        let mut room = (page + PAGE as u64 - start) as usize;
        let length = self.segments.get(&number)?.1.get(from..from + 4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if length < HEADER {
            return None;
        }
        let mut parts: Vec<Part> = vec![(number, from, from + length.min(room))];
        let (mut left, mut end) = (length - length.min(room), start + length.next_multiple_of(8) as u64);
        while left > 0 {
            page += PAGE as u64;
            if self.overwrites(page) {
                // Of a record that was given up, too, the link is looked at where its header is whole.
                if let Some(link) = self.segments.get_mut(&number)?.1.get_mut(from + 8..from + 16) {
                    link.copy_from_slice(&previous.to_le_bytes());
                }
                return Some(Next::Page(page));
            }
            let header = self.header(page, left as u32)?;
            room = PAGE - header;
            let offset = (page % u64::from(SIZE)) as usize + header;
            parts.push((page / u64::from(SIZE), offset, offset + left.min(room)));
            end = page + (header + left.next_multiple_of(8)) as u64;
            left -= left.min(room);
        }
        let mut bytes: Vec<u8> = Vec::with_capacity(length);
        for (number, from, to) in &parts {
            bytes.extend_from_slice(self.segments.get(number)?.1.get(*from..*to)?);
        }
        bytes[8..16].copy_from_slice(&previous.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[HEADER..]), &bytes[..CRC_AT]);
        bytes[CRC_AT..HEADER].copy_from_slice(&crc.to_le_bytes());
        let mut rest = bytes.as_slice();
        for (number, from, to) in parts {
            let (part, behind) = rest.split_at(to - from);
            self.segments.get_mut(&number)?.1[from..to].copy_from_slice(part);
            rest = behind;
        }
        // A switch of segments (`XLOG_SWITCH`).
        let switches = bytes[17] == 0 && bytes[16] & 0xF0 == 0x40;
        Some(Next::Record(if switches { end.next_multiple_of(SIZE.into()) } else { end }))
    }
}

/// Where the next record is looked for.
enum Next {
    /// Behind this one.
    Record(u64),
    /// At the beginning of a page, since this one was given up.
    Page(u64),
}
