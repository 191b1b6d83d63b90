//! `cp -a`, as an operator would put a plain base backup in place with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::world::Command;

const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The command that copies what is in the directory `source`, a plain backup or a tablespace of one, into the directory
/// `data`.
pub fn command(source: &Path, data: &Path) -> Command {
    let arguments = ["-a".to_owned(), format!("{}/.", source.display()), data.display().to_string()];
    Command::system("cp", arguments).within(LIMIT)
}

/// The command that copies `files` into the directory `into`.
pub fn files(files: &[PathBuf], into: &Path) -> Command {
    let mut arguments = vec!["-a".to_owned(), "--".to_owned()];
    arguments.extend(files.iter().chain([&into.to_owned()]).map(|path| path.display().to_string()));
    Command::system("cp", arguments).within(LIMIT)
}

/// The command that copies one file into the directory `into`.
pub fn file(from: &Path, into: &Path) -> Command {
    let arguments = ["-a".to_owned(), from.display().to_string(), into.display().to_string()];
    Command::system("cp", arguments).within(LIMIT)
}
