//! `pg_basebackup`, PostgreSQL's own program for base backups.

use std::path::Path;
use std::time::Duration;

use pgdrill_model::scenario::{Backup, BackupFormat, Compress};
use pgdrill_model::world::Command;

use crate::session::SUPERUSER;
use crate::settings::PORT;

/// The drill as a whole is bounded; a backup may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The command that takes a backup of the server behind `socket` into the new directory `target`. WAL is streamed
/// beside it, so that the backup is whole without an archive.
pub fn command(socket: &Path, target: &Path, label: &str, how: Backup) -> Command {
    let mut arguments = vec![
        "--host".to_owned(),
        socket.display().to_string(),
        "--port".to_owned(),
        PORT.to_string(),
        "--username".to_owned(),
        SUPERUSER.to_owned(),
        "--no-password".to_owned(),
        "--pgdata".to_owned(),
        target.display().to_string(),
        "--label".to_owned(),
        label.to_owned(),
        "--checkpoint=fast".to_owned(),
        "--wal-method=stream".to_owned(),
        "--manifest-checksums=SHA256".to_owned(),
        // Without it the server does not know how much there is to send.
        "--progress".to_owned(),
        format!(
            "--format={}",
            match how.format {
                BackupFormat::Plain => "plain",
                BackupFormat::Tar => "tar",
            }
        ),
    ];
    if how.compress == Compress::Gzip {
        arguments.push("--gzip".to_owned());
    }
    Command::postgres("pg_basebackup", arguments).within(LIMIT)
}
