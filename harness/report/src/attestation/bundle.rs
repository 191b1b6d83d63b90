//! The signatures of a directory: one for each key that signed it, and what they say of what is there now.
//!
//! A later signature says all that an earlier one of the same key said, and takes its place: the chain only grows, and the
//! first lines of it are still those that were signed. So the file stays as small as one statement for each key.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::envelope::{self, Opened};
use super::key::PublicKey;
use super::statement::{Outcome, Statement};
use super::{BUNDLE, CHAIN};

/// What there is to hold signatures against.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The chain.
    pub chain: &'a [u8],
    /// The SHA-256 of each record, by the name of its file.
    pub files: &'a BTreeMap<String, String>,
}

/// What is wrong with a file of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its name.
    pub file: String,
    /// What it is.
    pub what: String,
}

/// A signature that was checked and fits its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The id of its key.
    pub key: String,
    /// When it was made, as the statement says.
    pub signed_at: String,
    /// How many records it is about.
    pub records: u64,
    /// What it says of them.
    pub result: Outcome,
}

/// What became of the signatures of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Those of the keys that were given, those of most records last.
    pub held: Vec<Held>,
    /// The ids of the other keys that are named. Nobody knows whether these signed anything.
    pub others: Vec<String>,
    /// What is wrong.
    pub wrong: Vec<Wrong>,
}

/// Checks the signatures of a directory that are of `keys`.
pub fn check(bundle: &[u8], keys: &[PublicKey], found: Found<'_>) -> Checked {
    let mut checked = Checked::default();
    let mut tell = |what: String| checked.wrong.push(Wrong { file: BUNDLE.to_owned(), what });
    let text = String::from_utf8_lossy(bundle);
    if !text.is_empty() && !text.ends_with('\n') {
        tell("it was not written to its end".to_owned());
    }
    let mut statements = Vec::new();
    for (number, line) in text.split_terminator('\n').enumerate() {
        let number = number + 1;
        match envelope::open(line, keys) {
            Opened::Signed { key, payload } => match Statement::read(&payload) {
                Some(statement) => statements.push((key, statement)),
                None => tell(format!(
                    "line {number} is signed by the key {}, and says nothing about records of drills",
                    short(&key)
                )),
            },
            Opened::ByAnother { key } => checked.others.push(key),
            Opened::Changed { key } => tell(format!(
                "line {number} was changed since the key {} signed it, or is none of its signatures",
                short(&key)
            )),
            Opened::Unreadable => {
                tell(format!("line {number} is no signature, or was changed since it was written"));
            }
        }
    }
    statements.sort_by_key(|(_, statement)| statement.predicate.pgdrill.chain.records);
    for (key, statement) in statements {
        checked.wrong.extend(differences(&key, &statement, found));
        let Statement { predicate, .. } = statement;
        checked.held.push(Held {
            key,
            signed_at: predicate.pgdrill.signed_at,
            records: predicate.pgdrill.chain.records,
            result: predicate.result,
        });
    }
    checked
}

/// The first digits of a key's id, enough to tell it from others.
pub fn short(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

/// In what that which is there is not what was signed. Where the chain still begins as it was signed, that what is there is not
/// what the chain says is for the chain to tell.
fn differences(key: &str, statement: &Statement, found: Found<'_>) -> Vec<Wrong> {
    let signed = &statement.predicate.pgdrill;
    let by = format!("was signed at {} by the key {}", signed.signed_at, short(key));
    let lines: Vec<&[u8]> = found.chain.split_inclusive(|byte| *byte == b'\n').collect();
    let count = usize::try_from(signed.chain.records).unwrap_or(usize::MAX);
    let beginning: Vec<u8> = lines.iter().take(count).copied().flatten().copied().collect();
    let is_as_signed = statement.chain_sha256() == Some(&*hex::encode(Sha256::digest(&beginning)));
    let named: BTreeMap<&str, &str> =
        statement.records().iter().map(|of| (of.name.as_str(), of.digest.sha256.as_str())).collect();
    if is_as_signed && entries(&beginning) == named {
        return Vec::new();
    }
    let what = if is_as_signed {
        format!("what {by} says other records than this chain does")
    } else if lines.len() < count {
        format!("it was cut off: {} records are in it, and a chain of {count} {by}", lines.len())
    } else {
        format!(
            "its first {count} lines are not those of which a chain {by}: it was made anew, or the signature is of another \
             directory"
        )
    };
    let mut wrong = vec![Wrong { file: CHAIN.to_owned(), what }];
    for record in statement.records() {
        let what = match found.files.get(&record.name) {
            None => format!("it {by}, and is gone"),
            Some(sha256) if *sha256 != record.digest.sha256 => {
                format!("it {by}, and was changed since")
            }
            Some(_) => continue,
        };
        wrong.push(Wrong { file: record.name.clone(), what });
    }
    wrong
}

/// The records in lines of a chain, with their SHA-256.
fn entries(lines: &[u8]) -> BTreeMap<&str, &str> {
    let lines = str::from_utf8(lines).unwrap_or_default().lines();
    lines
        .filter_map(|line| {
            let (sha256, name) = line.split_once(' ')?.1.split_once(' ')?;
            Some((name, sha256))
        })
        .collect()
}

/// Signs what `payload` says: the new file of signatures, of which the former one is `bundle`.
///
/// # Errors
///
/// When it cannot become JSON, which it always can.
pub fn add(
    bundle: &[u8],
    payload: &[u8],
    key: &super::key::PrivateKey,
) -> Result<Vec<u8>, serde_json::Error> {
    let own = key.public().id();
    let text = String::from_utf8_lossy(bundle);
    let others = text.split_terminator('\n').filter(|line| envelope::names(line).as_deref() != Some(own));
    let line = envelope::seal(payload, key)?;
    Ok(others.chain([line.as_str()]).flat_map(|line| [line, "\n"]).collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests {
    use pgdrill_testkit::sample;

    use super::*;
    use crate::attestation::key::PrivateKey;
    use crate::attestation::key::tests::private;
    use crate::attestation::statement::{Drill, statement};

    /// A directory in mind.
    #[derive(Clone, Default)]
    struct Directory {
        chain: Vec<u8>,
        files: BTreeMap<String, String>,
        bundle: Vec<u8>,
    }

    impl Directory {
        fn with(count: usize) -> Self {
            (0..count).fold(Self::default(), Self::and)
        }

        /// One more record. What the links are made of is not for signatures to say.
        fn and(mut self, number: usize) -> Self {
            let (name, sha256) = (format!("r{number}.json"), format!("sha{number}"));
            self.chain.extend(format!("link{number} {sha256} {name}\n").bytes());
            self.files.insert(name, sha256);
            self
        }

        fn signed(mut self, key: &PrivateKey) -> Self {
            let run = sample::proven();
            let drills: Vec<Drill> = self
                .files
                .iter()
                .map(|(name, sha256)| Drill::of(name.clone(), sha256.clone(), &run))
                .collect();
            let (payload, _) = statement(&self.chain, "head", &drills, "1", 1_795_374_900_000_000).unwrap();
            self.bundle = add(&self.bundle, &payload, key).unwrap();
            self
        }

        fn checked(&self, keys: &[&PrivateKey]) -> Checked {
            let keys: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
            check(&self.bundle, &keys, Found { chain: &self.chain, files: &self.files })
        }

        fn wrong(&self, key: &PrivateKey) -> Vec<String> {
            let wrong = self.checked(&[key]).wrong;
            wrong.into_iter().map(|wrong| format!("{}: {}", wrong.file, wrong.what)).collect()
        }
    }

    #[test]
    fn a_signature_holds_for_what_is_there_and_still_when_more_came() {
        let key = private(1);
        let directory = Directory::with(3).signed(&key);
        for later in [directory.clone(), directory.and(3).and(4)] {
            let checked = later.checked(&[&key]);
            assert_eq!((&checked.wrong, &checked.others), (&vec![], &vec![]));
            let [held] = checked.held.try_into().unwrap();
            assert_eq!((held.records, held.result, &*held.key), (3, Outcome::Passed, key.public().id()));
            assert_eq!(held.signed_at, "2026-11-22T19:15:00Z");
        }
        assert_eq!(Directory::with(3).checked(&[&key]), Checked::default());
    }

    #[test]
    fn a_later_signature_takes_the_place_of_the_earlier_and_leaves_those_of_others() {
        let (one, two) = (private(1), private(2));
        let directory = Directory::with(1).signed(&one).and(1).signed(&two).and(2).signed(&one);
        assert_eq!(directory.bundle.iter().filter(|byte| **byte == b'\n').count(), 2);
        let checked = directory.checked(&[&one, &two]);
        assert_eq!(checked.wrong, vec![]);
        let held: Vec<_> = checked.held.iter().map(|held| (held.records, held.key.as_str())).collect();
        assert_eq!(held, [(2, two.public().id()), (3, one.public().id())]);
        let checked = directory.checked(&[&one]);
        assert_eq!((checked.held.len(), checked.others), (1, vec![two.public().id().to_owned()]));
    }

    #[test]
    fn the_signature_of_another_key_says_nothing() {
        let checked = Directory::with(2).signed(&private(1)).checked(&[&private(2)]);
        assert_eq!((checked.held.len(), checked.others.len(), checked.wrong.len()), (0, 1, 0));
    }

    #[test]
    fn a_chain_that_was_cut_off_is_named_with_what_it_had() {
        let key = private(1);
        let mut directory = Directory::with(3).signed(&key);
        directory.chain = Directory::with(2).chain;
        directory.files.remove("r2.json");
        let [chain, record] = directory.wrong(&key).try_into().unwrap();
        let by = format!("signed at 2026-11-22T19:15:00Z by the key {}", short(key.public().id()));
        assert_eq!(
            chain,
            format!("chain.txt: it was cut off: 2 records are in it, and a chain of 3 was {by}")
        );
        assert_eq!(record, format!("r2.json: it was {by}, and is gone"));
    }

    #[test]
    fn a_chain_that_was_made_anew_is_told_with_what_was_changed() {
        let key = private(1);
        let mut directory = Directory::with(3).signed(&key);
        directory.chain = String::from_utf8(directory.chain).unwrap().replace("sha1", "sha9").into_bytes();
        directory.files.insert("r1.json".to_owned(), "sha9".to_owned());
        let [chain, record] = directory.wrong(&key).try_into().unwrap();
        assert!(
            chain.starts_with("chain.txt: its first 3 lines are not those of which a chain was signed"),
            "{chain}"
        );
        assert!(
            record.starts_with("r1.json: it was signed") && record.ends_with("and was changed since"),
            "{record}"
        );
    }

    #[test]
    fn records_in_another_order_are_another_chain() {
        let key = private(1);
        let mut directory = Directory::with(2).signed(&key);
        directory.chain = Directory::default().and(1).and(0).chain;
        let [chain] = directory.wrong(&key).try_into().unwrap();
        assert!(chain.contains("its first 2 lines are not those"), "{chain}");
    }

    #[test]
    fn a_signature_of_another_directory_is_none_of_this_one() {
        let key = private(1);
        let mut directory = Directory::default().and(7).and(8).and(9);
        directory.bundle = Directory::with(2).signed(&key).bundle;
        let wrong = directory.wrong(&key);
        assert!(wrong[0].ends_with("or the signature is of another directory"), "{wrong:?}");
        assert!(wrong[1].starts_with("r0.json: ") && wrong[1].ends_with("and is gone"), "{wrong:?}");
    }

    #[test]
    fn a_statement_that_does_not_fit_the_chain_that_it_names_does_not_hold() {
        let key = private(1);
        let mut directory = Directory::with(2);
        directory.files.remove("r1.json");
        directory = directory.signed(&key);
        directory.files.insert("r1.json".to_owned(), "sha1".to_owned());
        // The statement counts one record, and its chain has two.
        assert!(directory.wrong(&key)[0].contains("its first 1 lines are not those"));
    }

    #[test]
    fn lines_that_are_no_signatures_are_told() {
        let key = private(1);
        let whole = Directory::with(1).signed(&key);
        let [cut, added, other] = [&whole, &whole, &whole].map(Clone::clone);
        let cut = Directory { bundle: cut.bundle[..cut.bundle.len() - 1].to_vec(), ..cut };
        assert_eq!(cut.wrong(&key), [format!("{BUNDLE}: it was not written to its end")]);
        let added = Directory { bundle: [&added.bundle[..], b"\n"].concat(), ..added };
        assert_eq!(
            added.wrong(&key),
            [format!("{BUNDLE}: line 2 is no signature, or was changed since it was written")]
        );
        let other = Directory { bundle: add(b"", b"{\"_type\":\"a release\"}", &key).unwrap(), ..other };
        assert!(other.wrong(&key)[0].ends_with("and says nothing about records of drills"));
        let changed = String::from_utf8(whole.bundle.clone()).unwrap().replacen(
            "\"payload\":\"e",
            "\"payload\":\"f",
            1,
        );
        let changed = Directory { bundle: changed.into_bytes(), ..whole };
        assert!(changed.wrong(&key)[0].contains("line 1 was changed since the key"));
    }
}
