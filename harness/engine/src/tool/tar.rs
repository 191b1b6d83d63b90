//! `tar`, as an operator would unpack a base backup in tar format with it.

use std::path::Path;
use std::time::Duration;

use pgdrill_backup::parts::{Packed, Part};
use pgdrill_model::world::Command;

const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The command that unpacks `part` of a backup into the directory `into`.
pub fn command(part: &Part, into: &Path) -> Command {
    let mut arguments = match part.packed {
        Packed::No => vec!["-xf".to_owned()],
        Packed::Gzip => vec!["-xzf".to_owned()],
        // tar itself adds -d.
        Packed::Lz4 => vec!["--use-compress-program=lz4".to_owned(), "-xf".to_owned()],
        Packed::Zstd => vec!["--use-compress-program=zstd".to_owned(), "-xf".to_owned()],
    };
    arguments.extend([part.path.display().to_string(), "-C".to_owned(), into.display().to_string()]);
    Command::system("tar", arguments).within(LIMIT)
}
