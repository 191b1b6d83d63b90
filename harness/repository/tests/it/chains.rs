//! Chains of incremental backups, in one directory and in several.

use std::fs;

use pgdrill_repository::{Held, Layout, Options, Pick, look, look_together};
use rstest::rstest;

use crate::kept::{found, unpack};

#[rstest]
fn an_incremental_backup_finds_the_one_it_is_built_on(#[values(17, 18)] major: u16) {
    let kept = unpack(major);
    let base = kept.path().join("base");
    let all = found(&base);
    let newest = Pick::Newest.of(&all).unwrap()[0];
    assert_eq!((newest.label.as_str(), newest.prior.as_deref()), ("incremental", Some("plain")));
    let Held::Base(held) = &newest.held else { panic!("{newest:?}") };
    assert!(held.is_incremental());
    let Layout::Plain { chain, .. } = all.layout(newest).unwrap() else { panic!("not plain") };
    let data: Vec<_> = chain.iter().map(|of| of.data.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(data, ["plain", "incremental"]);

    // The same from two paths, in any order.
    let (full, incremental) = (base.join("plain"), base.join("incremental"));
    let together = look_together(&[&incremental, &full], &Options::default()).unwrap();
    assert!(together.layout(Pick::Newest.of(&together).unwrap()[0]).is_ok());

    // Alone it cannot be restored, and that is said with where the other one began.
    let alone = look(&incremental).unwrap();
    let start = found(&full).backups[0].start.unwrap();
    let no = alone.layout(&alone.backups[0]).unwrap_err();
    assert_eq!(
        no.to_string(),
        format!(
            "incremental cannot be restored: it is built on a backup that began at {start}, which is not there"
        )
    );
    assert!(Pick::Newest.of(&alone).is_err());
    fs::remove_dir_all(&full).unwrap();
    assert!(Pick::Newest.of(&found(&base)).is_err());
}
