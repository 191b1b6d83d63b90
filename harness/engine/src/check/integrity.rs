//! `integrity`: what the database says of itself. The function is part of the trading fixture, and whoever restores for real
//! calls it as well.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;

use super::{Bench, Outcome, finding};
use crate::content::databases;
use crate::data::DATABASE;
use crate::session::{SUPERUSER, describe, tells_of_data};

const CALL: &str = "SELECT name, status, detail FROM public.verify_backup_integrity()";

/// Whether a database has the function.
const THERE: &str = "SELECT to_regprocedure('public.verify_backup_integrity()') IS NOT NULL";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    if bench.given.is_none() {
        return ask(bench, DATABASE).await;
    }
    // A database that pgdrill did not make may have the function or not.
    let session = bench.session(SUPERUSER).await?;
    let names = databases(&session).await.map_err(|error| bench.lost(&error))?;
    drop(session);
    let (mut whole, mut said) = (Outcome::default(), Vec::new());
    for name in &names {
        let session = bench.session(name).await?;
        let row = session.query_one(THERE, &[]).await.map_err(|error| bench.lost(&error))?;
        drop(session);
        if row.get(0) {
            let asked = ask(bench, name).await?;
            whole.examined += asked.examined;
            whole.found.extend(asked.found);
            said.push(format!("{name}: {}", asked.summary));
        }
    }
    if said.is_empty() {
        let summary = format!("none of {} databases has verify_backup_integrity()", names.len());
        return Ok(Outcome::of(names.len() as u64, summary, Vec::new()));
    }
    Ok(Outcome::of(whole.examined, said.join("; "), whole.found))
}

/// Calls the function of one database.
async fn ask(bench: &Bench<'_>, database: &str) -> Result<Outcome, Unable> {
    let session = bench.session(database).await?;
    let rows = match session.query(CALL, &[]).await {
        Ok(rows) => rows,
        // It is not there, or met something that cannot be read.
        Err(error) if tells_of_data(&error) => {
            let message = format!("verify_backup_integrity() ended with an error: {}", describe(&error));
            let found = vec![finding(Code::IntegrityFailed, message)];
            return Ok(Outcome::of(0, "it ended with an error", found));
        }
        Err(error) => return Err(bench.lost(&error)),
    };
    let (mut held, mut skipped, mut found) = (0, Vec::new(), Vec::new());
    for row in &rows {
        let (name, status, detail): (&str, &str, Option<&str>) = (row.get(0), row.get(1), row.get(2));
        match status {
            "ok" => held += 1,
            "skipped" => skipped.push(name),
            _ => {
                let detail = detail.unwrap_or("without a word");
                let message = format!("verify_backup_integrity() says {name} {status}: {detail}");
                found.push(finding(Code::IntegrityFailed, message).with("check", name));
            }
        }
    }
    let examined = held + found.len() as u64;
    let mut summary = format!("{held} of {examined} of the database's own checks are ok");
    if !skipped.is_empty() {
        summary = format!("{summary}; skipped: {}", skipped.join(", "));
    }
    Ok(Outcome::of(examined, summary, found))
}
