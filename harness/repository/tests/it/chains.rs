//! Chains of incremental backups, in one directory and in several.

use std::fs;

use pgdrill_repository::{Held, Layout, NotABackup, Options, Pick, look, look_together, look_upon};
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
    // Who names its path means it all the same.
    assert_eq!(Pick::Newest.of(&alone).unwrap(), [&alone.backups[0]]);
    assert!(alone.lacks(&alone.backups[0]).unwrap().contains(&format!("built on one that began at {start}")));

    // What is only there to be built on is not meant by anybody.
    let upon = look_upon(&incremental, &[&full], &Options::default()).unwrap();
    assert_eq!(upon.backups.len(), 1);
    let Layout::Plain { chain, .. } = upon.layout(Pick::Newest.of(&upon).unwrap()[0]).unwrap() else {
        panic!()
    };
    assert_eq!(chain.len(), 2);
    let twice = look_upon(&base, &[&full, &incremental], &Options::default()).unwrap();
    assert_eq!((twice.upon.len(), twice.backups.len()), (0, found(&base).backups.len()));
    let dump = look_upon(&incremental, &[&kept.path().join("dumps/custom.dump")], &Options::default());
    assert!(matches!(dump, Err(NotABackup::NotBuiltUpon { .. })), "{dump:?}");
    fs::remove_dir_all(&full).unwrap();
    assert!(Pick::Newest.of(&found(&base)).is_err());
}
