//! The files of an incremental backup that hold only some pages of a relation's file: what their header says, and those
//! pages, as they come by (`make_incremental_rfile`, `src/bin/pg_combinebackup/reconstruct.c`).
//!
//! Beyond what `pg_combinebackup` asks of them, their pages must be as many as the header says, and in ascending order:
//! `sendFile` (`src/backend/backup/basebackup.c`) writes no others. What is wrong with the header is told at once, and
//! the pages behind it are then not looked at: nobody knows which they are.

use std::sync::Arc;

use pgdrill_model::code::Code;
use pgdrill_ondisk::incremental::{self, Prefix};

use super::observed::{Observed, Order};
use super::pages::{Layout, Pages};
use crate::flow::Work;

/// By what the names of such files begin (`INCREMENTAL_PREFIX`, `src/bin/pg_combinebackup/pg_combinebackup.c`).
pub const PREFIX: &str = "INCREMENTAL.";

/// Sizes that pages can have, the usual one first.
const BLOCK_SIZES: [u32; 6] = [8192, 1024, 2048, 4096, 16_384, 32_768];

/// How long a relation's file must be, by what one file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who says so.
    pub file: Vec<u8>,
    /// In pages.
    pub blocks: u32,
    /// What says so, and its number.
    pub what: String,
}

impl Claim {
    /// What is wrong with it where no file of a relation has more pages than this.
    pub fn excess(&self, blocks_per_file: u32) -> Option<String> {
        let file = String::from_utf8_lossy(&self.file);
        let words = format!("file \"{file}\" has {} in excess of segment size {blocks_per_file}", self.what);
        (self.blocks > blocks_per_file).then_some(words)
    }
}

/// Such a file, on its way.
pub struct Incremental {
    observed: Arc<Observed>,
    file: Vec<u8>,
    size: u64,
    layout: Option<Layout>,
    pages: Box<Pages>,
    at: At,
}

/// Where in the file it is.
enum At {
    /// In the header, of which this much has come, or what is to come of it is known.
    Header(Vec<u8>, Option<Prefix>),
    /// Among the pages.
    Pages,
    /// What follows is of no use.
    Lost,
}

impl Incremental {
    /// The one at `file`, of `size` bytes. `pages`: its pages, of which it is not known yet which they are.
    pub fn new(
        observed: Arc<Observed>,
        file: &[u8],
        size: u64,
        layout: Option<Layout>,
        pages: Pages,
    ) -> Self {
        let at = At::Header(Vec::new(), None);
        Self { observed, file: file.to_vec(), size, layout, pages: Box::new(pages), at }
    }

    fn unfit(&self, words: &str) {
        let message = format!("file \"{}\" {words}", String::from_utf8_lossy(&self.file));
        self.observed.found(Order::Pages, Code::BackupUnfit, &self.file, message);
    }

    /// Reads how much there is; in words what is wrong with it. Where it is not known how large pages are, they are as
    /// large as goes with the size of the file.
    ///
    /// The header is then as long as the file allows for: it is never waited for more than there is.
    fn prefix(&self, bytes: &[u8]) -> Result<Prefix, String> {
        let read = |block_size, blocks_per_file| {
            Prefix::read(bytes, block_size, blocks_per_file).map_err(|wrong| format!("has {}", wrong.what))
        };
        let prefix = match self.layout {
            Some(layout) => read(layout.block_size, layout.blocks_per_file)?,
            None => {
                let [usual, others @ ..] = BLOCK_SIZES.map(|size| read(size, u32::MAX));
                let fits = |prefix: &Prefix| prefix.file() == self.size;
                let usual = usual?;
                if fits(&usual) { usual } else { others.into_iter().flatten().find(fits).unwrap_or(usual) }
            }
        };
        let (expected, found) = (prefix.file(), self.size);
        match found.cmp(&expected) {
            std::cmp::Ordering::Equal => Ok(prefix),
            std::cmp::Ordering::Less => Err(format!("is too short: expected {expected}, found {found}")),
            std::cmp::Ordering::Greater => Err(format!("is too long: expected {expected}, found {found}")),
        }
    }

    /// The header has come.
    fn numbers(&mut self, header: &[u8], prefix: &Prefix) -> At {
        let numbers = match prefix.numbers(header) {
            Ok(numbers) => numbers,
            Err(wrong) => {
                self.unfit(&format!("has {}", wrong.what));
                return At::Lost;
            }
        };
        if self.layout.is_none() {
            self.claim(prefix.truncated_to, numbers.last().copied());
        }
        self.pages.only(prefix.block_size, numbers);
        At::Pages
    }

    /// Takes down how long the relation's file must be, since it is not known how long it can be.
    fn claim(&self, truncated_to: u32, last: Option<u32>) {
        let by_last = last.map_or(0, |last| last.saturating_add(1));
        let (blocks, what) = match last {
            Some(last) if by_last > truncated_to => (by_last, format!("block {last}")),
            _ => (truncated_to, format!("truncation block length {truncated_to}")),
        };
        let mut inner = self.observed.look();
        if inner.longest.as_ref().is_none_or(|longest| longest.blocks < blocks) {
            inner.longest = Some(Claim { file: self.file.clone(), blocks, what });
        }
    }
}

impl Work for Incremental {
    fn cost(&self) -> u64 {
        2
    }

    fn take(&mut self, mut bytes: &[u8]) {
        loop {
            self.at = match std::mem::replace(&mut self.at, At::Lost) {
                At::Header(mut header, prefix) => {
                    let wanted = prefix.as_ref().map_or(incremental::PREFIX as u64, Prefix::header);
                    let missing = usize::try_from(wanted).map_or(usize::MAX, |wanted| wanted - header.len());
                    let (come, behind) = bytes.split_at(missing.min(bytes.len()));
                    header.extend_from_slice(come);
                    bytes = behind;
                    match prefix {
                        prefix if come.len() < missing => {
                            self.at = At::Header(header, prefix);
                            return;
                        }
                        Some(prefix) => self.numbers(&header, &prefix),
                        None => match self.prefix(&header) {
                            Ok(prefix) => At::Header(header, Some(prefix)),
                            Err(words) => {
                                self.unfit(&words);
                                At::Lost
                            }
                        },
                    }
                }
                At::Pages => {
                    self.pages.take(bytes);
                    self.at = At::Pages;
                    return;
                }
                At::Lost => return,
            };
        }
    }

    fn end(self: Box<Self>) {
        match &self.at {
            // One that is shorter than was said is told by who read it.
            At::Header(header, _) if header.len() as u64 == self.size => {
                let (read, wanted) = (header.len(), incremental::PREFIX);
                let file = String::from_utf8_lossy(&self.file);
                let message = format!("could not read file \"{file}\": read {read} of {wanted}");
                self.observed.found(Order::Pages, Code::BackupUnfit, &self.file, message);
            }
            At::Header(..) | At::Lost => {}
            At::Pages => self.pages.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_ondisk::page;
    use pgdrill_ondisk::relation::{self, RelationFile};
    use rstest::rstest;

    use crate::verify::pages::Wrong;

    const MAGIC: u32 = 0xD3AE_1F0D;

    const LAYOUT: Layout = Layout { block_size: 8192, blocks_per_file: 131_072, checksums: true };

    /// A page that is good at one place only.
    fn page(number: u32) -> Vec<u8> {
        let mut page = vec![0; 8192];
        for (at, half) in [(12, 24_u16), (14, 8192), (16, 8192), (18, 8192 | 4)] {
            page[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
        let sum = page::checksum(&page, number);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
        page
    }

    /// A file with these pages, the first of which has this number in the relation.
    fn file(truncated_to: u32, numbers: &[u32], first: u32) -> Vec<u8> {
        let mut bytes: Vec<u8> = [MAGIC, numbers.len() as u32, truncated_to]
            .iter()
            .chain(numbers)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        if !numbers.is_empty() {
            bytes.resize(bytes.len().next_multiple_of(8192), 0);
        }
        bytes.extend(numbers.iter().flat_map(|number| page(first + number)));
        bytes
    }

    /// What is seen of a file that comes in pieces.
    fn seen(name: &str, bytes: &[u8], layout: Option<Layout>, piece: usize) -> Arc<Observed> {
        let observed = Arc::new(Observed::new(false));
        let path = format!("base/5/{PREFIX}{name}").into_bytes();
        let relation: RelationFile = relation::parse(name).unwrap();
        let pages = Pages::new(Arc::clone(&observed), &path, 0, relation, layout, None);
        let mut work =
            Box::new(Incremental::new(Arc::clone(&observed), &path, bytes.len() as u64, layout, pages));
        bytes.chunks(piece).for_each(|piece| work.take(piece));
        work.end();
        observed
    }

    fn words(observed: &Observed) -> Vec<String> {
        observed.look().findings.iter().map(|(_, finding)| finding.message.clone()).collect()
    }

    #[rstest]
    fn each_page_is_verified_by_its_own_number(
        #[values(1, 13, 8192, 262_144)] piece: usize,
        #[values(Some(LAYOUT), None)] layout: Option<Layout>,
    ) {
        let good = file(9, &[2, 7, 31], 131_072);
        let observed = seen("16384.1", &good, layout, piece);
        assert_eq!(words(&observed), [""; 0]);
        let pages = observed.look().pages;
        assert_eq!((pages.files, pages.pages), (1, 3));
        assert_eq!(observed.look().take_suspects(), []);
        // The same pages under other numbers.
        let mut moved = good;
        moved[16..20].copy_from_slice(&8_u32.to_le_bytes());
        let observed = seen("16384.1", &moved, layout, piece);
        let suspects = observed.look().take_suspects();
        assert_eq!(suspects.len(), 1);
        assert_eq!((suspects[0].block, suspects[0].number), (8, 131_080));
        assert!(matches!(suspects[0].wrong, Wrong::Damage(_)), "{suspects:?}");
    }

    #[test]
    fn a_header_can_be_longer_than_a_buffer() {
        let layout = Layout { block_size: 1024, blocks_per_file: 1 << 20, checksums: true };
        let header = [MAGIC, 70_000, 70_000].into_iter().chain(0..70_000);
        let mut bytes: Vec<u8> = header.flat_map(u32::to_le_bytes).collect();
        bytes.resize(bytes.len().next_multiple_of(1024) + 70_000 * 1024, 0);
        let observed = seen("16384", &bytes, Some(layout), 262_144);
        assert_eq!(words(&observed), [""; 0]);
        assert_eq!(observed.look().pages.pages, 70_000);
    }

    #[rstest]
    #[case::no_pages(file(100, &[], 0), "", 0)]
    #[case::empty(Vec::new(), "could not read file \"F\": read 0 of 12", 0)]
    #[case::short(vec![1; 11], "could not read file \"F\": read 11 of 12", 0)]
    #[case::magic(vec![0; 24], "file \"F\" has bad incremental magic number (0x0, expected 0xd3ae1f0d)", 0)]
    #[case::count(
        file(0, &(0..131_073).collect::<Vec<u32>>(), 0)[..16_384].to_vec(),
        "file \"F\" has block count 131073 in excess of segment size 131072",
        0
    )]
    #[case::length(
        file(131_073, &[], 0),
        "file \"F\" has truncation block length 131073 in excess of segment size 131072",
        0
    )]
    #[case::number(file(0, &[3, 131_072], 0), "file \"F\" has block 131072 in excess of segment size 131072", 0)]
    #[case::order(file(0, &[3, 2], 0), "file \"F\" has block 2 behind block 3", 0)]
    #[case::twice(file(0, &[3, 3], 0), "file \"F\" has block 3 behind block 3", 0)]
    #[case::page_missing(
        file(9, &[3, 4], 0)[..16_384].to_vec(),
        "file \"F\" is too short: expected 24576, found 16384",
        0
    )]
    #[case::header_cut(
        file(9, &[3, 4], 0)[..16].to_vec(),
        "file \"F\" is too short: expected 24576, found 16",
        0
    )]
    #[case::too_long(
        [file(9, &[3], 0), vec![0]].concat(),
        "file \"F\" is too long: expected 16384, found 16385",
        0
    )]
    #[case::good(file(9, &[3], 0), "", 1)]
    fn what_is_wrong_with_a_header_is_told(#[case] bytes: Vec<u8>, #[case] said: &str, #[case] pages: u64) {
        let observed = seen("16384", &bytes, Some(LAYOUT), 5);
        let expected: Vec<String> =
            (!said.is_empty()).then(|| said.replace('F', "base/5/INCREMENTAL.16384")).into_iter().collect();
        assert_eq!(words(&observed), expected);
        assert_eq!(observed.look().pages.pages, pages);
        assert_eq!(observed.look().take_suspects(), []);
    }

    /// In an archive the control file comes last.
    #[test]
    fn what_cannot_be_told_without_a_control_file_is_told_with_it() {
        let observed = seen("16384", &file(9, &[3, 131_072], 0), None, 4096);
        assert_eq!(words(&observed), [""; 0]);
        let claim = observed.look().longest.clone().unwrap();
        assert_eq!(claim.excess(131_073), None);
        let expected = "file \"base/5/INCREMENTAL.16384\" has block 131072 in excess of segment size 131072";
        assert_eq!(claim.excess(131_072).as_deref(), Some(expected));
        // Nothing goes with the size of this one, however large pages may be.
        let observed = seen("16384", &file(9, &[3], 0)[..16_000], None, 4096);
        let said = "file \"base/5/INCREMENTAL.16384\" is too short: expected 16384, found 16000";
        assert_eq!(words(&observed), [said]);
    }

    #[rstest]
    fn real_ones_are_whole(
        #[values("incremental-17", "incremental-18")] name: &str,
        #[values(Some(LAYOUT), None)] layout: Option<Layout>,
    ) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/ondisk").join(name);
        let observed = seen("16384", &std::fs::read(path).unwrap(), layout, 262_144);
        assert_eq!(words(&observed), [""; 0]);
        assert_eq!(observed.look().take_suspects(), []);
        assert_eq!(observed.look().pages.pages, 2);
    }
}
