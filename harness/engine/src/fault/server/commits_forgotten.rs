//! `commits-forgotten`: `pg_xact` of the live server says nothing any more of the last transactions, which is how those
//! look that were in progress when a server crashed: they count as rolled back.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_ondisk::commit_log::Place;

use super::{not_made, offline};
use crate::drill::Drill;
use crate::session::describe;

const FAULT: Fault = Fault::CommitsForgotten;

/// The next number that a transaction gets; every one before it has ended, since the server is quiet.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

/// How many transactions are forgotten.
const HOW_MANY: u32 = 12;

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    let session = drill.session(on, None).await?;
    let row = session.query_one(NEXT, &[]).await;
    let next: i64 = row.map_err(|error| not_made(FAULT, &describe(&error)))?.get(0);
    drop(session);
    let next = (next.unsigned_abs() & u64::from(u32::MAX)) as u32;
    let forgotten = next.saturating_sub(HOW_MANY)..next;
    let places: Vec<Place> = forgotten.clone().map(Place::of).collect();
    let Some(name) = places.first().map(|place| &place.file) else {
        return Err(not_made(FAULT, "there was no transaction yet"));
    };
    if places.iter().any(|place| place.file != *name) {
        return Err(not_made(FAULT, "the last transactions are in two files of pg_xact"));
    }
    let file = drill.workspace.data(on).join("pg_xact").join(name);
    offline::edit(drill, FAULT, on, &file, |content| {
        for place in &places {
            let Some(byte) = content.get_mut(place.byte) else {
                return Err("pg_xact is too short".to_owned());
            };
            *byte = place.forgotten(*byte);
        }
        let (first, last) = (forgotten.start, forgotten.end - 1);
        Ok(format!("pg_xact has forgotten how the transactions {first} to {last} ended"))
    })
    .await
}
