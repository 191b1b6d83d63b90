//! `postmaster-killed`: the restored server is killed as soon as it replays.

use std::time::Duration;

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use tokio::time::sleep;

use super::super::not_made;
use crate::clock::within;
use crate::drill::Drill;
use crate::log;
use crate::server::LOOK_AGAIN;

const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn run(drill: &mut Drill<'_>, server: Name) -> Result<String, Unable> {
    let pid = startup(drill, Fault::PostmasterKilled, server).await?;
    drill.server(server)?.kill().await?;
    Ok(format!("the postmaster was killed with SIGKILL; its startup process was {pid}"))
}

/// The startup process of a server, as soon as it says that it replays.
pub(super) async fn startup(drill: &mut Drill<'_>, fault: Fault, on: Name) -> Result<u32, Unable> {
    let clock = drill.clock;
    let file = drill.workspace.log(on);
    let server = drill.server(on)?;
    let replays = async {
        loop {
            let lines = log::read(&file);
            if let Some(line) = lines.iter().find(|line| line.message.starts_with("redo starts at")) {
                return Some(line.pid);
            }
            if !server.running() {
                return None;
            }
            sleep(LOOK_AGAIN / 5).await;
        }
    };
    let pid = within(clock, LIMIT, replays).await.flatten();
    pid.ok_or_else(|| not_made(fault, "the server did not come to replay"))
}
