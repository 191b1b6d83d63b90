//! `first-write`: the application's first order on the recovered server is there, and can be read by the
//! application.

use super::{Bench, Outcome, finding};
use crate::content::databases;
use crate::data::{APPLICATION_ROLE, DATABASE};
use crate::log;
use crate::recovery::first_write;
use crate::session::{Door, SUPERUSER, describe, tells_of_data};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;

const READ: &str = "SELECT count(*) FROM public.\"Order\" AS o JOIN public.\"AuditLog\" AS a ON a.\"orderId\" = o.\"id\" \
                    WHERE o.\"id\" = $1";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let written = match bench.first_write.cloned() {
        None => return Ok(Outcome::not_run("recovery did not come to it")),
        Some(Err(words)) => {
            let failed = finding(Code::FirstWriteFailed, format!("the first write failed: {words}"));
            return Ok(Outcome::of(1, words, vec![failed.about(APPLICATION_ROLE)]));
        }
        Some(Ok(written)) => written,
    };
    let Some(order_id) = written.order_id else { return again(bench).await };
    let door = Door { role: APPLICATION_ROLE.to_owned(), ..Door::superuser(&bench.socket, DATABASE) };
    let read = async {
        let session = bench.connections.open(&door).await?;
        session.query_one(READ, &[&order_id]).await?.try_get::<_, i64>(0)
    };
    let words = match read.await {
        Ok(1) => {
            return Ok(Outcome::of(1, format!("order {order_id} by {APPLICATION_ROLE}"), Vec::new()));
        }
        Ok(rows) => format!("order {order_id} was written, and {rows} such rows are there now"),
        Err(error) if !tells_of_data(&error) => return Err(bench.lost(&error)),
        Err(error) => {
            format!("order {order_id} was written and cannot be read back: {}", describe(&error))
        }
    };
    let failed = finding(Code::FirstWriteFailed, words.clone()).about(APPLICATION_ROLE);
    Ok(Outcome::of(1, words, vec![failed]))
}

/// Writes once more, in every database: nothing is known of them, so there is nothing that could be read back.
async fn again(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let session = bench.session(SUPERUSER).await?;
    let names = databases(&session).await.map_err(|error| bench.lost(&error))?;
    drop(session);
    let mut found = Vec::new();
    for name in &names {
        let _room = bench.connections.reserve(1).await;
        if let Err(words) = first_write::commit(&Door::superuser(&bench.socket, name)).await {
            let message = format!("nothing could be committed in database {name}: {words}");
            let lines = log::read(&bench.workspace.log(bench.server));
            if let Some(why) = lines.iter().find(|line| line.is_from_outside()) {
                return Err(Unable::new(
                    Code::ServerLost,
                    format!("{message}; before that, {}", why.message),
                ));
            }
            found.push(finding(Code::FirstWriteFailed, message).about(name));
        }
    }
    let summary = format!("a transaction in each of {} databases", names.len());
    Ok(Outcome::of(names.len() as u64, summary, found))
}
