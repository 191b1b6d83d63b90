//! `collation-changed`: the databases say that the collations in use had another version when they were made. (That is what
//! a restore on another operating system comes to; the library itself cannot be another in the same place.)

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Major;

use super::super::not_made;
use crate::drill::Drill;
use crate::session::describe;

/// From this major on a database records the version of its default collation.
const OF_DATABASES: Major = Major(15);

const DATABASES: &str = "UPDATE pg_database SET datcollversion = '0.1' WHERE datcollversion IS NOT NULL";
const COLLATIONS: &str = "UPDATE pg_collation SET collversion = '0.1' WHERE collversion IS NOT NULL";

pub(super) async fn run(drill: &mut Drill<'_>, server: Name) -> Result<String, Unable> {
    let sql = if drill.postgres >= OF_DATABASES { DATABASES } else { COLLATIONS };
    let session = drill.session(server, None).await?;
    let changed = session.execute(sql, &[]).await;
    match changed.map_err(|error| not_made(Fault::CollationChanged, &describe(&error)))? {
        0 => Err(not_made(Fault::CollationChanged, "no collation has a version here")),
        rows => Ok(format!("{rows} collations are recorded with version 0.1")),
    }
}
