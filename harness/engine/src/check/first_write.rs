//! `first-write`: the application's first order on the recovered server is there, and can be read by the
//! application.

use super::{Bench, Outcome, finding};
use crate::data::{APPLICATION_ROLE, DATABASE};
use crate::session::{Door, describe, tells_of_data};
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
    let door = Door { role: APPLICATION_ROLE.to_owned(), ..Door::superuser(&bench.socket, DATABASE) };
    let read = async {
        let session = bench.connections.open(&door).await?;
        session.query_one(READ, &[&written.order_id]).await?.try_get::<_, i64>(0)
    };
    let words = match read.await {
        Ok(1) => {
            return Ok(Outcome::of(
                1,
                format!("order {} by {APPLICATION_ROLE}", written.order_id),
                Vec::new(),
            ));
        }
        Ok(rows) => format!("order {} was written, and {rows} such rows are there now", written.order_id),
        Err(error) if !tells_of_data(&error) => return Err(bench.lost(&error)),
        Err(error) => {
            format!("order {} was written and cannot be read back: {}", written.order_id, describe(&error))
        }
    };
    let failed = finding(Code::FirstWriteFailed, words.clone()).about(APPLICATION_ROLE);
    Ok(Outcome::of(1, words, vec![failed]))
}
