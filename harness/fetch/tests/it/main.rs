//! Fetching from a real server that speaks S3, through a proxy that breaks connections, and from servers that lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod broken;
mod directory;
mod local;
mod proxy;
mod refusals;
mod scripted;
mod server;
mod whole;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pgdrill_fetch::{Fetched, Options, Source, Trouble, fetch};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

/// Parts so small that a few megabytes have many.
const PART: u64 = 256 << 10;

/// What a test fetches with.
fn options() -> Options {
    Options { jobs: 4, part_bytes: PART, limit_bytes: None, reserve_bytes: 1 << 20 }
}

/// Fetches, and lets nobody interrupt it.
async fn bring(source: &Source, into: &Path) -> Result<Fetched, Trouble> {
    fetch(source, into, &options(), &|_| {}, &CancellationToken::new()).await
}

/// A store that is silent for a second is asked again, and given up after three in which nothing came.
fn impatient(source: Source) -> Source {
    source.with_patience(Duration::from_secs(1), Duration::from_secs(3))
}

/// An environment.
fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Bytes that are not the same anywhere, and the same each time.
fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = Sha256::digest([seed]);
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(length);
    bytes
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(directory: &Path, above: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{above}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, "", &mut found);
    found
}

/// Whether these are exactly the files, and what was told of them is true.
fn assert_is(fetched: &Fetched, into: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let found = content(into);
    assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    assert!(found == *files, "a file has another content");
    let told: Vec<(String, u64, String)> =
        fetched.files.iter().map(|file| (file.name.clone(), file.bytes, file.sha256.clone())).collect();
    let true_of: Vec<(String, u64, String)> = files
        .iter()
        .map(|(name, bytes)| (name.clone(), bytes.len() as u64, hex::encode(Sha256::digest(bytes))))
        .collect();
    assert_eq!(told, true_of);
    let list: String = true_of.iter().map(|(name, _, sha256)| format!("{sha256}  {name}\n")).collect();
    assert_eq!(fetched.sha256, hex::encode(Sha256::digest(list)));
    assert_eq!(fetched.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
}
