//! `create-standby`: a standby of the primary, from which backups can be taken. It has a place, directories, a
//! configuration and a log of its own, streams from the primary through the primary's socket, and ends in an orderly
//! way before the disaster: it is no part of what is proven, unless it takes the primary's place (`failover`).

use std::path::Path;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::{Happening, Unit};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Lsn;
use tokio::time::sleep;

use crate::drill::{Drill, Made, disk_full};
use crate::server::{LOOK_AGAIN, Server};
use crate::session::{Door, SUPERUSER, Session, describe};
use crate::tool::pg_basebackup::{self, Way};
use crate::{archiving, settings, tablespaces};

/// The slot by which the primary keeps the WAL that the standby has not got yet.
const SLOT: &str = "pgdrill_standby";

/// A standby that has its data directory is up within seconds, and catches up as fast as it can write.
const START_LIMIT: Duration = Duration::from_secs(120);
const CATCH_UP_LIMIT: Duration = Duration::from_secs(600);

pub(super) async fn run(drill: &mut Drill<'_>, takes_over: bool) -> Result<Vec<Finding>, Unable> {
    let workspace = drill.workspace;
    let session = drill.session(Name::Primary, None).await?;
    let found = tablespaces::of_server(workspace, &session, "a standby").await?;
    drop(session);
    workspace.make_dir(Path::new(Name::Standby.name()))?;
    workspace.make_dir(&Path::new("socket").join(Name::Standby.name()))?;
    tablespaces::make_root(workspace, Name::Standby)?;
    let mut writable = vec!["backup"];
    if takes_over {
        writable.extend(archiving::directories(&drill.made.archive));
    }
    let place = drill.open_place(Name::Standby, &writable, &["socket/primary"]).await?;
    drill.recorder.happened(Happening::PlaceOpened {
        server: Name::Standby.name().to_owned(),
        facts: place.facts().clone(),
    });
    // From here on teardown closes it, whatever happens.
    drill.servers.insert(Name::Standby, Server::new(Name::Standby, workspace, place));

    let primary = workspace.socket(Name::Primary);
    let own = workspace.path(tablespaces::root(Name::Standby));
    let way = Way {
        socket: &primary,
        target: &workspace.data(Name::Standby),
        tablespaces: &tablespaces::moved(&found, &own),
    };
    let server = drill.server(Name::Standby)?;
    let exit = server.place().run(&pg_basebackup::standby(way, SLOT)).await?;
    if !exit.success() {
        let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::BackupFailed };
        let words = format!("pg_basebackup ended with {}: {}", exit.describe(), exit.last_words());
        return Err(Unable::new(code, format!("the standby could not be made: {words}")));
    }
    workspace.write("standby/postgresql.auto.conf", "", 0o600)?;
    workspace.write("standby/standby.signal", "", 0o600)?;
    let socket = server.socket.clone();
    let Made { archive, wal_segment_megabytes, shared_settings, .. } = &drill.made;
    let archiving = if takes_over { archiving::archiving(workspace, archive, Name::Standby)? } else { None };
    let configuration = settings::standby(
        &socket,
        &primary,
        SLOT,
        archiving.as_ref(),
        *wal_segment_megabytes,
        shared_settings,
    );
    let clock = drill.clock;
    let server = drill.server(Name::Standby)?;
    server.start(workspace, &configuration).await?;
    server.ready(&Door::superuser(&socket, SUPERUSER), START_LIMIT, clock).await?;
    catch_up(drill).await.map(|()| Vec::new())
}

/// Waits until the standby has replayed everything that the primary has committed so far.
///
/// # Errors
///
/// `TIME_LIMIT`, `SERVER_LOST`.
pub(super) async fn catch_up(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let primary = drill.session(Name::Primary, None).await?;
    let wanted = position(&primary, "SELECT pg_current_wal_flush_lsn()::text", "primary").await?;
    let standby = drill.session(Name::Standby, None).await?;
    let until = drill.clock.elapsed() + CATCH_UP_LIMIT;
    loop {
        let replayed =
            position(&standby, "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')::text", "standby").await?;
        if replayed >= wanted {
            return Ok(());
        }
        if drill.clock.elapsed() >= until {
            let words = drill.server(Name::Standby)?.last_words();
            let message = format!(
                "the standby is at {replayed} and did not reach {wanted} within {} s; it said last: {words}",
                CATCH_UP_LIMIT.as_secs()
            );
            return Err(Unable::new(Code::TimeLimit, message));
        }
        drill.recorder.progress("wait for the standby", replayed.0, Some(wanted.0), Unit::Bytes);
        sleep(LOOK_AGAIN).await;
    }
}

async fn position(session: &Session, query: &str, server: &str) -> Result<Lsn, Unable> {
    let row = session.query_one(query, &[]).await.map_err(|error| {
        let message = format!("cannot ask the {server} for its position: {}", describe(&error));
        Unable::new(Code::ServerLost, message)
    })?;
    row.get::<_, String>(0).parse().map_err(Unable::bug)
}
