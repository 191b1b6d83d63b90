//! The relation is named whose file is damaged, by the catalogs of the backup itself.

use std::fs;
use std::path::Path;

use rstest::rstest;

use super::copy::{Copy, invert};
use super::stock::{Origin, Stock};
use crate::desk::Desk;

/// A file of a catalog that lies in this directory, as `pg_filenode.map` says.
fn mapped(directory: &Path, oid: u32) -> String {
    let map = fs::read(directory.join("pg_filenode.map")).unwrap();
    let map = pgdrill_ondisk::catalog::FilenodeMap::read(&map).unwrap();
    map.file_of(oid).unwrap().to_string()
}

#[rstest]
fn a_damaged_file_is_named_by_its_relation(
    #[values(Origin::Host, Origin::Container(13), Origin::Container(17), Origin::Container(18))]
    origin: Origin,
) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let original = desk.path("original");
    stock.fetch("plain", &original);
    let copy = Copy::new(&stock, &original, desk.path("copy"));
    let base = format!("base/{}", copy.fact("database"));
    let class = format!("{base}/{}", mapped(&copy.path(&base), 1259));
    let database = format!("global/{}", mapped(&copy.path("global"), 1262));
    for (file, words) in [
        (copy.fact("item").to_owned(), "public.item of database postgres"),
        (copy.fact("history").to_owned(), "public.history of database postgres"),
        (class, "pg_catalog.pg_class of database postgres"),
        (database, "pg_catalog.pg_database, which all databases share"),
    ] {
        copy.flip(&file, 100);
        let done = desk.pgdrill(&["verify", copy.backup.to_str().unwrap()]);
        done.ends_with(1);
        let mut lines = done.stderr.lines().skip_while(|line| !line.contains("checksum mismatch for file"));
        let told = [lines.next().unwrap(), lines.next().unwrap_or_default()];
        assert!(told[0].contains(&file), "{}", done.stderr);
        assert_eq!(told[1], format!("pgdrill: detail: it is of relation {words}"), "{}", done.stderr);
        copy.flip(&file, 100);
    }
}

/// Within a tar the catalogs are looked up in a second reading.
#[rstest]
fn so_it_is_within_a_tar(
    #[values(Origin::Host, Origin::Container(13), Origin::Container(18))] origin: Origin,
    #[values("tar", "gz", "zst")] backup: &str,
) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk).filter(|stock| stock.has(backup)) else { return };
    let original = desk.path("original");
    stock.fetch(backup, &original);
    let copy = Copy::new(&stock, &original, desk.path("copy"));
    copy.repack("base.tar", |content| invert(&content.join(copy.fact("item")), 3 * 8192 + 5000, 1));
    let history = Path::new(copy.fact("history")).components().skip(2).collect::<std::path::PathBuf>();
    copy.repack("{space}.tar", |content| invert(&content.join(&history), 5000, 1));
    let done = desk.pgdrill(&["verify", copy.backup.to_str().unwrap()]);
    done.ends_with(1);
    for words in ["public.item of database postgres", "public.history of database postgres"] {
        let detail = format!("pgdrill: detail: it is of relation {words}");
        // Its checksum, and its page.
        assert_eq!(done.stderr.lines().filter(|line| **line == detail).count(), 2, "{}", done.stderr);
    }
}
