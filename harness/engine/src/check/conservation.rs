//! `conservation`: what every committed transaction of the trading application keeps true.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::show_count;

use super::{Bench, Outcome, finding};
use crate::data::DATABASE;
use crate::session::{describe, tells_of_data};

const CONSERVATION: &str = include_str!("../sql/conservation.sql");

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let session = bench.session(DATABASE).await?;
    let row = match session.query_one(CONSERVATION, &[]).await {
        Ok(row) => row,
        // The tables that it adds up are not there, or cannot be read.
        Err(error) if tells_of_data(&error) => {
            let message = format!("positions and orders cannot be compared: {}", describe(&error));
            return Ok(Outcome::of(
                0,
                "it could not be computed",
                vec![finding(Code::ConservationBroken, message)],
            ));
        }
        Err(error) => return Err(bench.lost(&error)),
    };
    let (positions, wrong, unaudited): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let mut found = Vec::new();
    if wrong > 0 {
        let message = format!(
            "{wrong} of {positions} positions in \"Position\" are not the sum of their orders' fills"
        );
        found.push(
            finding(Code::ConservationBroken, message)
                .about("trading.public.Position")
                .with("positions", wrong),
        );
    }
    if unaudited > 0 {
        let message = format!("{unaudited} rows of \"Order\" have no row in \"AuditLog\"");
        found.push(
            finding(Code::ConservationBroken, message)
                .about("trading.public.AuditLog")
                .with("orders", unaudited),
        );
    }
    let summary = format!("{} positions against their fills", show_count(positions.unsigned_abs()));
    Ok(Outcome::of(positions.unsigned_abs(), summary, found))
}
