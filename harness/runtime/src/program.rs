//! Finding programs on this host, along a search path.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where programs are looked for when the caller has no `PATH`.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The first file called `name` in a search path that somebody may execute.
pub(crate) fn program_in(path: &OsString, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join(name)).find(|file| executable(file))
}

pub(crate) fn executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
