//! Any bytes at all, and good files with a few bytes changed, to every reader of a whole file: it may refuse them, but
//! not fall over, and what it takes must hold together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::incremental::{PREFIX, Prefix};
use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::{history, page, tablespace};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("../../fixtures/ondisk/{name}")).unwrap()
}

/// Bytes that replace others of a file, or none of them, and where.
type Change = (Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    vec((any::<Index>(), 0_usize..9, vec(any::<u8>(), 0..9)), 0..4)
}

fn changed(mut bytes: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for (at, length, instead) in changes {
        let at = at.index(bytes.len() + 1);
        let end = bytes.len().min(at + length);
        bytes.splice(at..end, instead);
    }
    bytes
}

fn control(bytes: &[u8]) {
    let read = Control::read(bytes);
    if let Ok(control) = Control::verify(bytes) {
        assert_eq!(read, Ok(control.clone()));
        assert!(control.block_size.is_power_of_two() && control.state_name().is_some());
    }
}

fn label(bytes: &[u8]) {
    if let Ok(label) = Label::read(bytes) {
        assert_eq!(label.segment.len(), 24);
        assert!(label.segment.to_uppercase().starts_with(&format!("{:08X}", label.timeline)));
    }
}

fn incremental(bytes: &[u8], block_size: u32, blocks_per_file: u32) {
    let Ok(prefix) = Prefix::read(bytes, block_size, blocks_per_file) else { return };
    assert!(prefix.header() >= prefix.unpadded() && prefix.file() >= prefix.header());
    if let Ok(numbers) = prefix.numbers(bytes) {
        assert_eq!(numbers.len(), prefix.blocks as usize);
        assert!(numbers.is_sorted() && numbers.iter().all(|number| *number < blocks_per_file));
        assert!(bytes.len() >= PREFIX + 4 * numbers.len());
    }
}

fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(ancestors) = history::read(&text) {
        assert!(ancestors.is_sorted_by(|before, after| before.timeline < after.timeline));
    }
    if let Ok(mappings) = tablespace::read(&text) {
        let again = tablespace::read(&tablespace::write(&mappings, true));
        assert_eq!(again, Ok(mappings));
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..600), block_size: u32, blocks_per_file: u32) {
        control(&bytes);
        label(&bytes);
        incremental(&bytes, block_size, blocks_per_file);
        text(&bytes);
    }

    #[test]
    fn bytes_behind_the_magic_number(bytes in vec(any::<u8>(), 0..100), count in 0_u32..30, blocks_per_file in 0_u32..40) {
        let mut file = 0xD3AE_1F0D_u32.to_le_bytes().to_vec();
        file.extend_from_slice(&count.to_le_bytes());
        file.extend_from_slice(&bytes);
        incremental(&file, 8192, blocks_per_file);
    }

    #[test]
    fn lines_of_a_label(
        lines in vec(
            prop_oneof![
                Just("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)".to_owned()),
                Just("CHECKPOINT LOCATION: 0/2000060".to_owned()),
                Just("START TIMELINE: 1".to_owned()),
                "(START WAL LOCATION|LABEL|START TIMELINE|INCREMENTAL FROM (LSN|TLI)): [0-9A-F/ ()é]{0,30}",
            ],
            0..6,
        ),
        with_head: bool,
    ) {
        let head = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n";
        let head = if with_head { head } else { "" };
        label(format!("{head}{}", lines.join("\n")).as_bytes());
    }

    #[test]
    fn changed_control_files(major in select(&[13, 15, 17, 18][..]), changes in changes()) {
        let good = fixture(&format!("pg_control-{major}"));
        let bytes = changed(good.clone(), changes);
        control(&bytes);
        if bytes[..bytes.len().min(280)] != good[..280] {
            prop_assert!(Control::read(&bytes).is_err());
        }
    }

    #[test]
    fn changed_labels(name in select(&["13", "18", "17-incremental"][..]), changes in changes()) {
        label(&changed(fixture(&format!("backup_label-{name}")), changes));
    }

    #[test]
    fn changed_incremental_files(major in select(&[17, 18][..]), changes in changes()) {
        let head = fixture(&format!("incremental-{major}"))[..40].to_vec();
        incremental(&changed(head, changes), 8192, 131_072);
    }

    #[test]
    fn changed_texts(changes in changes()) {
        let history = b"1\t0/5000110\tno recovery target specified\n\n2\t1/0\tbefore 2026-01-01\n".to_vec();
        text(&changed(history, changes.clone()));
        text(&changed(b"16384 /some/where\\\\else\n16385 /a\\\nb\n".to_vec(), changes));
    }

    #[test]
    fn any_page(kibibytes in select(&[1_usize, 2, 4, 8, 16, 32][..]), seed in vec(any::<u8>(), 1..64), block: u32) {
        let page: Vec<u8> = seed.iter().copied().cycle().take(kibibytes << 10).collect();
        let _ = (page::verify(&page, block), page::lsn(&page));
    }

    /// A change is seen unless its checksum happens to be the same, which is so for one in 65535.
    #[test]
    fn changed_pages(major in select(&[13, 17, 18][..]), at in 0_usize..8192, bits in 1_u8..) {
        let mut page = fixture(&format!("page-{major}"));
        prop_assert_eq!(page::verify(&page, 1), Ok(()));
        page[at] ^= bits;
        let (stored, computed) = (u16::from_le_bytes([page[8], page[9]]), page::checksum(&page, 1));
        if stored != computed {
            prop_assert!(page::verify(&page, 1).is_err());
        }
        prop_assert!(stored != computed || at > 9);
    }
}
