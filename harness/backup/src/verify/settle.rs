//! What is said of data pages that look damaged, now that all is known: whether the cluster has checksums, when the backup
//! began, and what its WAL makes anew.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::relation::{self, Located};

use super::incremental::PREFIX;
use super::pages::{Layout, PagesSeen, Suspect, Wrong};

/// Pages of one file that are told one by one.
const TOLD: usize = 4;

/// What is known of a backup when its pages are judged.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The major version of its server.
    pub major: Option<u32>,
    /// How its pages are laid out; none where there is no good control file.
    pub layout: Option<Layout>,
    /// Whether the pages were read before that was known.
    pub guessed: bool,
    /// Where the backup's WAL begins: a page of a later LSN may have been read while it was written.
    pub start: Option<u64>,
    /// Where that WAL ends: no page is later.
    pub end: Option<u64>,
    /// Pages that the backup's WAL makes anew, of those that look damaged; none where its WAL was not read to its end.
    pub remade: Option<HashSet<Page>>,
}

/// A page, as the WAL names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// OID of its tablespace.
    pub tablespace: u32,
    /// OID of its database.
    pub database: u32,
    /// Number of its file.
    pub number: u32,
    /// Its fork: 0 is the main one.
    pub fork: u8,
    /// Its number in the relation.
    pub block: u32,
}

/// What the pages show.
#[derive(Debug, Default)]
pub struct Settled {
    /// What is wrong, and what could not be told: a page that looks damaged and of which nobody knows is never good.
    pub findings: Vec<Finding>,
    /// Pages that look damaged, and that recovery makes anew.
    pub remade: u64,
}

/// Judges the suspects. `seen` tells how many there are beside them.
pub fn settle(suspects: &[Suspect], seen: &PagesSeen, known: &Known) -> Settled {
    let mut settled = Settled::default();
    let mut by_file: BTreeMap<Arc<[u8]>, Vec<&Suspect>> = BTreeMap::new();
    let (mut unknown_checksums, mut moved, mut torn) = (0_u64, 0_u64, 0_u64);
    for suspect in suspects {
        match judge(suspect, known) {
            Judged::Wrong => by_file.entry(Arc::clone(&suspect.file)).or_default().push(suspect),
            Judged::Remade => settled.remade += 1,
            Judged::NoChecksums | Judged::OfAnother => {}
            Judged::ChecksumsUnknown => unknown_checksums += 1,
            Judged::Moved => moved += 1,
            Judged::Torn => torn += 1,
        }
    }
    for (file, mut suspects) in by_file {
        suspects.sort_by_key(|suspect| suspect.block);
        settled.findings.extend(of_file(&file, &suspects));
    }
    let without_checksums = known.layout.is_some_and(|layout| !layout.checksums);
    let more = seen.more + if without_checksums { 0 } else { seen.more_by_checksum };
    for (pages, what) in [
        (unknown_checksums, "look damaged, and no control file tells whether they have checksums at all"),
        (
            moved,
            "of large relations look damaged, whose files have another size than usual: unpack the backup first",
        ),
        (torn, "changed during the backup: only its WAL, which was not read, tells whether they are good"),
        (more, "look damaged beside those that are told"),
    ] {
        if pages > 0 {
            let message = format!("{pages} data pages {what}");
            settled.findings.push(Finding::new(Code::CheckNotRun, Stage::Check, message));
        }
    }
    settled
}

enum Judged {
    Wrong,
    OfAnother,
    Remade,
    NoChecksums,
    ChecksumsUnknown,
    Moved,
    Torn,
}

fn judge(suspect: &Suspect, known: &Known) -> Judged {
    if is_of_another_version(&suspect.file, known.major) {
        return Judged::OfAnother;
    }
    let by_checksum = suspect.wrong.is_by_checksum();
    match known.layout {
        Some(layout) if by_checksum && !layout.checksums => return Judged::NoChecksums,
        None if by_checksum => return Judged::ChecksumsUnknown,
        Some(layout) if by_checksum && known.guessed && suspect.number != suspect.block => {
            let usual = u64::from(layout.block_size) * u64::from(layout.blocks_per_file);
            if usual != super::pages::USUAL_FILE_BYTES {
                return Judged::Moved;
            }
        }
        _ => {}
    }
    if suspect.wrong == Wrong::Later {
        return Judged::Wrong;
    }
    match (&known.remade, known.start) {
        (Some(remade), _) if page(suspect).is_some_and(|page| remade.contains(&page)) => Judged::Remade,
        (Some(_), _) => Judged::Wrong,
        (None, Some(start)) if (start..=known.end.unwrap_or(u64::MAX)).contains(&suspect.lsn) => Judged::Torn,
        (None, _) => Judged::Wrong,
    }
}

/// Whether a file lies in a part of a tablespace that belongs to another version's cluster: nothing there is this one's.
fn is_of_another_version(file: &[u8], major: Option<u32>) -> bool {
    let version = file.strip_prefix(b"pg_tblspc/").and_then(|rest| rest.split(|byte| *byte == b'/').nth(1));
    match (version, major) {
        (Some(version), Some(major)) => !version.starts_with(format!("PG_{major}_").as_bytes()),
        _ => false,
    }
}

/// The page of a suspect, as the WAL names it.
pub fn page(suspect: &Suspect) -> Option<Page> {
    let located = relation::locate(std::str::from_utf8(&suspect.file).ok()?)?;
    let file = relation::parse(located.name.strip_prefix(PREFIX).unwrap_or(located.name))?;
    let fork = ["main", "fsm", "vm", "init"].iter().position(|fork| *fork == file.fork)? as u8;
    let Located { tablespace, database, .. } = located;
    Some(Page { tablespace, database, number: file.number, fork, block: suspect.number })
}

fn of_file(file: &[u8], suspects: &[&Suspect]) -> Vec<Finding> {
    let name = String::from_utf8_lossy(file);
    let finding = |suspect: &Suspect, message: String| {
        let code = match suspect.wrong {
            Wrong::Later => Code::PageFromLater,
            _ => Code::PageChecksumFailed,
        };
        let mut finding = Finding::new(code, Stage::Check, message).about(name.clone());
        if let Some(page) = page(suspect) {
            finding = finding
                .with("tablespace", page.tablespace)
                .with("database", page.database)
                .with("relfilenode", page.number)
                .with("block", page.block);
        }
        finding
    };
    let mut findings: Vec<Finding> = suspects
        .iter()
        .take(TOLD)
        .map(|suspect| {
            let place = format!("in file \"{name}\", block {}", suspect.block);
            let message = match suspect.wrong {
                Wrong::Damage(damage) => format!("page verification failed {place}: {damage}"),
                Wrong::CutOff(bytes) => {
                    format!(
                        "could not read block {} in file \"{name}\": read {bytes} of a page",
                        suspect.block
                    )
                }
                Wrong::Later => format!(
                    "page {place} was changed at {}, which is behind the end of the backup",
                    Lsn(suspect.lsn)
                ),
            };
            finding(suspect, message)
        })
        .collect();
    if let Some(last) = suspects.last().filter(|_| suspects.len() > TOLD) {
        let rest = suspects.len() - TOLD;
        let message = format!(
            "page verification failed in {rest} more blocks of file \"{name}\", up to {}",
            last.block
        );
        findings.push(finding(last, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_ondisk::page::Damage;
    use rstest::rstest;

    const LAYOUT: Layout = Layout { block_size: 8192, blocks_per_file: 131_072, checksums: true };

    fn suspect(file: &str, number: u32, lsn: u64, wrong: Wrong) -> Suspect {
        Suspect { file: file.as_bytes().into(), block: number % 131_072, number, lsn, wrong }
    }

    fn damaged(lsn: u64) -> Suspect {
        suspect("base/5/16384", 7, lsn, Wrong::Damage(Damage::Checksum { stored: 1, computed: 2 }))
    }

    fn remade(suspect: &Suspect) -> Option<HashSet<Page>> {
        Some(page(suspect).into_iter().collect())
    }

    /// What comes of one damaged page: a finding that disproves, one that unverifies, or neither.
    #[rstest]
    #[case::before_the_backup(known(), 50, Some(Code::PageChecksumFailed))]
    #[case::changed_during_it(known(), 150, Some(Code::CheckNotRun))]
    #[case::later_than_it_can_be(known(), 250, Some(Code::PageChecksumFailed))]
    #[case::remade_by_the_wal(Known { remade: remade(&damaged(150)), ..known() }, 150, None)]
    #[case::remade_although_its_lsn_is_damaged(Known { remade: remade(&damaged(250)), ..known() }, 250, None)]
    #[case::not_remade(Known { remade: Some(HashSet::new()), ..known() }, 150, Some(Code::PageChecksumFailed))]
    #[case::without_checksums(Known { layout: Some(Layout { checksums: false, ..LAYOUT }), ..known() }, 50, None)]
    #[case::nobody_knows(Known { layout: None, ..known() }, 50, Some(Code::CheckNotRun))]
    fn a_page_is_damaged_unless_recovery_makes_it_anew(
        #[case] known: Known,
        #[case] lsn: u64,
        #[case] expected: Option<Code>,
    ) {
        let settled = settle(&[damaged(lsn)], &PagesSeen::default(), &known);
        let codes: Vec<Code> = settled.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, Vec::from_iter(expected));
        assert_eq!(settled.remade, u64::from(expected.is_none() && known.remade.is_some()));
    }

    /// What was only counted keeps a backup from being proven, unless it is a checksum that the cluster does not have.
    #[rstest]
    #[case(true, 0, 1, 1)]
    #[case(true, 1, 0, 1)]
    #[case(false, 1, 0, 0)]
    #[case(false, 1, 1, 1)]
    fn pages_that_were_only_counted_are_not_good(
        #[case] checksums: bool,
        #[case] more_by_checksum: u64,
        #[case] more: u64,
        #[case] findings: usize,
    ) {
        let known = Known { layout: Some(Layout { checksums, ..LAYOUT }), ..known() };
        let settled = settle(&[], &PagesSeen { more_by_checksum, more, ..PagesSeen::default() }, &known);
        assert_eq!(settled.findings.len(), findings);
    }

    /// The pages of a second file were numbered as if the first had the usual size.
    #[rstest]
    #[case(true, Code::CheckNotRun)]
    #[case(false, Code::PageChecksumFailed)]
    fn a_number_that_was_guessed_wrong_says_nothing(#[case] guessed: bool, #[case] expected: Code) {
        let layout = Some(Layout { blocks_per_file: 1000, ..LAYOUT });
        let wrong = Wrong::Damage(Damage::Checksum { stored: 1, computed: 2 });
        let suspect = Suspect { block: 0, ..suspect("base/5/16384.1", 131_072, 50, wrong) };
        let settled = settle(&[suspect], &PagesSeen::default(), &Known { layout, guessed, ..known() });
        assert_eq!(settled.findings[0].code, expected);
    }

    fn known() -> Known {
        Known { layout: Some(LAYOUT), start: Some(100), end: Some(200), ..Known::default() }
    }

    #[test]
    fn a_page_of_an_incremental_file_is_that_of_its_relation() {
        let whole = page(&damaged(1)).unwrap();
        let some = suspect("base/5/INCREMENTAL.16384", 7, 1, Wrong::Damage(Damage::Header));
        assert_eq!(page(&some), Some(whole));
    }

    #[test]
    fn file_block_and_relation_are_named_and_many_pages_are_counted() {
        let file = "pg_tblspc/16400/PG_15_202209061/5/16390_fsm.1";
        let wrong = Wrong::Damage(Damage::Header);
        let suspects: Vec<Suspect> = (0..7).map(|block| suspect(file, 131_072 + block, 1, wrong)).collect();
        let findings = settle(&suspects, &PagesSeen::default(), &known()).findings;
        assert_eq!(findings.len(), 5);
        assert_eq!(
            findings[0].message,
            format!("page verification failed in file \"{file}\", block 0: its header is not possible")
        );
        let facts = &findings[0].evidence;
        assert_eq!((facts["tablespace"].as_str(), facts["relfilenode"].as_str()), ("16400", "16390"));
        assert_eq!(facts["block"], "131072");
        assert!(findings[4].message.contains("3 more blocks"), "{}", findings[4].message);
    }
}
