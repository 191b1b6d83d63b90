//! `pg_combinebackup`, which makes a data directory of a full backup and the incremental ones upon it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::world::Command;

use super::pg_basebackup::mapping;

const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The command that combines the backups in the directories `chain`, the full one first, into the data directory
/// `data`. `tablespaces` says of each tablespace where it lies in the last backup, and where it is to lie.
pub fn command(chain: &[PathBuf], tablespaces: &[(PathBuf, PathBuf)], data: &Path) -> Command {
    let mut arguments = vec![format!("--output={}", data.display())];
    let mappings = tablespaces.iter().map(|(from, to)| format!("--tablespace-mapping={}", mapping(from, to)));
    arguments.extend(mappings);
    arguments.extend(chain.iter().map(|directory| directory.display().to_string()));
    Command::postgres("pg_combinebackup", arguments).within(LIMIT)
}
