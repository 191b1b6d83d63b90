//! `pgdrill report --check` and `--sign`: whether the records of a directory are what was written, and who says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pgdrill_engine::chain::{self, Lock};
use pgdrill_model::units::show_count;
use pgdrill_report::attestation::{self, BUNDLE, Drill, Found, Held, PrivateKey, PublicKey};
use pgdrill_report::record;

use super::merge;
use crate::args::Evidence;
use crate::exit::Exit;
use crate::{key_file, printer};

pub(super) fn run(paths: &[PathBuf], args: &Evidence, now_unix_us: i64) -> anyhow::Result<Exit> {
    let keys = args.key.iter().map(|path| key_file::public(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let own = args.sign.as_deref().map(key_file::private).transpose()?;
    for path in paths {
        expect_directory(path)?;
    }
    if let Some(into) = &args.merge {
        return merge::run(paths, into, &args.without, &keys);
    }
    let mut exit = Exit::Proven;
    for path in paths {
        let holds = match &own {
            Some(own) => sign(path, own, &keys, now_unix_us)?,
            None => check(path, &keys)?,
        };
        if !holds {
            exit = Exit::Unverified;
        }
    }
    Ok(exit)
}

fn expect_directory(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        bail!("{shown}: it is one file; a chain and its signatures are of a whole directory of records");
    }
    bail!("{shown}: there is no such directory; records are where `pgdrill run --evidence` puts them");
}

/// Nobody knows what evidence says that somebody touched.
fn check(directory: &Path, keys: &[PublicKey]) -> anyhow::Result<bool> {
    let asked = Asked::with(keys);
    let looked = Looked::at(directory, keys, &mut |_, _| {})?;
    looked.tell(directory, asked)?;
    Ok(looked.holds(asked) && looked.chain.head.is_some())
}

/// Checks, and signs what holds, before anybody can put another record there.
fn sign(directory: &Path, own: &PrivateKey, keys: &[PublicKey], now_unix_us: i64) -> anyhow::Result<bool> {
    let shown = directory.display();
    let refuse = |why: &str| printer::say(&format!("pgdrill: {shown}: not signed: {why}"));
    let lock = Lock::wait(directory).with_context(|| format!("cannot write in {shown}"))?;
    let Some(lock) = lock else {
        refuse("no record is in a chain");
        return Ok(false);
    };
    // Whoever gives a key knows that something is signed already, and wants to hear if it is not any more.
    let asked = if keys.is_empty() { Asked::ToSign } else { Asked::Signatures };
    let keys = [keys, &[own.public().clone()]].concat();
    let (mut drills, mut unread) = (Vec::new(), Vec::new());
    let bundle = read_bundle(directory)?;
    let chain = lock.walk(&mut |entry, bytes| match record::open(bytes) {
        Ok(run) => drills.push(Drill::of(entry.name.clone(), entry.sha256.clone(), &run)),
        Err(error) => unread.push(format!("pgdrill: {}: {error}", directory.join(&entry.name).display())),
    });
    let chain = chain.with_context(|| format!("cannot read the records in {shown}"))?;
    let looked = Looked::of(bundle, chain, &keys);
    looked.tell(directory, asked)?;
    unread.iter().for_each(|line| printer::say(line));
    let Some(head) = &looked.chain.head else {
        refuse("no record is in a chain");
        return Ok(false);
    };
    if !looked.holds(asked) || !unread.is_empty() {
        refuse("not everything holds");
        return Ok(false);
    }
    let version = env!("CARGO_PKG_VERSION");
    let (payload, result) = attestation::statement(&looked.chain.chain, head, &drills, version, now_unix_us)
        .context("cannot write the statement")?;
    let bundle = attestation::add(&looked.bundle, &payload, own).context("cannot write the signature")?;
    lock.put(BUNDLE, &bundle)
        .with_context(|| format!("cannot write {}", directory.join(BUNDLE).display()))?;
    let id = own.public().id();
    let before = if looked.signatures.held.iter().any(|held| held.key == id) {
        ""
    } else {
        ", which had signed nothing here"
    };
    printer::out(&format!(
        "{shown}: signed all {} by the key {}{before}; result {}\n",
        counted(looked.chain.records),
        attestation::short(id),
        result.name()
    ))?;
    Ok(true)
}

/// What is asked of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether its chain holds.
    Chain,
    /// Whether it is signed as well.
    Signatures,
    /// Whether it can be signed: the chain and every signature of the key hold; there need not be one.
    ToSign,
}

impl Asked {
    /// Where these keys were given.
    pub fn with(keys: &[PublicKey]) -> Self {
        if keys.is_empty() { Self::Chain } else { Self::Signatures }
    }
}

/// What was found in a directory.
pub(super) struct Looked {
    pub chain: chain::Checked,
    signatures: attestation::Checked,
    bundle: Vec<u8>,
}

impl Looked {
    /// Looks at a directory, and shows each record that is what its chain says.
    pub fn at(
        directory: &Path,
        keys: &[PublicKey],
        each: &mut dyn FnMut(&chain::Entry, &[u8]),
    ) -> anyhow::Result<Self> {
        // Before the chain: what is signed meanwhile is about more than what is seen of it.
        let bundle = read_bundle(directory)?;
        let chain = chain::walk(directory, each);
        let chain = chain.with_context(|| format!("cannot read the records in {}", directory.display()))?;
        Ok(Self::of(bundle, chain, keys))
    }

    fn of(bundle: Vec<u8>, chain: chain::Checked, keys: &[PublicKey]) -> Self {
        let found = Found { chain: &chain.chain, files: &chain.files };
        let signatures = if keys.is_empty() {
            attestation::Checked::default()
        } else {
            attestation::check(&bundle, keys, found)
        };
        Self { chain, signatures, bundle }
    }

    /// Whether nothing is wrong; and, where signatures are asked for, something is signed.
    pub fn holds(&self, asked: Asked) -> bool {
        let signed = asked != Asked::Signatures || !self.signatures.held.is_empty();
        self.chain.wrong.is_empty() && self.signatures.wrong.is_empty() && signed
    }

    /// Says what is wrong, and what is not.
    pub fn tell(&self, directory: &Path, asked: Asked) -> anyhow::Result<()> {
        let shown = directory.display();
        self.chain.wrong.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));
        for wrong in &self.signatures.wrong {
            printer::say(&format!("pgdrill: {}: {}", directory.join(&wrong.file).display(), wrong.what));
        }
        let mut lines = vec![match &self.chain.head {
            None => "no record is in a chain".to_owned(),
            Some(head) => format!("{} in a chain that ends with {head}", counted(self.chain.records)),
        }];
        match asked {
            Asked::Chain if self.bundle.is_empty() => {}
            Asked::Chain => {
                lines.push("its signatures were not checked; --key PUBLIC.pem checks them".to_owned());
            }
            // Of what does not hold, no signature says anything.
            Asked::Signatures | Asked::ToSign if !self.signatures.wrong.is_empty() => {}
            Asked::Signatures if self.signatures.held.is_empty() => {
                let what = if self.bundle.is_empty() {
                    format!("there is no {BUNDLE}: nothing was signed, or the signatures were taken away")
                } else {
                    format!(
                        "no signature in {BUNDLE} is of a key that was given; they name {}",
                        self.others()
                    )
                };
                printer::say(&format!("pgdrill: {shown}: {what}"));
            }
            Asked::Signatures | Asked::ToSign if !self.chain.wrong.is_empty() => {
                lines.extend(self.signatures.held.iter().map(still_begun));
            }
            Asked::Signatures | Asked::ToSign => {
                lines.extend(self.signatures.held.iter().map(signed));
                if asked == Asked::Signatures {
                    lines.extend(self.unsigned());
                }
                if !self.signatures.others.is_empty() {
                    lines.push(format!("not checked: signatures of other keys, {}", self.others()));
                }
            }
        }
        printer::out(&lines.iter().map(|line| format!("{shown}: {line}\n")).collect::<String>())
    }

    /// The keys that are named and were not given.
    fn others(&self) -> String {
        let keys: Vec<&str> = self.signatures.others.iter().map(|key| attestation::short(key)).collect();
        keys.join(", ")
    }

    /// What is behind the newest signature.
    fn unsigned(&self) -> Option<String> {
        let signed = self.signatures.held.last().map_or(0, |held| held.records);
        let count = self.chain.records.saturating_sub(signed);
        let chain = String::from_utf8_lossy(&self.chain.chain);
        let first = chain.lines().nth(usize::try_from(signed).ok()?)?.splitn(3, ' ').nth(2)?;
        let are = if count == 1 { "is" } else { "are" };
        Some(format!("{} {are} not signed, from {first} on", counted(count)))
    }
}

fn signed(held: &Held) -> String {
    let key = attestation::short(&held.key);
    format!(
        "{} signed at {} by the key {key}; result {}",
        counted(held.records),
        held.signed_at,
        held.result.name()
    )
}

fn still_begun(held: &Held) -> String {
    let (at, key) = (&held.signed_at, attestation::short(&held.key));
    format!("its chain still begins as it was signed at {at} by the key {key}; what is there does not fit it")
}

fn read_bundle(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let path = directory.join(BUNDLE);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}

pub(super) fn counted(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{} records", show_count(records)) }
}
