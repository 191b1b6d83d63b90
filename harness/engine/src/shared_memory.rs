//! The System V shared memory segment by which a postmaster guards its data directory. It outlives a postmaster that
//! was killed; no other server will start on these files and remove it.

use std::fs;
use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::world::{Command, Place};

/// The segment of the server whose data directory this is, while its pid file is there: the second number in the
/// seventh line (`src/include/utils/pidfile.h`).
pub fn of(data: &Path) -> Option<String> {
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let id = pid_file.lines().nth(6)?.split_whitespace().nth(1)?;
    id.parse::<u64>().ok().map(|_| id.to_owned())
}

/// Removes the segment; one that is gone is success. A place that shares nothing with the host has memory of its own,
/// which goes away with it.
pub async fn remove(place: &dyn Place, id: &str, server: &str) -> Vec<Finding> {
    if place.facts().shared.is_empty() {
        return Vec::new();
    }
    let words = match place.run(&Command::system("ipcrm", ["--shmem-id", id])).await {
        Ok(exit)
            if exit.success()
                || exit.stderr.contains("invalid id")
                || exit.stderr.contains("already removed") =>
        {
            return Vec::new();
        }
        Ok(exit) => format!("ipcrm ended with {}: {}", exit.describe(), exit.last_words()),
        Err(unable) => unable.message,
    };
    let message =
        format!("the shared memory segment {id} of the killed {server} could not be removed: {words}");
    vec![
        Finding::new(Code::CleanupFailed, Stage::Teardown, message)
            .hint(format!("remove it: ipcrm --shmem-id {id}")),
    ]
}

/// Removes shared memory that is files of the host, where the place is not a machine of its own.
pub async fn remove_files(place: &dyn Place, files: &[String], server: &str) -> Vec<Finding> {
    if files.is_empty() || place.facts().shared.is_empty() {
        return Vec::new();
    }
    let arguments = ["-f"].into_iter().chain(files.iter().map(String::as_str));
    let words = match place.run(&Command::system("rm", arguments)).await {
        Ok(exit) if exit.success() => return Vec::new(),
        Ok(exit) => format!("rm ended with {}: {}", exit.describe(), exit.last_words()),
        Err(unable) => unable.message,
    };
    let files = files.join(" ");
    let message = format!("the shared memory of the {server}, {files}, could not be removed: {words}");
    vec![
        Finding::new(Code::CleanupFailed, Stage::Teardown, message).hint(format!("remove it: rm -f {files}")),
    ]
}
