//! Files that pgdrill writes for others, and the umask under which everything else is made.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::Mode;

/// Makes everything that is made from now on private: servers and their programs inherit it. Gives the mode of
/// files that are for others, as the caller's own umask would have it.
pub fn make_private() -> u32 {
    let theirs = rustix::process::umask(Mode::from_raw_mode(0o077));
    0o666 & !theirs.as_raw_mode()
}

/// Asks whether a report can be written, before hours are spent on what it is about.
pub fn expect_report(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    if path.is_dir() {
        bail!("cannot write {shown}: it is a directory");
    }
    let part = part(path)?;
    fs::write(&part, "")
        .and_then(|()| fs::remove_file(&part))
        .with_context(|| format!("cannot write {shown}"))
}

/// The file that a report is until it is whole.
fn part(path: &Path) -> anyhow::Result<PathBuf> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot make the directory of {}", path.display()))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    Ok(name.into())
}

/// Writes a report, whole or not at all.
pub fn write_report(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let shown = path.display();
    let part = part(path)?;
    fs::write(&part, content)
        .and_then(|()| fs::set_permissions(&part, Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&part, path))
        .with_context(|| format!("cannot write {shown}"))
}

/// Writes what is for nobody else, whole and on disk or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let part = part(path)?;
    let write = || {
        // One that was left by somebody who died may be open to others.
        fs::remove_file(&part).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Where drills make their workspaces when nobody says otherwise: short, because a socket's path must be.
pub fn default_base() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("pgdrill-{uid}"))
}
