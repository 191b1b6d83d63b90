//! `pg_basebackup`, PostgreSQL's own program for base backups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::scenario::{Backup, CheckpointMode, Compress, Method, Side};
use pgdrill_model::units::Major;
use pgdrill_model::world::Command;

use crate::session::SUPERUSER;
use crate::settings::PORT;

/// The drill as a whole is bounded; a backup may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// From 15 on `--compress` says the method and the side (`src/bin/pg_basebackup/pg_basebackup.c`); before, there was
/// gzip by the client, with a level or without.
const SIDES: Major = Major(15);

/// Where a backup comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The directory of the server's socket.
    pub socket: &'a Path,
    /// The new directory.
    pub target: &'a Path,
    /// For each tablespace where it lies, and where it is to lie; only a plain backup needs them.
    pub tablespaces: &'a [(PathBuf, PathBuf)],
}

/// The command that takes a backup. `upon` is the manifest of the backup that an incremental one builds upon.
pub fn command(way: Way<'_>, label: &str, how: Backup, upon: Option<&Path>, major: Major) -> Command {
    let mut arguments = connection(way);
    arguments.extend([
        "--label".to_owned(),
        label.to_owned(),
        format!("--format={}", how.format.name()),
        format!("--wal-method={}", how.wal.name()),
        format!("--manifest-checksums={}", how.manifest.name()),
        match how.checkpoint {
            CheckpointMode::Fast => "--checkpoint=fast",
            CheckpointMode::Spread => "--checkpoint=spread",
        }
        .to_owned(),
        // Without it the server does not know how much there is to send.
        "--progress".to_owned(),
    ]);
    arguments.extend(compress(how.compress, major));
    arguments.extend((!how.verify_checksums).then(|| "--no-verify-checksums".to_owned()));
    arguments.extend(how.max_rate.map(|rate| format!("--max-rate={rate}k")));
    arguments.extend(upon.map(|manifest| format!("--incremental={}", manifest.display())));
    Command::postgres("pg_basebackup", arguments).within(LIMIT)
}

/// The command that makes a standby's data directory, and the slot that keeps the WAL which the standby will ask for.
pub fn standby(way: Way<'_>, slot: &str) -> Command {
    let mut arguments = connection(way);
    arguments.extend([
        "--checkpoint=fast".to_owned(),
        "--wal-method=stream".to_owned(),
        "--create-slot".to_owned(),
        format!("--slot={slot}"),
        // Nothing of value is in it: what is proven is what comes out of the backup.
        "--no-sync".to_owned(),
    ]);
    Command::postgres("pg_basebackup", arguments).within(LIMIT)
}

fn connection(way: Way<'_>) -> Vec<String> {
    let mut arguments = vec![
        "--host".to_owned(),
        way.socket.display().to_string(),
        "--port".to_owned(),
        PORT.to_string(),
        "--username".to_owned(),
        SUPERUSER.to_owned(),
        "--no-password".to_owned(),
        "--pgdata".to_owned(),
        way.target.display().to_string(),
    ];
    let mappings =
        way.tablespaces.iter().map(|(from, to)| format!("--tablespace-mapping={}", mapping(from, to)));
    arguments.extend(mappings);
    arguments
}

/// `OLD=NEW`, as `pg_basebackup` and `pg_combinebackup` take it: an equals sign in a path is escaped.
pub fn mapping(from: &Path, to: &Path) -> String {
    let escaped = |path: &Path| path.to_string_lossy().replace('=', "\\=");
    format!("{}={}", escaped(from), escaped(to))
}

fn compress(how: Compress, major: Major) -> Option<String> {
    match (how.method, how.side, how.level) {
        (Method::None, ..) => None,
        (Method::Gzip, Side::Client, None) if major < SIDES => Some("--gzip".to_owned()),
        (Method::Gzip, Side::Client, Some(level)) if major < SIDES => Some(format!("--compress={level}")),
        _ => Some(format!("--compress={how}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, 13, Some("--gzip"))]
    #[case(Some(9), 14, Some("--compress=9"))]
    #[case(Some(9), 15, Some("--compress=client-gzip:level=9"))]
    #[case(None, 18, Some("--compress=client-gzip"))]
    fn gzip_is_written_as_the_major_wants_it(
        #[case] level: Option<i32>,
        #[case] major: u16,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(compress(Compress { level, ..Compress::GZIP }, Major(major)).as_deref(), expected);
        assert_eq!(compress(Compress::NONE, Major(major)), None);
    }

    #[test]
    fn an_equals_sign_in_a_path_is_no_border() {
        assert_eq!(mapping(Path::new("/a=b"), Path::new("/c")), "/a\\=b=/c");
    }
}
