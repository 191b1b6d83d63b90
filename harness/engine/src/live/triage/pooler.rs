//! What is asked of a PgBouncer's console. It speaks the simple protocol alone, and its columns differ between versions, so
//! each is read by its name.

use pgdrill_model::triage::{Fact, Pool, Pooler};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::{connect, first_question};
use crate::live::target::{Target, words};

/// The console's own database.
const CONSOLE: &str = "pgbouncer";

/// Asks everything of a pooler.
pub async fn ask(target: &Target, deadline: Instant) -> Pooler {
    let (reach, connected) = connect(target, deadline).await;
    let (reach, connected) = first_question(reach, connected, "SHOW VERSION", deadline).await;
    let mut pooler = Pooler { server: target.to_string(), reach, ..Pooler::default() };
    let Some(connected) = connected else {
        let why = pooler.reach.words.clone().unwrap_or_default();
        pooler.version = Fact::Unknown(why.clone());
        pooler.pools = Fact::Unknown(why.clone());
        pooler.halted = Fact::Unknown(why);
        return pooler;
    };
    let rows = |command: &'static str| show(&connected.client, command, deadline);
    pooler.version = read(rows("SHOW VERSION").await, |rows| {
        rows.first().and_then(|row| text(row, "version")).map(str::to_owned)
    });
    pooler.pools = read(rows("SHOW POOLS").await, |rows| {
        let pools = rows.iter().filter(|row| text(row, "database") != Some(CONSOLE)).map(pool);
        pools.collect::<Option<Vec<_>>>()
    });
    let everything = rows("SHOW STATE").await;
    pooler.halted = read(rows("SHOW DATABASES").await, |rows| {
        // Older ones have no such command, and pause databases alone.
        let mut halted: Vec<String> = everything
            .iter()
            .flatten()
            .filter(|row| text(row, "key") != Some("active") && text(row, "value") == Some("yes"))
            .filter_map(|row| Some(format!("{} everything", text(row, "key")?)))
            .collect();
        for row in rows {
            let name = text(row, "name")?;
            for what in ["paused", "disabled"] {
                if number(row, what)? > 0 {
                    halted.push(format!("{what} {name}"));
                }
            }
        }
        Some(halted)
    });
    let _ = timeout_at(deadline, connected.close()).await;
    pooler
}

/// The rows that a command of the console shows.
async fn show(client: &Client, command: &str, deadline: Instant) -> Result<Vec<SimpleQueryRow>, String> {
    match timeout_at(deadline, client.simple_query(command)).await {
        Ok(Ok(messages)) => Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect()),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => Err(format!("no answer to {command} in time")),
    }
}

fn read<T>(
    rows: Result<Vec<SimpleQueryRow>, String>,
    take: impl FnOnce(&[SimpleQueryRow]) -> Option<T>,
) -> Fact<T> {
    match rows {
        Ok(rows) => take(&rows).map_or_else(
            || Fact::Unknown("the console does not show what PgBouncer 1.15 and later do".to_owned()),
            Fact::Known,
        ),
        Err(why) => Fact::Unknown(why),
    }
}

/// A value by the name of its column.
fn text<'r>(row: &'r SimpleQueryRow, name: &str) -> Option<&'r str> {
    let column = row.columns().iter().position(|column| column.name() == name)?;
    row.try_get(column).ok().flatten()
}

fn number(row: &SimpleQueryRow, name: &str) -> Option<u64> {
    text(row, name)?.parse().ok()
}

fn pool(row: &SimpleQueryRow) -> Option<Pool> {
    Some(Pool {
        database: text(row, "database")?.to_owned(),
        user: text(row, "user")?.to_owned(),
        clients_active: number(row, "cl_active")?,
        clients_waiting: number(row, "cl_waiting")?,
        servers_active: number(row, "sv_active")?,
        servers_idle: number(row, "sv_idle")?,
        // `maxwait` is whole seconds, and `maxwait_us` what is beyond them.
        longest_wait_us: number(row, "maxwait")?
            .saturating_mul(1_000_000)
            .saturating_add(number(row, "maxwait_us").unwrap_or(0)),
    })
}
