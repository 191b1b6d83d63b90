//! Pages that were damaged before the backup was taken: the manifest was made of the damage and agrees with it. Only the
//! pages' own checksums tell (`src/bin/pg_checksums/t/002_actions.pl`), and `pg_verifybackup` reads none.

use std::fs;
use std::path::Path;

use super::copy::Copy;
use super::{Row, Theirs, row};

const BLIND: Theirs = Theirs::Ends(0, "it reads no pages");

/// A file of 3 bytes where a relation's fork should be.
fn short(copy: &Copy<'_>, name: &str) {
    let directory = Path::new(copy.fact("item")).parent().unwrap().join(name);
    let name = directory.display().to_string();
    copy.write(&name, "foo");
    copy.relist(&name);
}

pub fn rows() -> Vec<Row> {
    vec![
        row("P01", |copy| {
            copy.invert("{item}", 8, 2);
            copy.relist("{item}");
        })
        .says("{item}")
        .says("block 0")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(BLIND),
        row("P01-later", |copy| {
            copy.flip("{item}", 3 * 8192 + 5000);
            copy.relist("{item}");
        })
        .says("{item}")
        .says("block 3")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(BLIND),
        row("P01-tablespace", |copy| {
            copy.flip("{history}", 8192 + 5000);
            copy.relist("{history}");
        })
        .says("{history}")
        .says("block 1")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(BLIND),
        row("P01-fork", |copy| {
            copy.flip("{item}_fsm", 8192 + 100);
            copy.relist("{item}_fsm");
        })
        .says("{item}_fsm")
        .says("block 1")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(BLIND),
        row("P01-shared", |copy| {
            let entries = fs::read_dir(copy.path("global")).unwrap().map(|entry| entry.unwrap());
            let name = entries
                .filter(|entry| entry.metadata().unwrap().len() >= 8192)
                .map(|entry| entry.file_name().into_string().unwrap())
                .find(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
                .unwrap();
            copy.flip(&format!("global/{name}"), 8000);
            copy.relist(&format!("global/{name}"));
        })
        .says("global/")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(BLIND),
        // Two pages that have changed places are both whole; each is checked against its own number.
        row("P01-swapped", |copy| {
            let mut bytes = fs::read(copy.path("{item}")).unwrap();
            let (first, second) = bytes.split_at_mut(8192);
            first.swap_with_slice(&mut second[..8192]);
            copy.write("{item}", bytes);
            copy.relist("{item}");
        })
        .says("block 0")
        .says("block 1")
        .code("PAGE_CHECKSUM_FAILED")
        .theirs(BLIND),
        row("P02", |copy| short(copy, "99990")).says("99990").theirs(BLIND),
        row("P02-fsm", |copy| short(copy, "99990_fsm")).says("99990_fsm").theirs(BLIND),
        row("P02-init", |copy| short(copy, "99990_init")).says("99990_init").theirs(BLIND),
        row("P02-vm", |copy| short(copy, "99990_vm")).says("99990_vm").theirs(BLIND),
        row("P02-segment", |copy| short(copy, "99990.123")).says("99990.123").theirs(BLIND),
        row("P02-torn", |copy| {
            copy.truncate("{item}", 3 * 8192 + 100);
            copy.relist("{item}");
        })
        .says("{item}")
        .theirs(BLIND),
    ]
}
