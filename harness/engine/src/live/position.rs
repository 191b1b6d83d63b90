//! Where the WAL of a user's own server stands.

use pgdrill_model::snapshot::without_header;
use pgdrill_model::units::Lsn;
use tokio_postgres::{Client, Error};

const POSITION: &str = include_str!("../sql/live_position.sql");

/// Where the WAL stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stands {
    /// The timeline.
    pub timeline: u32,
    /// The end of what was inserted.
    pub lsn: Lsn,
    /// When, by the server's clock, microseconds since 1970 UTC.
    pub unix_us: i64,
}

/// Asks a server that is not in recovery.
pub(super) async fn stands(client: &Client) -> Result<Stands, Error> {
    let row = client.query_one(POSITION, &[]).await?;
    let (page, segment): (i64, i64) = (row.try_get("page")?, row.try_get("segment")?);
    let (timeline, unix_us): (i64, i64) = (row.try_get("timeline")?, row.try_get("unix_us")?);
    let lsn = without_header(lsn(row.try_get("lsn")?), page.unsigned_abs(), segment.unsigned_abs());
    Ok(Stands { timeline: u32::try_from(timeline).unwrap_or_default(), lsn, unix_us })
}

/// A position as the server writes it; what it writes is always one.
pub(super) fn lsn(text: &str) -> Lsn {
    text.parse().unwrap_or(Lsn(0))
}
