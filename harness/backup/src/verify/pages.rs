//! The data pages of a backup, as they come by: checksum, header, and the LSN of each.
//!
//! What is wrong with a page that was read while its server wrote it is not yet known: it may be half old and half new,
//! and is then made anew from the WAL. So pages that look damaged are only suspects until the WAL has been asked
//! ([`super::settle`]). Nor is it known, before the control file comes by, whether the cluster has checksums at all.

use std::sync::Arc;

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::page::{self, Damage};
use pgdrill_ondisk::relation::RelationFile;

use super::observed::Observed;
use crate::flow::Work;

/// The size of pages where nothing tells.
const USUAL_BLOCK_SIZE: usize = 8192;

/// Bytes of a file of a large relation (`RELSEG_SIZE`), where no control file tells.
pub const USUAL_FILE_BYTES: u64 = 1 << 30;

/// Suspects of one file that are kept, of those by their checksum and of the others; all beyond are only counted.
const SUSPECTS_OF_A_FILE: usize = 2048;

/// Suspects that are kept in all, of each of the two.
const SUSPECTS: usize = 100_000;

/// What of the pages is known as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagesSeen {
    /// Relation files.
    pub files: u64,
    /// Pages.
    pub pages: u64,
    /// Suspects that are only counted: those whose checksum is wrong, which means nothing in a cluster without checksums.
    pub more_by_checksum: u64,
    /// And all others.
    pub more: u64,
}

/// A page that may be damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its file, relative to the data directory.
    pub file: Arc<[u8]>,
    /// Its number in that file, which of an incremental backup holds only some pages.
    pub block: u32,
    /// Its number in the relation.
    pub number: u32,
    /// Its LSN, which is of no use where the header is damaged.
    pub lsn: u64,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is not whole, or not what it was.
    Damage(Damage),
    /// The file ends within it, after so many bytes.
    CutOff(u32),
    /// It is of a later time than the backup can hold.
    Later,
}

impl Wrong {
    /// Whether it is only the checksum, which a cluster may not have.
    pub fn is_by_checksum(self) -> bool {
        matches!(self, Self::Damage(Damage::Checksum { .. }))
    }
}

/// How the pages of a cluster are laid out, as its control file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes per page.
    pub block_size: u32,
    /// Pages per file of a large relation.
    pub blocks_per_file: u32,
    /// Whether pages have checksums.
    pub checksums: bool,
}

impl Layout {
    /// What a control file says.
    pub fn of(control: &Control) -> Self {
        Self {
            block_size: control.block_size,
            blocks_per_file: control.blocks_per_file,
            checksums: control.checksum_version > 0,
        }
    }
}

/// The pages of one file, on their way.
pub struct Pages {
    observed: Arc<Observed>,
    file: Arc<[u8]>,
    segment: u32,
    /// Bytes of the file, and how many of them came.
    size: u64,
    came: u64,
    layout: Option<Layout>,
    /// Behind which no page's LSN may lie.
    latest: Option<u64>,
    block_size: usize,
    block: u32,
    /// Of the pages behind the current one, where they are only some of the file.
    numbers: Option<std::vec::IntoIter<u32>>,
    /// The beginning of a page whose end has not come yet.
    carried: Vec<u8>,
    seen: PagesSeen,
    by_checksum: Vec<Suspect>,
    suspects: Vec<Suspect>,
    /// The page that is furthest beyond what the backup can hold.
    later: Option<(u32, u64)>,
}

impl Pages {
    /// The pages of `file`, whose name tells `relation`. `latest`: the end of the WAL that the backup needs, behind
    /// which no page's LSN may lie.
    pub fn new(
        observed: Arc<Observed>,
        file: &[u8],
        size: u64,
        relation: RelationFile,
        layout: Option<Layout>,
        latest: Option<u64>,
    ) -> Self {
        Self {
            observed,
            file: file.into(),
            segment: relation.segment,
            size,
            came: 0,
            layout,
            latest,
            block_size: layout.map_or(0, |layout| layout.block_size as usize),
            block: 0,
            numbers: None,
            carried: Vec::new(),
            seen: PagesSeen { files: 1, ..PagesSeen::default() },
            by_checksum: Vec::new(),
            suspects: Vec::new(),
            later: None,
        }
    }

    /// Makes them only some pages of the file, of this size and with these numbers in it.
    pub fn only(&mut self, block_size: u32, numbers: Vec<u32>) {
        let mut numbers = numbers.into_iter();
        self.block_size = block_size as usize;
        self.block = numbers.next().unwrap_or_default();
        self.numbers = Some(numbers);
    }

    /// The number of the current page in the relation.
    fn number(&self) -> u32 {
        let per_file = self.layout.map_or_else(
            || (USUAL_FILE_BYTES / self.block_size.max(1) as u64) as u32,
            |layout| layout.blocks_per_file,
        );
        self.segment.wrapping_mul(per_file).wrapping_add(self.block)
    }

    fn page(&mut self, page: &[u8]) {
        self.seen.pages += 1;
        let number = self.number();
        let lsn = page::lsn(page);
        let verified = match self.layout {
            Some(Layout { checksums: false, .. }) => page::verify_header(page),
            Some(_) => page::verify(page, number),
            // Its header must be possible with checksums and without.
            None => page::verify_header(page).and_then(|()| page::verify(page, number)),
        };
        match verified {
            Err(damage) => self.suspect(number, lsn, Wrong::Damage(damage)),
            Ok(()) => {
                if self.latest.is_some_and(|latest| lsn > latest)
                    && self.later.is_none_or(|(_, furthest)| lsn > furthest)
                {
                    self.later = Some((self.block, lsn));
                }
            }
        }
        self.block = match &mut self.numbers {
            None => self.block.wrapping_add(1),
            // As many pages come as there are numbers.
            Some(numbers) => numbers.next().unwrap_or_default(),
        };
    }

    fn suspect(&mut self, number: u32, lsn: u64, wrong: Wrong) {
        let (suspects, more) = if wrong.is_by_checksum() {
            (&mut self.by_checksum, &mut self.seen.more_by_checksum)
        } else {
            (&mut self.suspects, &mut self.seen.more)
        };
        if suspects.len() < SUSPECTS_OF_A_FILE {
            let file = Arc::clone(&self.file);
            suspects.push(Suspect { file, block: self.block, number, lsn, wrong });
        } else {
            *more += 1;
        }
    }
}

impl Work for Pages {
    fn cost(&self) -> u64 {
        2
    }

    fn take(&mut self, mut bytes: &[u8]) {
        self.came += bytes.len() as u64;
        if self.block_size == 0 {
            self.block_size = page::declared_size(bytes).unwrap_or(USUAL_BLOCK_SIZE);
        }
        let size = self.block_size;
        if !self.carried.is_empty() {
            let (rest, behind) = bytes.split_at(bytes.len().min(size - self.carried.len()));
            self.carried.extend_from_slice(rest);
            bytes = behind;
            if self.carried.len() == size {
                let page = std::mem::take(&mut self.carried);
                self.page(&page);
            }
        }
        let mut pages = bytes.chunks_exact(size);
        for page in &mut pages {
            self.page(page);
        }
        self.carried.extend_from_slice(pages.remainder());
    }

    fn end(mut self: Box<Self>) {
        // Who read it says why it is not whole.
        if !self.carried.is_empty() && self.came == self.size {
            let number = self.number();
            self.suspect(number, 0, Wrong::CutOff(self.carried.len() as u32));
        }
        if let Some((block, lsn)) = self.later {
            self.block = block;
            let number = self.number();
            self.suspect(number, lsn, Wrong::Later);
        }
        let inner = &mut *self.observed.look();
        inner.pages.files += self.seen.files;
        inner.pages.pages += self.seen.pages;
        let dropped = keep(&mut inner.by_checksum, self.by_checksum);
        inner.pages.more_by_checksum += self.seen.more_by_checksum + dropped;
        inner.pages.more += self.seen.more + keep(&mut inner.suspects, self.suspects);
    }
}

/// Adds suspects as long as there is room for them; gives how many there was none for.
fn keep(all: &mut Vec<Suspect>, mut of_one: Vec<Suspect>) -> u64 {
    let room = SUSPECTS.saturating_sub(all.len()).min(of_one.len());
    let dropped = of_one.len() - room;
    all.extend(of_one.drain(..room));
    dropped as u64
}
