//! The capture itself: which databases, where the WAL stands around each snapshot, and what it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use pgdrill_model::snapshot::{Asked, Position, Snapshot};
use pgdrill_model::units::Major;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Error};

use super::file::{Baseline, Database, defined};
use super::reading::{self, Reader};
use super::{Unread, Wanted};
use crate::definitions;
use crate::dialect::for_major;
use crate::live::position::{Stands, lsn, stands};
use crate::live::refused::{Refused, connect};
use crate::live::target::{Connected, Target, words};

const STANDING: &str = include_str!("../../sql/live_baseline_standing.sql");
const DATABASES: &str = include_str!("../../sql/live_baseline_databases.sql");
const HOLDING: &str = include_str!("../../sql/live_baseline_holding.sql");

/// The longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Between two looks for a quiet moment.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Which server it is.
struct Standing {
    in_recovery: bool,
    paused: bool,
    replayed: Stands,
    version: String,
    system: u64,
}

/// Captures what a running server holds. `hear` is told of each database that is done.
///
/// # Errors
///
/// A connection string that is none, a server that cannot be asked, a database that is not there, and a standby that replays.
/// What this role may not read is no error: it is in [`Baseline::unread`].
pub async fn capture(wanted: &Wanted, hear: &dyn Fn(&str)) -> Result<Baseline, Refused> {
    let target = Target::new(&wanted.dsn, wanted.password.as_deref(), CONNECT)
        .map_err(|wrong| Refused::new(wrong.message, wrong.hint))?;
    let first = connect(&target.reading(None, wanted.each), CONNECT).await?;
    let major = asked(major(&first.client).await)?;
    let standing = asked(standing(&first.client, major).await)?;
    standing.expect_still()?;
    let mut unread = Unread::new();
    let names = databases(&first.client, &wanted.databases, &mut unread).await?;
    let cluster = match definitions::cluster(&first.client, major).await {
        Ok(kept) => defined(kept),
        Err(error) => {
            unread.insert("definitions of the cluster".to_owned(), words(&error));
            Vec::new()
        }
    };
    first.close().await;
    let (mut databases, mut skipped) = (BTreeMap::new(), Vec::new());
    for name in names {
        let target = target.reading(Some(&name), wanted.each);
        let leader = match connect(&target, CONNECT).await {
            Ok(leader) => leader,
            Err(refused) => {
                unread.insert(name, refused.message);
                continue;
            }
        };
        let capturing = Capturing { target: &target, name: &name, major, wanted };
        let (database, missing) = capturing.database(&leader, &standing, &mut skipped).await?;
        leader.close().await;
        hear(&format!("read {} of {name}", tables(database.tables.len())));
        unread.extend(missing);
        databases.insert(name, database);
    }
    skipped.extend(wanted.skip.iter().filter(|name| unread.contains_key(*name)).cloned());
    Ok(Baseline {
        captured_unix_us: standing.replayed.unix_us,
        system: pgdrill_model::witness::System(standing.system),
        version: standing.version,
        major,
        standby: standing.in_recovery,
        databases,
        cluster,
        unread,
        skipped,
        witness: None,
    })
}

fn tables(count: usize) -> String {
    if count == 1 { "1 table".to_owned() } else { format!("{count} tables") }
}

/// What the server answered to a question without which there is no baseline.
fn asked<T>(answer: Result<T, Error>) -> Result<T, Refused> {
    answer.map_err(|error| {
        Refused::new(
            format!("the server could not be asked: {}", words(&error)),
            "look at its log; nothing on it was changed, and no file was written",
        )
    })
}

async fn major(client: &Client) -> Result<Major, Error> {
    let number = client.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).await?;
    let number: i32 = number.try_get(0)?;
    Ok(Major(u16::try_from(number).unwrap_or_default()))
}

async fn standing(client: &Client, major: Major) -> Result<Standing, Error> {
    let row = client.query_one(&for_major(STANDING, major), &[]).await?;
    let (timeline, system): (i64, i64) = (row.try_get("timeline")?, row.try_get("system")?);
    let replayed = Stands {
        timeline: u32::try_from(timeline).unwrap_or_default(),
        lsn: lsn(row.try_get("replayed")?),
        unix_us: row.try_get("unix_us")?,
    };
    Ok(Standing {
        in_recovery: row.try_get("in_recovery")?,
        paused: row.try_get("paused")?,
        replayed,
        version: row.try_get("version")?,
        system: system.cast_unsigned(),
    })
}

impl Standing {
    /// A standby has a position only while it replays nothing.
    fn expect_still(&self) -> Result<(), Refused> {
        if !self.in_recovery || self.paused {
            return Ok(());
        }
        Err(Refused::new(
            "this server is a standby that replays WAL, so nobody knows to which position its content belongs",
            "pause it with `SELECT pg_wal_replay_pause()` for as long as the capture takes, or name the primary",
        ))
    }
}

/// The databases to be captured.
async fn databases(client: &Client, chosen: &[String], unread: &mut Unread) -> Result<Vec<String>, Refused> {
    let rows = asked(client.query(DATABASES, &[]).await)?;
    let mut names = Vec::new();
    for row in &rows {
        let (name, template, open): (String, bool, bool) =
            (row.get("name"), row.get("template"), row.get("open"));
        let wanted = if chosen.is_empty() { !template } else { chosen.contains(&name) };
        if wanted && open {
            names.push(name);
        } else if wanted {
            unread.insert(name, "this role may not connect to it, or nobody may".to_owned());
        }
    }
    let there = |name: &&String| !names.contains(name) && !unread.contains_key(*name);
    match chosen.iter().find(there) {
        None => Ok(names),
        Some(name) => {
            let all: Vec<String> = rows.iter().map(|row| row.get("name")).collect();
            Err(Refused::new(
                format!("the server has no database {name}"),
                format!("its databases are {}", all.join(", ")),
            ))
        }
    }
}

/// The capture of one database.
struct Capturing<'w> {
    target: &'w Target,
    name: &'w str,
    major: Major,
    wanted: &'w Wanted,
}

impl Capturing<'_> {
    async fn database(
        &self,
        leader: &Connected,
        standing: &Standing,
        skipped: &mut Vec<String>,
    ) -> Result<(Database, Unread), Refused> {
        let client = &leader.client;
        let mut unread = Unread::new();
        let aside = connect(self.target, CONNECT).await?;
        let sequences = match reading::sequences(client).await {
            Ok(sequences) => sequences,
            Err(error) => {
                unread.insert(format!("sequences of {}", self.name), words(&error));
                BTreeMap::new()
            }
        };
        let sequences_at =
            if standing.in_recovery { standing.replayed.lsn } else { asked(stands(client).await)?.lsn };
        let (position, snapshot) = if standing.in_recovery {
            self.paused(client, standing).await?
        } else {
            self.running(client, &aside.client).await?
        };
        let reader = Reader { database: self.name, snapshot: &snapshot, major: self.major };
        let mut tables = asked(reading::tables(client).await)?;
        tables.retain(|table| {
            let name = format!("{}.{}", self.name, table.name);
            let skip = self.wanted.skip.contains(&name);
            if skip {
                skipped.push(name);
            }
            !skip
        });
        let mut read = reader.everything(aside, self.target, tables, self.wanted.jobs).await?;
        unread.append(&mut read.unread);
        asked(client.batch_execute("COMMIT").await)?;
        if standing.in_recovery {
            let again = asked(self::standing(client, self.major).await)?;
            if !again.paused || again.replayed.lsn != standing.replayed.lsn {
                return Err(Refused::new(
                    "the replay of the standby went on while it was captured",
                    "pause it for as long as the capture takes",
                ));
            }
        }
        let database = Database {
            position,
            tables: read.tables,
            definitions: read.definitions,
            sequences_at,
            sequences,
            collations: read.collations,
        };
        Ok((database, unread))
    }

    /// The snapshot of a paused standby, which is of where replay stands.
    async fn paused(&self, client: &Client, standing: &Standing) -> Result<(Position, String), Refused> {
        let (snapshot, _) = asked(begin(client).await)?;
        let Stands { timeline, lsn, .. } = standing.replayed;
        Ok((Position::Exact { timeline, lsn }, snapshot))
    }

    /// A snapshot of a server that is written to, at a quiet moment where one comes in time.
    async fn running(&self, client: &Client, aside: &Client) -> Result<(Position, String), Refused> {
        let until = Instant::now() + self.wanted.wait_quiet;
        loop {
            let (asked, snapshot) = asked(ask(client, aside).await)?;
            let position = asked.position();
            if matches!(position, Position::Exact { .. }) || Instant::now() >= until {
                return Ok((position, snapshot));
            }
            self::asked(client.batch_execute("ROLLBACK").await)?;
            sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Begins a transaction, and gives its snapshot as others take it, and as it sees.
async fn begin(client: &Client) -> Result<(String, String), Error> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let row = client.query_one("SELECT pg_export_snapshot(), pg_current_snapshot()::text", &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Everything around a snapshot, in the order that [`Asked`] needs. `aside` has no transaction, and so sees what is newer.
async fn ask(client: &Client, aside: &Client) -> Result<(Asked, String), Error> {
    let before = stands(client).await?;
    let holding = holding(client).await?;
    let (exported, snapshot) = begin(client).await?;
    let after = stands(client).await?;
    let holding_after = self::holding(client).await?;
    let row = aside.query_one("SELECT pg_current_snapshot()::text", &[]).await?;
    let snapshot = read_snapshot(&snapshot);
    let full = |xids: Vec<u32>| xids.into_iter().map(|xid| snapshot.full(xid)).collect();
    let asked = Asked {
        timeline: after.timeline,
        before: before.lsn,
        holding: full(holding),
        after: after.lsn,
        holding_after: full(holding_after),
        snapshot_after: read_snapshot(row.try_get(0)?),
        snapshot,
    };
    Ok((asked, exported))
}

/// A snapshot as the server writes it; what it writes always is one.
fn read_snapshot(text: &str) -> Snapshot {
    text.parse().unwrap_or(Snapshot { xmin: 0, xmax: 0, running: Vec::new() })
}

async fn holding(client: &Client) -> Result<Vec<u32>, Error> {
    let rows = client.query(HOLDING, &[]).await?;
    let xid = |row: &tokio_postgres::Row| {
        row.try_get::<_, i64>(0).map(|xid| u32::try_from(xid).unwrap_or_default())
    };
    rows.iter().map(xid).collect()
}
