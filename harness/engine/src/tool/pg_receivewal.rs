//! `pg_receivewal`, PostgreSQL's own program that streams WAL into an archive as it is written.

use std::path::Path;

use pgdrill_model::world::Command;

use crate::session::SUPERUSER;
use crate::settings::PORT;

/// The replication slot of the receiver, which is also the name by which a server waits for it.
pub const SLOT: &str = "pgdrill_archive";

/// The command that receives the WAL of the server whose socket lies in `socket` into `directory`, until the connection
/// ends; its words go to `log`. `synchronous` flushes what comes and says so at once.
///
/// It does not connect again by itself (`--no-loop`): so its end tells that everything which the server had sent is
/// written, and it is started again by whoever watches over it, as a service manager would.
pub fn command(socket: &Path, directory: &Path, synchronous: bool, log: &Path) -> Command {
    let mut arguments = vec![
        "--directory".to_owned(),
        directory.display().to_string(),
        "--host".to_owned(),
        socket.display().to_string(),
        "--port".to_owned(),
        PORT.to_string(),
        "--username".to_owned(),
        SUPERUSER.to_owned(),
        "--no-password".to_owned(),
        "--no-loop".to_owned(),
        "--verbose".to_owned(),
        format!("--slot={SLOT}"),
    ];
    if synchronous {
        arguments.push("--synchronous".to_owned());
    }
    let mut command = Command::postgres("pg_receivewal", arguments).log_to(log);
    // Its own name for itself is only a fallback (`GetConnection`, `src/bin/pg_basebackup/streamutil.c`, 13 to 18).
    command.env.push(("PGAPPNAME".to_owned(), SLOT.to_owned()));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_synchronous_receiver_flushes_at_once() {
        let flags = |synchronous| {
            let made = command(Path::new("/s"), Path::new("/a"), synchronous, Path::new("/l"));
            (made.args.contains(&"--synchronous".to_owned()), made.args.contains(&"--no-loop".to_owned()))
        };
        assert_eq!((flags(true), flags(false)), ((true, true), (false, true)));
    }
}
