//! `tar`, as an operator would unpack a base backup in tar format with it.

use std::path::Path;
use std::time::Duration;

use pgdrill_model::world::Command;

const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The commands that unpack the backup in `source` into the data directory `data`, in order: base, then WAL.
pub fn commands(source: &Path, data: &Path) -> Vec<Command> {
    [("base", data.to_owned()), ("pg_wal", data.join("pg_wal"))]
        .into_iter()
        .map(|(stem, into)| {
            let compressed = source.join(format!("{stem}.tar.gz"));
            let (flags, archive) = if compressed.exists() {
                ("-xzf", compressed)
            } else {
                ("-xf", source.join(format!("{stem}.tar")))
            };
            let arguments =
                [flags, &archive.to_string_lossy(), "-C", &into.to_string_lossy()].map(str::to_owned);
            Command::system("tar", arguments).within(LIMIT)
        })
        .collect()
}
