//! Chains of incremental backups that real servers made, given in the right order and in wrong ones: what `pg_combinebackup`
//! would make of them (`src/bin/pg_combinebackup/t/005_integrity.pl`), before it is needed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rstest::rstest;

use super::stock::{Origin, Stock, done};
use crate::desk::Desk;

/// A copy of a backup of the stock, whose tablespace lies beside it.
fn fetch(stock: &Stock, name: &str, into: &Path) {
    if into.join(name).exists() {
        return;
    }
    stock.fetch(name, &into.join(name));
    let space = into.join(name).join("space");
    if space.exists() {
        let link = into.join(name).join("data/pg_tblspc").join(&stock.facts["space"]);
        fs::remove_file(&link).unwrap();
        symlink(&space, &link).unwrap();
        done(std::process::Command::new("chown").arg("-h").arg("--reference").args([&space, &link]));
    }
}

/// Combines a chain, as far as `arguments` say; prints what was said, and ends as it ended.
fn combine(directory: &Path, arguments: &str, chain: &[&str]) -> String {
    let newest = chain.last().unwrap();
    let members: Vec<String> = chain.iter().map(|name| format!("'{name}/data'")).collect();
    format!(
        "cd '{0}' && LC_ALL=C pg_combinebackup {arguments} -o '{0}/combined/data' \
         -T '{0}/{newest}/space={0}/combined/space' {1} 2>&1",
        directory.display(),
        members.join(" ")
    )
}

#[rstest]
#[case::right(&["plain", "increment", "second"], "")]
#[case::not_to_its_end(&["plain", "increment"], "")]
#[case::two_full(&["plain", "sibling"], "is a full backup, but only the first backup should be a full backup")]
#[case::without_the_full(
    &["increment", "second"],
    "is an incremental backup, but the first backup should be a full backup"
)]
#[case::of_another_cluster(&["foreign", "increment"], "expected system identifier ")]
#[case::without_one_between(&["plain", "second"], "but expected ")]
#[case::the_wrong_way_round(&["plain", "second", "increment"], "but expected ")]
#[case::upon_another(&["sibling", "increment"], "but expected ")]
fn a_chain_is_refused_where_it_could_not_be_combined(
    #[case] chain: &[&str],
    #[case] words: &str,
    #[values(Origin::Container(17), Origin::Container(18))] origin: Origin,
) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let directory = desk.path("chain");
    fs::create_dir(&directory).unwrap();
    stock.give(&directory);
    for name in chain {
        fetch(&stock, name, &directory);
    }
    let paths: Vec<String> =
        chain.iter().map(|name| directory.join(name).join("data").display().to_string()).collect();
    let mut arguments = vec!["verify"];
    arguments.extend(paths.iter().map(String::as_str));
    let ours = desk.pgdrill(&arguments);
    let theirs = stock.run(&directory, &combine(&directory, "-n", chain));
    let their_words = String::from_utf8_lossy(&theirs.stdout).into_owned();
    assert_eq!(theirs.status.success(), words.is_empty(), "{their_words}");
    assert!(their_words.contains(words), "{their_words}");
    ours.ends_with(i32::from(!words.is_empty()));
    assert!(ours.stderr.contains(words), "{}", ours.stderr);
    assert_eq!(ours.stderr.is_empty(), words.is_empty(), "{}", ours.stderr);
}

/// What a good chain is combined to is a good backup.
#[rstest]
fn what_was_combined_is_good(#[values(Origin::Container(17), Origin::Container(18))] origin: Origin) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let directory = desk.path("chain");
    fs::create_dir(&directory).unwrap();
    stock.give(&directory);
    let chain = ["plain", "increment", "second"];
    for name in chain {
        fetch(&stock, name, &directory);
    }
    let script = format!("mkdir '{}/combined' && {}", directory.display(), combine(&directory, "-N", &chain));
    let said = stock.run(&directory, &script);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let combined = directory.join("combined/data").display().to_string();
    let good = desk.pgdrill(&["verify", &combined]);
    good.ends_with(0);
    // And a page that was combined wrongly is none.
    let item = directory.join("combined/data").join(&stock.facts["item"]);
    super::copy::invert(&item, 12_000, 1);
    let bad = desk.pgdrill(&["verify", "-s", &combined]);
    bad.ends_with(0);
    let bad = desk.pgdrill(&["verify", &combined]);
    bad.ends_with(1);
    assert!(bad.stderr.contains("checksum mismatch for file"), "{}", bad.stderr);
    assert!(bad.stderr.contains("block 1: "), "{}", bad.stderr);
}
