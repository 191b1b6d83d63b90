//! `crash`: kills the postmaster and starts it again on the same files, as after a failure of power: the server recovers
//! by itself, and whatever it had acknowledged must be there.

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Crash;
use tokio::time::sleep;

use crate::drill::Drill;
use crate::log;
use crate::receiver;
use crate::server::LOOK_AGAIN;
use crate::session::{Door, SUPERUSER};

/// What a server says that is started while processes of the killed one are still dying (`CreateLockFile`,
/// `src/backend/utils/init/miscinit.c`; `PGSharedMemoryCreate`, `src/backend/port/sysv_shmem.c`).
const STILL_DYING: &str = "is still in use";

/// Kills a server and starts it again.
///
/// # Errors
///
/// `TIME_LIMIT`, `SERVER_START_FAILED`: it did not come back.
pub async fn run(drill: &mut Drill<'_>, crash: Crash, on: Name) -> Result<Vec<Finding>, Unable> {
    let (clock, workspace) = (drill.clock, drill.workspace);
    let until = clock.elapsed() + crash.within;
    let server = drill.server(on)?;
    server.kill().await?;
    server.gone(crash.within).await?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    loop {
        let before = log::read(&server.log).len();
        server.start_again(workspace).await?;
        match server.ready(&door, until.saturating_sub(clock.elapsed()), clock).await {
            Ok(_) => break,
            // Those that are dying may have the last word.
            Err(unable)
                if unable.code == Code::ServerStartFailed
                    && log::read(&server.log)
                        .iter()
                        .skip(before)
                        .any(|line| line.message.contains(STILL_DYING))
                    && clock.elapsed() < until =>
            {
                sleep(LOOK_AGAIN).await;
            }
            Err(unable) => return Err(unable),
        }
    }
    receiver::again(drill).await.map(|()| Vec::new())
}
