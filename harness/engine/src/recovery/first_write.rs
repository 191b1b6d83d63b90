//! The first write of the application on the recovered server: what ends the recovery time. It places an order as
//! the application does, with the application's own role.
//!
//! Its rows carry its transaction's number, by which the content checks leave them out; so the checks may run at any
//! time after it, and see everything else that happened to the server.

use pgdrill_model::code::Code;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use sha2::{Digest, Sha256};

use crate::data::{APPLICATION_ROLE, DATABASE};
use crate::drill::{Drill, FirstWrite};
use crate::recovery::phases::Clocked;
use crate::session::{Door, SUPERUSER, Socket, describe};

const WRITE: &str = include_str!("../sql/first_write.sql");

const COMMIT: &str = include_str!("../sql/first_write_given.sql");

/// Writes, and takes down when.
///
/// # Errors
///
/// `SERVER_LOST`: it failed, and the server was ended, or refused memory, by something else than what it was given. Else a write
/// that fails is a finding.
pub async fn write(
    drill: &mut Drill<'_>,
    server: Name,
    clocked: &mut Clocked,
    evidence: &mut RecoveryEvidence,
) -> Result<Vec<Finding>, Unable> {
    let socket = drill.server(server)?.socket.clone();
    let written = if drill.given.is_some() {
        commit(&Door::superuser(&socket, SUPERUSER)).await
    } else {
        place_order(
            &Door { role: APPLICATION_ROLE.to_owned(), ..Door::superuser(&socket, DATABASE) },
            &format!("{}/{}", drill.run_id, server.name()),
            &symbol(server),
        )
        .await
    };
    if let Err(words) = &written
        && let Some(why) = drill.server(server)?.came_from_outside().await
    {
        let message = format!("nothing can be said of the first write, which failed ({words}): {why}");
        return Err(Unable::new(Code::ServerLost, message));
    }
    let findings = match &written {
        Ok(_) => {
            clocked.written(drill.clock.elapsed());
            evidence.rto_us = Some(clocked.total().as_micros() as u64);
            Vec::new()
        }
        Err(words) if drill.given.is_some() => {
            let message = format!("nothing could be committed on the recovered server: {words}");
            vec![Finding::new(Code::FirstWriteFailed, Stage::Recover, message)]
        }
        Err(words) => {
            let message =
                format!("the application could not place an order on the recovered server: {words}");
            vec![Finding::new(Code::FirstWriteFailed, Stage::Recover, message).about(APPLICATION_ROLE)]
        }
    };
    drill.recovered()?.first_write = Some(written);
    Ok(findings)
}

/// Places an order as the application does, where nothing else is made of it.
///
/// # Errors
///
/// Why it could not, in words.
pub async fn order(socket: &Socket, origin: &str, server: Name) -> Result<(), String> {
    let door = Door { role: APPLICATION_ROLE.to_owned(), ..Door::superuser(socket, DATABASE) };
    place_order(&door, origin, &symbol(server)).await.map(|_| ())
}

async fn place_order(door: &Door, origin: &str, symbol: &str) -> Result<FirstWrite, String> {
    let session = door.open().await.map_err(|error| describe(&error))?;
    let row = session
        .query_one(WRITE, &[&client_order_id(origin), &symbol])
        .await
        .map_err(|error| describe(&error))?;
    let order_id: Option<i64> = row.get("order_id");
    let rows: (i64, i64) = (row.get("positions"), row.get("audits"));
    match order_id {
        Some(order_id) if rows == (1, 1) => {
            Ok(FirstWrite { xid: Some(xid(row.get("xid"))), order_id: Some(order_id) })
        }
        _ => Err("there is no strategy to place an order for".to_owned()),
    }
}

/// Commits a transaction that writes and leaves nothing.
///
/// # Errors
///
/// Why it could not, in words.
pub async fn commit(door: &Door) -> Result<FirstWrite, String> {
    let session = door.open().await.map_err(|error| describe(&error))?;
    session.batch_execute(COMMIT).await.map_err(|error| describe(&error))?;
    // No row carries its number any more.
    Ok(FirstWrite { xid: None, order_id: None })
}

/// The part of a transaction's number that rows carry: its last 32 bits.
fn xid(full: &str) -> String {
    full.parse::<u64>().map_or_else(|_| full.to_owned(), |number| (number & 0xFFFF_FFFF).to_string())
}

/// What no writer trades, and each server another: a later server's write must leave the position of an earlier one
/// alone, which is content like any other by then.
fn symbol(server: Name) -> String {
    format!("PGDRILL/{}", server.name().to_uppercase())
}

/// A UUID that belongs to this server of this run alone.
fn client_order_id(origin: &str) -> String {
    let digest = Sha256::digest(origin.as_bytes());
    hex::encode(&digest[..16])
}
