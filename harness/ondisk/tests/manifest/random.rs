//! Manifests by chance: good ones are read as they were meant, and of all others nothing is read that is not there.

use pgdrill_ondisk::manifest::{Algorithm, Manifest};
use proptest::collection::{hash_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::made::{Listed, body, real, sealed};

fn algorithms() -> impl Strategy<Value = Algorithm> {
    select(
        &[Algorithm::Crc32c, Algorithm::Sha224, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512][..],
    )
}

/// Any bytes but zero; often text, and often what has to be escaped.
fn paths() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[a-z0-9_/\"\\\\\\n\\t\u{1}é😀]{0,40}".prop_map(String::into_bytes), vec(1_u8..=255, 0..40),]
}

prop_compose! {
    fn files()(paths in hash_set(paths(), 0..20))(
        rest in vec((any::<u64>(), proptest::option::of((algorithms(), any::<u8>()))), paths.len()),
        paths in Just(paths),
    ) -> Vec<Listed> {
        paths.into_iter().zip(rest).map(|(path, (size, checksum))| {
            let checksum = checksum.map(|(algorithm, byte)| (algorithm, vec![byte; algorithm.length()]));
            Listed { path, size, checksum }
        }).collect()
    }
}

proptest! {
    #[test]
    fn what_a_server_writes_is_read_as_it_was_meant(
        files in files(),
        system in proptest::option::of(any::<u64>()),
        wal in vec((any::<u32>(), any::<u64>(), any::<u64>()), 0..3),
    ) {
        let manifest = Manifest::read(&sealed(body(system, &files, &wal).as_bytes())).unwrap();
        prop_assert_eq!(manifest.version, if system.is_some() { 2 } else { 1 });
        prop_assert_eq!(manifest.system_identifier, system);
        let ranges: Vec<_> = manifest.wal.iter().map(|range| (range.timeline, range.start, range.end)).collect();
        prop_assert_eq!(ranges, wal);
        prop_assert_eq!(manifest.files.len(), files.len());
        prop_assert_eq!(manifest.files.is_empty(), files.is_empty());
        let sum = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
        prop_assert_eq!(manifest.files.bytes(), sum);
        for (index, (file, read)) in files.iter().zip(manifest.files.iter()).enumerate() {
            prop_assert_eq!(read.path, &file.path);
            prop_assert_eq!(read.size, file.size);
            let checksum = read.checksum.map(|checksum| (checksum.algorithm, checksum.bytes.to_vec()));
            prop_assert_eq!(&checksum, &file.checksum);
            prop_assert_eq!(manifest.files.find(&file.path), Some(index));
            prop_assert_eq!(manifest.files.get(index), Some(read));
        }
        prop_assert_eq!(manifest.files.find(b"no such file, as zero is in no path\0"), None);
        prop_assert_eq!(manifest.files.get(files.len()), None);
    }

    #[test]
    fn bytes_are_refused_and_no_more(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Manifest::read(&bytes).is_err());
    }

    #[test]
    fn what_looks_like_json_is_refused_and_no_more(
        text in r#"(\{|\}|\[|\]|,|:|"|\\|\\u|d8|00|1|-|e|\.|true|null|"Path"|"Files"|"Size"| |\n){0,40}"#,
        with_version: bool,
    ) {
        let version = if with_version { "{\"PostgreSQL-Backup-Manifest-Version\": 1," } else { "" };
        let text = format!("{version}{text}");
        prop_assert!(Manifest::read(text.as_bytes()).is_err());
    }

    /// A change of the content of a real manifest is seen, of whatever kind it is.
    #[test]
    fn a_changed_manifest_is_refused(
        major in select(&[13, 17][..]),
        at: Index,
        length in 0_usize..3,
        instead in vec(any::<u8>(), 0..3),
    ) {
        let good = real(major);
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.splice(at..good.len().min(at + length), instead);
        // Only what is in the last line, which is not hashed, may differ without effect.
        let last = good[..good.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
        if changed[..changed.len().min(last + 1)] != good[..=last] {
            prop_assert!(Manifest::read(&changed).is_err());
        } else if let Ok(manifest) = Manifest::read(&changed) {
            prop_assert_eq!(manifest, Manifest::read(&good).unwrap());
        }
    }

    #[test]
    fn a_checksum_does_not_depend_on_how_content_is_cut(
        algorithm in algorithms(),
        content in vec(any::<u8>(), 0..300),
        at: Index,
    ) {
        let (mut whole, mut cut) = (algorithm.hasher(), algorithm.hasher());
        whole.update(&content);
        let (first, second) = content.split_at(at.index(content.len() + 1));
        cut.update(first);
        cut.update(second);
        let sum = whole.finish();
        prop_assert_eq!(sum.len(), algorithm.length());
        prop_assert_eq!(sum, cut.finish());
    }
}
