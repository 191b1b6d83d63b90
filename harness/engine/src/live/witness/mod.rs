//! The witness on a user's own server: makes its table, writes beats into it, and takes it away again. Of everything that `live`
//! does this alone writes to a server, a few bytes at a time.

mod file;
mod standing;

use std::time::Duration;

use pgdrill_model::witness::{Beat, Found, KEPT, Nonce, Removal, RestorePoint, Row, System};
use tokio::time::timeout;
use tokio_postgres::{Client, Error};

use self::standing::Standing;
use super::position::{Stands, lsn, stands};
use super::refused::{Refused, connect};
use super::target::{Target, Wrong, words};
use crate::session::describe;

pub use file::{Contents, WitnessFile, read};

const INSTALL: &str = include_str!("../../sql/live_witness_install.sql");
const BEAT: &str = include_str!("../../sql/live_witness_beat.sql");
const THIN: &str = include_str!("../../sql/live_witness_thin.sql");
const ROWS: &str = include_str!("../../sql/live_witness_rows.sql");

/// The longest that anything may take. Within it a commit may wait for standbys.
const LIMIT: Duration = Duration::from_secs(30);

/// Bounds each statement below that, and keeps names apart from those of the user. The second sets a level at which an answer
/// means that the commit is on disk.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '20s'; SET LOCAL search_path = pg_catalog; \
     SELECT set_config('synchronous_commit', 'local', true) WHERE current_setting('synchronous_commit') = 'off'; \
     SELECT pg_advisory_xact_lock(x'70676472696c6c'::bigint)";

/// A commit that waits for a standby must not be told as one that was done because its time was over.
const COMMIT: &str = "SET LOCAL statement_timeout = 0; COMMIT";

/// A server with a witness, or one that is to have one.
#[derive(Clone, Debug)]
pub struct Witness {
    target: Target,
}

/// What was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Whether it was not there before.
    pub new: bool,
    /// The database.
    pub database: String,
    /// The cluster.
    pub system: System,
    /// What this role lacks to write beats, with what would mend it; empty where it lacks nothing.
    pub lacks: Vec<String>,
}

/// A beat that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What the server answered.
    pub beat: Beat,
    /// Why there is no restore point behind it.
    pub no_restore_point: Option<String>,
    /// Why it was not acknowledged, or what went wrong afterwards.
    pub trouble: Option<String>,
}

/// What became of the witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Where it was; none where there was none.
    pub removal: Option<Removal>,
    /// Why the schema is still there.
    pub schema_stays: Option<String>,
}

impl Witness {
    /// A server by its connection string, as [`Target::new`] reads it.
    ///
    /// # Errors
    ///
    /// As [`Target::new`].
    pub fn new(dsn: &str, password: Option<&str>) -> Result<Self, Wrong> {
        Ok(Self { target: Target::new(dsn, password, LIMIT)? })
    }

    /// Which server it is, without any password.
    pub fn server(&self) -> String {
        self.target.to_string()
    }

    /// Makes the table, where it is not there.
    ///
    /// # Errors
    ///
    /// A server that cannot be reached or written to, a role that may not, or a table of that name that is somebody else's.
    pub async fn install(&self) -> Result<Installed, Refused> {
        let connected = connect(&self.target, LIMIT).await?;
        let client = &connected.client;
        let before = Standing::ask(client).await?;
        before.expect_writable("install the witness on")?;
        before.expect_ours()?;
        if !before.has_table {
            before.expect_may_install()?;
            let schema = if before.has_schema { "" } else { "CREATE SCHEMA pgdrill;" };
            let batch = format!("{BEGIN}; {schema} {INSTALL}; COMMIT");
            within(client.batch_execute(&batch), "installing the witness").await?;
        }
        let now = Standing::ask(client).await?;
        connected.close().await;
        Ok(Installed {
            new: !before.has_table,
            database: now.database.clone(),
            system: now.system,
            lacks: now.lacks(),
        })
    }

    /// Writes one beat with `nonce`. `of` is the cluster that the witness file is of.
    ///
    /// # Errors
    ///
    /// Nothing was written, and why. Where it is not known whether it was, that is no error but a beat without an answer.
    pub async fn beat(&self, nonce: Nonce, of: Option<System>) -> Result<Sent, Refused> {
        let connected = connect(&self.target, LIMIT).await?;
        let client = &connected.client;
        let standing = Standing::ask(client).await?;
        standing.expect_writable("write a beat to")?;
        standing.expect_ours()?;
        standing.expect_may_beat()?;
        if let Some(of) = of.filter(|of| *of != standing.system) {
            return Err(Refused::new(
                format!(
                    "this server is cluster {}, and the witness file is of cluster {of}",
                    standing.system
                ),
                "name another file by --state: each cluster has its own, and one that went through pg_upgrade is a new one",
            ));
        }
        let (mut beat, before) = within(write(client, nonce, &standing), "writing the beat").await?;
        let mut sent = match timeout(LIMIT, client.batch_execute(COMMIT)).await {
            Ok(Ok(())) => {
                beat.acknowledged = true;
                Sent { beat, no_restore_point: None, trouble: None }
            }
            Ok(Err(error)) => Sent { beat, no_restore_point: None, trouble: Some(words(&error)) },
            Err(_) => {
                let trouble = format!("no answer to COMMIT within {:.0} s", LIMIT.as_secs_f64());
                Sent { beat, no_restore_point: None, trouble: Some(trouble) }
            }
        };
        if sent.beat.acknowledged {
            afterwards(client, before, standing.may_make_points, &mut sent).await;
        }
        // A server that hangs does not take a farewell either.
        let _ = timeout(Duration::from_secs(1), connected.close()).await;
        Ok(sent)
    }

    /// Takes the table away, and the schema where nothing else is in it.
    ///
    /// # Errors
    ///
    /// A server that cannot be reached or written to, a role that may not, or a table that is somebody else's.
    pub async fn remove(&self) -> Result<Removed, Refused> {
        let connected = connect(&self.target, LIMIT).await?;
        let client = &connected.client;
        let standing = Standing::ask(client).await?;
        standing.expect_writable("remove the witness from")?;
        standing.expect_ours()?;
        if !standing.has_table {
            connected.close().await;
            return Ok(Removed { removal: None, schema_stays: None });
        }
        standing.expect_may_remove()?;
        let at = within(stands(client), "asking for the position").await?;
        let batch = format!("{BEGIN}; DROP TABLE pgdrill.witness; COMMIT");
        within(client.batch_execute(&batch), "removing the witness").await?;
        let schema = client.batch_execute("SET lock_timeout = '10s'; DROP SCHEMA pgdrill");
        let schema_stays = match timeout(LIMIT, schema).await {
            Ok(dropped) => dropped.err().map(|error| describe(&error)),
            Err(_) => Some("no answer in time".to_owned()),
        };
        connected.close().await;
        let removal = Removal { system: standing.system, timeline: at.timeline, before: at.lsn };
        Ok(Removed { removal: Some(removal), schema_stays })
    }

    /// What a restored server holds of the witness.
    ///
    /// # Errors
    ///
    /// A server that cannot be reached, or a table that cannot be read.
    pub async fn found(&self) -> Result<Found, Refused> {
        let connected = connect(&self.target, LIMIT).await?;
        let found = within(found(&connected.client), "reading the witness").await?;
        connected.close().await;
        Ok(found)
    }
}

/// What a server holds of the witness, by a connection to the database that it is in.
///
/// # Errors
///
/// What the server answered.
pub async fn found(client: &Client) -> Result<Found, Error> {
    let one = "SELECT (pg_control_system()).system_identifier, to_regclass('pgdrill.witness') IS NOT NULL";
    let row = client.query_one(one, &[]).await?;
    let system = standing::system(row.try_get(0)?);
    if !row.try_get::<_, bool>(1)? {
        return Ok(Found { system, rows: None });
    }
    let rows = client.query(ROWS, &[]).await?;
    let rows = rows.iter().map(|row| {
        let nonce: &[u8] = row.try_get("nonce")?;
        let beat: i64 = row.try_get("beat")?;
        Ok(Row {
            beat: beat.unsigned_abs(),
            nonce: Nonce(nonce.try_into().unwrap_or_default()),
            system: standing::system(row.try_get("system")?),
            written_unix_us: row.try_get("written_unix_us")?,
        })
    });
    Ok(Found { system, rows: Some(rows.collect::<Result<_, Error>>()?) })
}

/// Everything before COMMIT.
async fn write(client: &Client, nonce: Nonce, standing: &Standing) -> Result<(Beat, Stands), Error> {
    client.batch_execute(BEGIN).await?;
    let row = client.query_one(BEAT, &[&nonce.0.as_slice()]).await?;
    let number: i64 = row.try_get("beat")?;
    client.execute(THIN, &[&number, &(KEPT as i64)]).await?;
    let before = stands(client).await?;
    let xid: i64 = row.try_get("xid")?;
    let beat = Beat {
        beat: number.unsigned_abs(),
        nonce,
        system: standing.system,
        database: standing.database.clone(),
        timeline: before.timeline,
        xid: xid.unsigned_abs(),
        written_unix_us: row.try_get("written_unix_us")?,
        before: before.lsn,
        acknowledged: false,
        committed_unix_us: None,
        after: None,
        restore_point: None,
    };
    Ok((beat, before))
}

/// Everything after it. What fails here takes nothing from the beat.
async fn afterwards(client: &Client, before: Stands, may_make_points: bool, sent: &mut Sent) {
    match timeout(LIMIT, stands(client)).await {
        // On another timeline the position would say nothing about the commit.
        Ok(Ok(after)) if after.timeline == before.timeline => {
            sent.beat.committed_unix_us = Some(after.unix_us);
            sent.beat.after = Some(after.lsn);
        }
        Ok(Ok(_)) => sent.trouble = Some("the server went to another timeline meanwhile".to_owned()),
        Ok(Err(error)) => sent.trouble = Some(words(&error)),
        Err(_) => sent.trouble = Some("no answer in time after COMMIT".to_owned()),
    }
    if sent.trouble.is_some() {
        return;
    }
    if !may_make_points {
        sent.no_restore_point = Some("the role may not make any".to_owned());
        return;
    }
    let name = Beat::restore_point_name(sent.beat.beat, sent.beat.nonce);
    let made = async { client.query_one("SELECT pg_create_restore_point($1)::text", &[&name]).await };
    match timeout(LIMIT, made).await {
        Ok(Ok(row)) => sent.beat.restore_point = Some(RestorePoint { name, lsn: lsn(row.get(0)) }),
        Ok(Err(error)) => sent.no_restore_point = Some(describe(&error)),
        Err(_) => sent.no_restore_point = Some("no answer in time".to_owned()),
    }
}

/// Waits for an answer, within the limit.
async fn within<T>(asked: impl Future<Output = Result<T, Error>>, what: &str) -> Result<T, Refused> {
    match timeout(LIMIT, asked).await {
        Ok(answer) => answer.map_err(|error| Refused::failed(what, &error)),
        Err(_) => Err(Refused::new(
            format!("{what} was given up: no answer within {:.0} s", LIMIT.as_secs_f64()),
            "look at what the server is busy with, and who holds a lock on pgdrill.witness",
        )),
    }
}
