//! Keeps the cluster of a drill as a template. The server is stopped in order for that, so that a copy needs no recovery.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::{fs, io};

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::LoadEvidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::Signal;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::segment;

use super::key::Key;
use super::store::{Cluster, LIMIT, Store};
use super::{cluster, copying};
use crate::clock::within;
use crate::drill::Drill;
use crate::session::describe;

/// How long the server may take to stop: what there was to write was written before.
const STOP_LIMIT: Duration = Duration::from_secs(120);

/// A shutdown's checkpoint has a record that is smaller than this.
const CHECKPOINT_RECORD: u64 = 512;

/// Stops the primary, and keeps it as the template of `key`. Where that cannot be, the drill goes on without.
///
/// # Errors
///
/// `SERVER_LOST`, `TIME_LIMIT`: a server that cannot be stopped in order.
pub async fn keep(drill: &mut Drill<'_>, key: Key, load: LoadEvidence) -> Result<(), Unable> {
    stop(drill).await?;
    let Some(templates) = &drill.templates else { return Ok(()) };
    let (store, reserve) = (templates.store.clone(), templates.reserve);
    let (from, id) = (cluster(drill.workspace), drill.run_id.to_owned());
    let kept = copying(move |given_up| -> io::Result<()> {
        make(&store, &key, &from, &load, Room { id: &id, reserve }, given_up)
            .inspect(|()| store.keep_within(LIMIT))
    });
    if let Err(error) = kept.await? {
        tracing::info!("no template is kept: {error}");
    }
    Ok(())
}

/// Stops the primary in order. The WAL that is left begins with a segment of its own: nothing of an earlier one, such as
/// the paths of tablespaces, comes into a later drill.
async fn stop(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let session = drill.session(Name::Primary, None).await?;
    for statement in ["CHECKPOINT", "SELECT pg_switch_wal()"] {
        session.batch_execute(statement).await.map_err(|error| {
            let message = format!("the primary could not be stopped in order: {}", describe(&error));
            Unable::new(Code::ServerLost, message)
        })?;
    }
    drop(session);
    let clock = drill.clock;
    let server = drill.server(Name::Primary)?;
    let stopping = async {
        server.signal(Signal::Int).await?;
        server.end().await;
        Ok(())
    };
    within(clock, STOP_LIMIT, stopping).await.unwrap_or_else(|| {
        let message = format!("the primary did not stop within {} s", STOP_LIMIT.as_secs());
        Err(Unable::new(Code::TimeLimit, message))
    })
}

/// Who makes a template, and what must stay free beside it.
#[derive(Clone, Copy)]
struct Room<'a> {
    id: &'a str,
    reserve: u64,
}

fn make(
    store: &Store,
    key: &Key,
    from: &Cluster,
    load: &LoadEvidence,
    room: Room<'_>,
    given_up: &AtomicBool,
) -> io::Result<()> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let control = fs::read(from.data.join("global/pg_control"))?;
    let control = Control::read(&control).map_err(|error| wrong(error.to_string()))?;
    if control.state_name() != Some("shut down") {
        return Err(wrong("the server was not shut down".to_owned()));
    }
    let segment_size = u64::from(control.wal_segment_size);
    let segments = [control.checkpoint, control.checkpoint + CHECKPOINT_RECORD]
        .map(|position| segment::name(control.timeline, position, segment_size));
    let needed = inspect::size(&from.data) - inspect::size(&from.data.join("pg_wal"))
        + segment_size
        + inspect::size(&from.tablespaces);
    if needed > LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it takes more than all templates may"));
    }
    if store.free() < needed + room.reserve {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "the drill itself needs the space"));
    }
    let making = store.begin(room.id)?;
    making.copy(from, &|path| is_left_out(path, &segments), given_up)?;
    making.finish(store, key, load, names(&from.data)?)
}

/// What belongs to a server that ran or to its workspace, or would only be made anew: a server that was shut down needs no
/// WAL but its last checkpoint, and summarizes its WAL from where that begins.
fn is_left_out(path: &str, segments: &[String]) -> bool {
    if matches!(path, "postmaster.pid" | "postmaster.opts") {
        return true;
    }
    match path.split_once('/') {
        Some(("pg_wal", "archive_status" | "summaries")) => false,
        Some(("pg_wal", file)) => !segments.iter().any(|segment| segment == file),
        Some(("pg_tblspc" | "pg_stat_tmp" | "pg_dynshmem", _)) => true,
        _ => false,
    }
}

/// The names of a cluster's tablespaces by OID: those of the directories to which they lead.
fn names(data: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(data.join("pg_tblspc"))? {
        let entry = entry?;
        let to = fs::read_link(entry.path())?;
        let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        names.insert(entry.file_name().to_string_lossy().into_owned(), name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_wal_only_the_last_segment_is_kept() {
        let segments = ["000000010000000000000003".to_owned()];
        let left_out = |path| is_left_out(path, &segments);
        for path in [
            "postmaster.pid",
            "pg_wal/000000010000000000000002",
            "pg_wal/000000010000000000000004",
            "pg_wal/archive_status/000000010000000000000002.done",
            "pg_wal/summaries/0000000100000000010000280000000002000028.summary",
            "pg_tblspc/16384",
        ] {
            assert!(left_out(path), "{path}");
        }
        for path in [
            "PG_VERSION",
            "base/1/1259",
            "pg_wal",
            "pg_wal/000000010000000000000003",
            "pg_wal/summaries",
            "pg_wal/archive_status",
            "pg_tblspc",
        ] {
            assert!(!left_out(path), "{path}");
        }
    }
}
