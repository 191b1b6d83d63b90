//! Files of keys. A private one is read where nobody else can read it, and its text is zeroed when the key is known.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use pgdrill_report::attestation::{PrivateKey, PublicKey};
use zeroize::Zeroizing;

/// More than any key needs. It is taken at once, since a buffer that grows leaves copies behind.
const LIMIT: usize = 64 << 10;

/// The key that signs.
pub fn private(path: &Path) -> anyhow::Result<PrivateKey> {
    let shown = path.display();
    let (file, mode) = open(path)?;
    // What is no private key may be read by others, and is told for what it is.
    let key = PrivateKey::read(&text(file, path)?).with_context(|| shown.to_string())?;
    if mode & 0o077 != 0 {
        bail!(
            "{shown}: others may read this key (mode {:04o}), and whoever has it can sign; `chmod 600 {shown}`, and make \
             another one where somebody may have read it",
            mode & 0o7777
        );
    }
    Ok(key)
}

/// A key that checks signatures.
pub fn public(path: &Path) -> anyhow::Result<PublicKey> {
    let (file, _) = open(path)?;
    PublicKey::read(&text(file, path)?).with_context(|| path.display().to_string())
}

fn open(path: &Path) -> anyhow::Result<(File, u32)> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read the key {shown}"))?;
    let facts = file.metadata().with_context(|| format!("cannot read the key {shown}"))?;
    if facts.is_dir() {
        bail!("cannot read the key {shown}: it is a directory");
    }
    Ok((file, facts.permissions().mode()))
}

fn text(file: File, path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let shown = path.display();
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT));
    file.take(LIMIT as u64)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the key {shown}"))?;
    let Ok(text) = str::from_utf8(&bytes) else { bail!("{shown}: it is no key in PEM, but binary") };
    Ok(Zeroizing::new(text.to_owned()))
}
