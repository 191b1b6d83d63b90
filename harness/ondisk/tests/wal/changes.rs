//! What records change is what that major's own `pg_waldump` printed of it.

use std::collections::BTreeMap;

use pgdrill_ondisk::wal::{Change, Relation};
use rstest::rstest;

use crate::archive::{archive, unpacked, walk};

/// The first number behind `words`.
fn number(line: &str, words: &str) -> u32 {
    let rest = line.split_once(words).unwrap_or_else(|| panic!("{words}: {line}")).1;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap()
}

fn name(relation: Relation) -> String {
    format!("blkref #0: rel {}/{}/{} ", relation.tablespace, relation.database, relation.number)
}

#[rstest]
fn every_change_is_what_pg_waldump_prints(
    #[values(13, 15, 17, 18)] major: u32,
    #[values(1, 2)] timeline: u32,
) {
    let dump = String::from_utf8_lossy(&unpacked(major, &format!("waldump-{timeline}.gz"))).into_owned();
    let mut lines = dump.lines();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    walk(&mut archive(major).walker(timeline), |record| {
        let line = lines.next().unwrap();
        let (rmgr, desc) = (line[6..].split(' ').next().unwrap(), line.split_once("desc: ").unwrap().1);
        let kind = desc.split([' ', '+']).next().unwrap();
        let change = record.change().unwrap();
        match change {
            Change::Insert { relation, rows } => {
                assert!(line.contains(&name(relation)), "{line}");
                let expected = if kind == "MULTI_INSERT" { number(desc, "MULTI_INSERT") } else { 1 };
                assert_eq!(rows, expected, "{line}");
                assert!(matches!((rmgr, kind), ("Heap", "INSERT") | ("Heap2", "MULTI_INSERT")), "{line}");
            }
            Change::Update { relation } => {
                assert!(line.contains(&name(relation)), "{line}");
                assert!(matches!((rmgr, kind), ("Heap", "UPDATE" | "HOT_UPDATE")), "{line}");
            }
            Change::Delete { relation, row } | Change::InPlace { relation, row } => {
                assert!(line.contains(&format!("{}blk {}", name(relation), row.block)), "{line}");
                assert_eq!(u32::from(row.offset), number(desc, "off"), "{line}");
                let expected = if matches!(change, Change::Delete { .. }) { "DELETE" } else { "INPLACE" };
                assert_eq!((rmgr, kind), ("Heap", expected), "{line}");
            }
            Change::CreateFile { relation, fork: 0 } => {
                assert!(desc.ends_with(&format!("/{}/{}", relation.database, relation.number)), "{line}");
                assert_eq!((rmgr, kind), ("Storage", "CREATE"), "{line}");
            }
            Change::Other => {
                let changes = ["INSERT", "DELETE", "UPDATE", "HOT_UPDATE", "INPLACE"].contains(&kind);
                assert!(rmgr != "Heap" || !changes, "{line}");
                assert!(rmgr != "Heap2" || kind != "MULTI_INSERT", "{line}");
                assert!(rmgr != "Storage" || kind != "CREATE", "{line}");
            }
            other => panic!("{other:?}: {line}"),
        }
        *seen.entry(kind).or_default() += 1;
    });
    assert_eq!(lines.next(), None);
    if timeline == 1 {
        for kind in ["INSERT", "UPDATE", "DELETE", "HOT_UPDATE", "CREATE"] {
            assert!(seen.contains_key(kind), "{kind} of {major}");
        }
    }
}
