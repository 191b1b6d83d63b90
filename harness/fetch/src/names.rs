//! Names of objects are hostile until they are proven to be names of files below one directory.

use std::collections::BTreeSet;
use std::path::Path;

use crate::listing::Listing;
use crate::trouble::{Kind, Trouble};

/// The directory beside the fetched files in which a fetch keeps what is not whole yet.
pub(crate) const STAGING: &str = ".pgdrill-fetch";

/// The longest name within a directory that Linux's file systems have (`NAME_MAX`), and the longest path (`PATH_MAX`).
const LONGEST_SEGMENT: usize = 255;
const LONGEST_PATH: usize = 4095;

/// What is wrong with a name, in words that follow it; nothing where a file can have it.
fn wrong(name: &str, room: usize) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.starts_with('/') {
        return Some("is absolute");
    }
    if name.chars().any(char::is_control) {
        return Some("holds a control character");
    }
    if name.len() > room {
        return Some("is longer than a path can be");
    }
    let mut segments = name.split('/');
    if segments.clone().any(str::is_empty) {
        return Some("has an empty part");
    }
    if segments.clone().any(|segment| segment == "." || segment == "..") {
        return Some("leads out of the directory");
    }
    if segments.clone().any(|segment| segment.len() > LONGEST_SEGMENT) {
        return Some("has a part that is longer than a file's name can be");
    }
    (segments.next() == Some(STAGING)).then_some("is where the fetch keeps what is not whole yet")
}

/// A name as it can be shown to somebody.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(120).flat_map(char::escape_debug).collect();
    if name.chars().count() > 120 { format!("{short}...") } else { short }
}

/// The trouble with a name that no file can have.
pub(crate) fn hostile(name: &str, why: &str, source: &str) -> Trouble {
    Trouble::new(
        Kind::Name,
        format!("{source} holds an object that cannot be a file: its name '{}' {why}", shown(name)),
        "name a prefix that holds the backup alone; nothing was written",
    )
}

/// Every directory above a name.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

/// Proves that every object can be a file below `into`, and every directory a directory, all at the same time.
///
/// # Errors
///
/// `Kind::Name`, with the first name that cannot, and why.
pub(crate) fn prove(listing: &Listing, into: &Path, source: &str) -> Result<(), Trouble> {
    // What is fetched lies in the staging directory first, under a shorter name, so the final path is the longest.
    let room = LONGEST_PATH.saturating_sub(into.as_os_str().len() + 1);
    let names = listing.objects.iter().map(|object| object.name.as_str());
    let every = names.clone().chain(listing.directories.iter().map(String::as_str));
    for name in every.clone() {
        if let Some(why) = wrong(name, room) {
            return Err(hostile(name, why, source));
        }
    }
    let mut directories: BTreeSet<&str> = listing.directories.iter().map(String::as_str).collect();
    directories.extend(every.flat_map(parents));
    let mut files = BTreeSet::new();
    for name in names {
        if !files.insert(name) {
            return Err(hostile(name, "is there twice", source));
        }
        if directories.contains(name) {
            return Err(hostile(name, "is that of a directory, too", source));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Object;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::path::{Component, PathBuf};

    fn listing(names: &[&str]) -> Listing {
        let objects = names
            .iter()
            .map(|name| Object { name: (*name).to_owned(), size: 1, etag: None, modified_us: 0 })
            .collect();
        Listing { objects, directories: BTreeSet::new() }
    }

    #[rstest]
    #[case(&[""], "is empty")]
    #[case(&["/etc/passwd"], "is absolute")]
    #[case(&["a/../../etc/passwd"], "leads out of the directory")]
    #[case(&["./a"], "leads out of the directory")]
    #[case(&["a//b"], "has an empty part")]
    #[case(&["a/"], "has an empty part")]
    #[case(&["a\0b"], "holds a control character")]
    #[case(&["a\u{1b}[2J"], "holds a control character")]
    #[case(&["base", "base/1"], "is that of a directory, too")]
    #[case(&["base/1/2", "base/1"], "is that of a directory, too")]
    #[case(&["a", "a"], "is there twice")]
    #[case(&[".pgdrill-fetch/journal"], "is where the fetch keeps what is not whole yet")]
    fn a_hostile_name_is_refused(#[case] names: &[&str], #[case] why: &str) {
        let trouble = prove(&listing(names), Path::new("/into"), "s3://bucket/x").unwrap_err();
        assert_eq!(trouble.kind, Kind::Name);
        assert!(trouble.message.contains(why), "{}", trouble.message);
        assert!(!trouble.message.chars().any(char::is_control), "{}", trouble.message);
    }

    #[test]
    fn a_name_that_is_too_long_for_a_file_is_refused() {
        let long = "x".repeat(256);
        assert!(prove(&listing(&[&long]), Path::new("/into"), "s3://b").is_err());
        assert!(prove(&listing(&[&long[..255]]), Path::new("/into"), "s3://b").is_ok());
        let deep = vec!["d".repeat(200); 21].join("/");
        assert!(prove(&listing(&[&deep]), Path::new("/into"), "s3://b").is_err());
    }

    #[rstest]
    #[case(&["base.tar.gz", "pg_wal.tar.gz", "backup_manifest"])]
    #[case(&["base/1/1259", "base/1/1259_fsm", "...", ".hidden", "a b/c", "ünï", "a\\b"])]
    fn names_of_backups_are_taken(#[case] names: &[&str]) {
        prove(&listing(names), Path::new("/into"), "s3://bucket/x").unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Whatever the names are: those that are taken can all be files below the directory at the same time.
        #[test]
        fn what_is_taken_stays_below_the_directory(
            names in prop::collection::vec("[a./\\\\\u{0}~é \n-]{0,12}|(\\.\\./){1,3}[a-z]{0,3}|[ab]{1,2}(/[ab]{1,2}){0,3}", 0..6)
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let taken = prove(&listing(&names), Path::new("/into"), "s3://b").is_ok();
            let inside = |name: &&str| {
                let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
                let joined: PathBuf = Path::new("/into").join(name);
                // What is written is exactly the name: nothing is left out, and nothing is put together.
                plain && joined.starts_with("/into") && joined != Path::new("/into")
                    && joined.to_str() == Some(&format!("/into/{name}")) && !name.contains('\0')
            };
            if taken {
                prop_assert!(names.iter().all(inside), "{names:?}");
                for (at, name) in names.iter().enumerate() {
                    for (other_at, other) in names.iter().enumerate() {
                        prop_assert!(at == other_at || name != other);
                        let below = other.starts_with(&format!("{name}/"));
                        prop_assert!(!below, "{} is below {}", other, name);
                    }
                }
            } else {
                // Nothing is refused for no reason.
                let clash = names.iter().enumerate().any(|(at, name)| {
                    names.iter().enumerate().any(|(other_at, other)| {
                        at != other_at && (name == other || other.starts_with(&format!("{name}/")))
                    })
                });
                let wrong = |name: &&str| {
                    let part = |part: &str| ["", ".", ".."].contains(&part);
                    !inside(name) || name.split('/').any(part) || name.chars().any(char::is_control)
                };
                prop_assert!(clash || names.iter().any(wrong), "{names:?} could be files");
            }
        }

        /// The same of any text at all, with real directories and files.
        #[test]
        fn any_name_is_refused_or_can_be_written(name in any::<String>()) {
            if prove(&listing(&[&name]), Path::new("/into"), "s3://b").is_ok() {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join(&name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, b"x").unwrap();
                let whole = std::fs::canonicalize(&path).unwrap();
                prop_assert!(whole.starts_with(std::fs::canonicalize(directory.path()).unwrap()));
            }
        }
    }
}
