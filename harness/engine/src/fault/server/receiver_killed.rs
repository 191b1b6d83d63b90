//! `receiver-killed`: `pg_receivewal` is killed, and nothing starts it again.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;

use super::not_made;
use crate::drill::Drill;
use crate::receiver;

pub(super) async fn run(drill: &mut Drill<'_>) -> Result<String, Unable> {
    if receiver::kill(drill).await? {
        Ok("pg_receivewal was killed with SIGKILL".to_owned())
    } else {
        Err(not_made(Fault::ReceiverKilled, "there is no pg_receivewal that runs"))
    }
}
