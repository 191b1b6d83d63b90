//! The files of the manifest that are not there (`report_extra_backup_files`,
//! `src/bin/pg_verifybackup/pg_verifybackup.c`).

use pgdrill_model::code::Code;
use pgdrill_ondisk::manifest::Manifest;

use super::given::Extent;
use super::ignore::Ignored;
use super::observed::{Observed, Order};

/// Says which they are. Of those that lie where nobody could look, it gives how many and why, instead of calling each of
/// them missing.
pub fn look(observed: &Observed, manifest: &Manifest, ignored: &Ignored, what: &Extent) -> Vec<String> {
    let (there, broken, unreached) = {
        let inner = observed.look();
        let unreached = Ignored::only(&inner.unreached);
        (inner.there.clone(), inner.broken_archives.clone(), unreached)
    };
    let (mut elsewhere, mut behind, mut hidden) = (0_u64, 0_u64, 0_u64);
    for (index, file) in manifest.files.iter().enumerate() {
        if there.get(index).copied().unwrap_or(false) || ignored.has(file.path) {
            continue;
        }
        match what.archive_of(file.path) {
            _ if unreached.has_all() || unreached.has(file.path) => hidden += 1,
            None => elsewhere += 1,
            Some(archive) if broken.iter().any(|broken| broken == archive) => behind += 1,
            Some(_) => {
                let name = String::from_utf8_lossy(file.path);
                let message = format!("\"{name}\" is present in the manifest but not on disk");
                observed.found(Order::Missing, Code::ManifestMismatch, file.path, message);
            }
        }
    }
    [
        (elsewhere, "which lie in other archives than the one that was named"),
        (behind, "which must lie where an archive cannot be read"),
        (hidden, "which must lie where nobody could look"),
    ]
    .into_iter()
    .filter(|(files, _)| *files > 0)
    .map(|(files, why)| format!("{files} files of the manifest, {why}"))
    .collect()
}
