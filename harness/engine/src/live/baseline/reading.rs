//! What one snapshot sees of a database, read side by side. Each table is read in a transaction of its own, so that no lock is held
//! longer than its table takes.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use pgdrill_model::evidence::{DatabaseCollations, TableContent};
use pgdrill_model::units::Major;
use tokio_postgres::{Client, Error};

use super::Unread;
use super::file::{Defined, Numbers, defined};
use crate::content::fingerprint;
use crate::live::refused::{Refused, connect};
use crate::live::target::{Connected, Target, words};
use crate::{collations, definitions, sequences};

const TABLES: &str = include_str!("../../sql/live_baseline_tables.sql");

/// The longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A table: its name for people, and for SQL.
pub(super) struct Table {
    pub name: String,
    quoted: String,
}

/// What was read.
#[derive(Default)]
pub(super) struct Read {
    pub tables: BTreeMap<String, TableContent>,
    pub definitions: Vec<Defined>,
    pub collations: Option<DatabaseCollations>,
    pub unread: Unread,
}

/// The reading of one database.
pub(super) struct Reader<'r> {
    pub database: &'r str,
    /// As others take it.
    pub snapshot: &'r str,
    pub major: Major,
}

/// The tables of a database.
pub(super) async fn tables(client: &Client) -> Result<VecDeque<Table>, Error> {
    let rows = client.query(TABLES, &[]).await?;
    let table =
        |row: &tokio_postgres::Row| Ok(Table { name: row.try_get("name")?, quoted: row.try_get("quoted")? });
    rows.iter().map(table).collect()
}

/// Where the sequences of a database are.
pub(super) async fn sequences(client: &Client) -> Result<BTreeMap<String, Numbers>, Error> {
    let all = sequences::values(client).await?.into_iter();
    let numbers = all.map(|(name, sequence)| {
        let sequences::Sequence { last, called, increment, cycle, .. } = sequence;
        (name, Numbers { last, called, increment, cycle })
    });
    Ok(numbers.collect())
}

impl Reader<'_> {
    /// Reads everything, with a connection that is there already and as many more as there are further jobs.
    pub(super) async fn everything(
        &self,
        first: Connected,
        target: &Target,
        tables: VecDeque<Table>,
        jobs: NonZeroUsize,
    ) -> Result<Read, Refused> {
        let read = Mutex::new(Read::default());
        self.definitions(&first.client, &read).await?;
        let mut connections = vec![first];
        while connections.len() < jobs.get().min(tables.len()) {
            connections.push(connect(target, CONNECT).await?);
        }
        let queue = Mutex::new(tables);
        let reading = connections.iter().map(|connected| self.tables(&connected.client, &queue, &read));
        futures_util::future::try_join_all(reading).await?;
        for connected in connections {
            connected.close().await;
        }
        Ok(read.into_inner().unwrap_or_default())
    }

    async fn definitions(&self, client: &Client, read: &Mutex<Read>) -> Result<(), Refused> {
        self.begin(client).await?;
        let answer = definitions::of_database(client, self.major).await;
        self.note(client, "definitions", answer, read, |read, kept| read.definitions = defined(kept)).await?;
        self.begin(client).await?;
        let answer = collations::of_database(client, self.major).await;
        let in_use = |collations: DatabaseCollations| collations::in_use(&collations);
        self.note(client, "collations", answer.map(in_use), read, |read, held| read.collations = Some(held))
            .await
    }

    /// Notes an answer to a question about all of the database, or why there is none, and ends its transaction.
    async fn note<T>(
        &self,
        client: &Client,
        what: &str,
        answer: Result<T, Error>,
        read: &Mutex<Read>,
        take: impl FnOnce(&mut Read, T),
    ) -> Result<(), Refused> {
        let failed = answer.as_ref().err().map(words);
        if failed.is_some() && client.is_closed() {
            return Err(self.gone(&failed.unwrap_or_default()));
        }
        if let Ok(mut read) = read.lock() {
            match answer {
                Ok(answer) => take(&mut read, answer),
                Err(_) => {
                    read.unread.insert(format!("{what} of {}", self.database), failed.unwrap_or_default());
                }
            }
        }
        client.batch_execute("COMMIT").await.map_err(|error| self.gone(&words(&error)))
    }

    async fn tables(
        &self,
        client: &Client,
        queue: &Mutex<VecDeque<Table>>,
        read: &Mutex<Read>,
    ) -> Result<(), Refused> {
        loop {
            let next = queue.lock().ok().and_then(|mut tables| tables.pop_front());
            let Some(table) = next else { return Ok(()) };
            self.begin(client).await?;
            let answer = fingerprint(client, &table.quoted, None).await;
            if let Err(error) = &answer
                && client.is_closed()
            {
                return Err(self.gone(&words(error)));
            }
            if let Ok(mut read) = read.lock() {
                match answer {
                    Ok(content) => {
                        read.tables.insert(table.name, content);
                    }
                    Err(error) => {
                        read.unread.insert(format!("{}.{}", self.database, table.name), words(&error));
                    }
                }
            }
            // Where it failed, this is a rollback.
            client.batch_execute("COMMIT").await.map_err(|error| self.gone(&words(&error)))?;
        }
    }

    async fn begin(&self, client: &Client) -> Result<(), Refused> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{}'",
            self.snapshot
        );
        client.batch_execute(&begin).await.map_err(|error| self.gone(&words(&error)))
    }

    fn gone(&self, why: &str) -> Refused {
        Refused::new(
            format!("the capture of database {} broke off: {why}", self.database),
            "look whether the server, a pooler or an administrator ended its connections; no file was written",
        )
    }
}
