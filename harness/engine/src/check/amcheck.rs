//! `amcheck`: the structure of every relation, and the agreement of indexes with their tables, by PostgreSQL's own
//! `amcheck`.
//!
//! From 14 on by the program `pg_amcheck` in the server's place, with `--heapallindexed` (each row is found in each
//! index), `--parent-check` (also between the levels of an index; its stronger lock hinders nobody, since the restored
//! server is ours), and from 17 on `--checkunique`. Without `--rootdescend`, which costs a descent per row and finds,
//! beyond these, hardly anything that happens (`doc/src/sgml/amcheck.sgml`). 13 has functions for indexes alone.
//!
//! The extension is installed where it is missing, so this waits until the definitions of all databases have been
//! read: the catalog check sees the server as it was restored, an extension that the restore lost included.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::units::show_count;
use pgdrill_model::world::Command;

use super::{Bench, Outcome, finding};
use crate::content::databases;
use crate::session::{SUPERUSER, Session, describe, tells_of_data};
use crate::settings::PORT;

const BTREE_INDEXES: &str = include_str!("../sql/btree_indexes.sql");

/// Where the extension is put: a schema that is always there, as `pg_amcheck --install-missing` does.
const INSTALL: &str = "CREATE EXTENSION IF NOT EXISTS amcheck WITH SCHEMA pg_catalog";

const AVAILABLE: &str = "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'";

/// Where the functions are, which may be where the primary had put them.
const SCHEMA: &str = "SELECT quote_ident(n.nspname) FROM pg_extension AS e \
                      JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";

/// What `pg_amcheck` says, within the workspace.
pub const LOG: &str = "log/amcheck.log";

/// Relations that are verified at the same time.
const JOBS: u32 = 2;

/// The drill as a whole is bounded; a verification may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Words that tell of the moment and not of a relation.
const OF_THE_MOMENT: [&str; 9] = [
    "server closed the connection",
    "connection to server",
    "terminating connection",
    "terminating background worker",
    "canceling statement",
    "lock timeout",
    "out of memory",
    "out of shared memory",
    "No space left on device",
];

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    bench.definitions_read.cancelled().await;
    let session = bench.session(SUPERUSER).await?;
    let available: i64 = session.query_one(AVAILABLE, &[]).await.map_err(|error| bench.lost(&error))?.get(0);
    drop(session);
    if available == 0 {
        let message = "the restored server's PostgreSQL does not have the extension amcheck";
        return Err(Unable::new(Code::ProgramMissing, message).hint(install(bench)));
    }
    if bench.major.0 < 14 { by_functions(bench).await } else { by_program(bench).await }
}

fn install(bench: &Bench<'_>) -> String {
    format!("Install the contrib package of PostgreSQL {}, or leave the check out.", bench.major)
}

async fn by_program(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let log = bench.workspace.path(LOG);
    let mut arguments =
        ["--all", "--install-missing", "--heapallindexed", "--parent-check", "--progress", "--no-password"]
            .map(str::to_owned)
            .to_vec();
    if bench.major.0 >= 17 {
        arguments.push("--checkunique".to_owned());
    }
    arguments.extend([
        format!("--jobs={JOBS}"),
        format!("--host={}", bench.socket.display()),
        format!("--port={PORT}"),
        format!("--username={}", bench.socket.superuser()),
    ]);
    let command = Command::postgres("pg_amcheck", arguments).log_to(&log).within(LIMIT);
    let room = bench.connections.reserve(JOBS).await;
    let exit = bench.place.run(&command).await.map_err(|unable| match unable.code {
        Code::ProgramMissing => unable.hint(install(bench)),
        _ => unable,
    })?;
    drop(room);
    let said = Said::read(&log);
    let found: Vec<Finding> = said
        .corrupt
        .iter()
        .map(|(relation, words)| {
            let name = relation.split('"').nth(1).unwrap_or(relation);
            finding(Code::RelationCorrupt, format!("{relation}: {words}")).about(name)
        })
        .collect();
    // 0: nothing is wrong; 2: something is (`src/bin/pg_amcheck/pg_amcheck.c`). All else, also words that tell of
    // the moment, means that not everything was looked at.
    let whole = matches!((exit.code, found.is_empty()), (Some(0), true) | (Some(2), false));
    let summary = format!("{} relations, indexes against their tables", show_count(said.relations));
    if whole && said.trouble.is_none() {
        return Ok(Outcome::of(said.relations, summary, found));
    }
    let words = said.trouble.unwrap_or(said.last);
    let why = format!("pg_amcheck ended with {}: {words}", exit.describe());
    Ok(Outcome { found: Outcome::of(0, "", found).found, ..Outcome::not_run(why) })
}

/// What `pg_amcheck` said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Relations that it has checked, by its own count.
    relations: u64,
    /// Each relation that is not what it must be, with the first words about it.
    corrupt: Vec<(String, String)>,
    /// Words that tell of the moment.
    trouble: Option<String>,
    /// Its last line.
    last: String,
}

impl Said {
    fn read(log: &Path) -> Self {
        match File::open(log) {
            Ok(file) => Self::take(BufReader::new(file).split(b'\n').map_while(Result::ok)),
            Err(error) => {
                Self { trouble: Some(format!("its output cannot be read: {error}")), ..Self::default() }
            }
        }
    }

    /// A line that names a relation ends with a colon; what is wrong with it is on the lines below, which are
    /// indented. `12/34 relations (35%), 56/78 pages (71%)` counts.
    fn take(lines: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut said = Self::default();
        let mut about: Option<String> = None;
        for line in lines {
            let line = String::from_utf8_lossy(&line);
            let text = line.trim();
            if text.is_empty() {
                continue;
            }
            let count = text.split_once("/").and_then(|(done, rest)| {
                rest.contains(" relations (").then(|| done.trim().parse::<u64>().ok()).flatten()
            });
            if let Some(count) = count {
                said.relations = count;
                continue;
            }
            text.clone_into(&mut said.last);
            if !line.starts_with(' ') {
                let relation = text.strip_suffix(':');
                // One finding per relation, however many of its blocks are named.
                about =
                    relation.map(|name| name.split("\", block ").next().unwrap_or(name).trim().to_owned());
                if let Some(name) = &mut about
                    && name.matches('"').count() == 1
                {
                    name.push('"');
                }
                if about.is_none() && text.contains("error:") {
                    said.trouble.get_or_insert_with(|| text.to_owned());
                }
                continue;
            }
            let Some(relation) = about.take() else { continue };
            let words = text.strip_prefix("ERROR:").unwrap_or(text).trim();
            if OF_THE_MOMENT.iter().any(|moment| words.contains(moment)) {
                said.trouble.get_or_insert_with(|| format!("{relation}: {words}"));
            } else if !said.corrupt.iter().any(|(known, _)| *known == relation) {
                said.corrupt.push((relation, words.to_owned()));
            }
        }
        said
    }
}

/// What one database's verification came to.
#[derive(Default)]
struct Verified {
    relations: u64,
    found: Vec<Finding>,
}

async fn by_functions(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let session = bench.session(SUPERUSER).await?;
    let names = databases(&session).await.map_err(|error| bench.lost(&error))?;
    drop(session);
    let (mut relations, mut found) = (0, Vec::new());
    for name in names {
        let verified = verify_indexes(bench, &name).await?;
        relations += verified.relations;
        found.extend(verified.found);
    }
    let summary = format!("{} indexes against their tables; 13 cannot verify tables", show_count(relations));
    Ok(Outcome::of(relations, summary, found))
}

async fn verify_indexes(bench: &Bench<'_>, database: &str) -> Result<Verified, Unable> {
    let lost = |error| bench.lost(&error);
    let session = bench.session(database).await?;
    session.batch_execute(INSTALL).await.map_err(lost)?;
    let schema: String = session.query_one(SCHEMA, &[]).await.map_err(lost)?.get(0);
    let indexes: Vec<(u32, String)> = session
        .query(BTREE_INDEXES, &[])
        .await
        .map_err(lost)?
        .iter()
        .map(|row| (row.get("oid"), row.get("name")))
        .collect();
    drop(session);
    let queue = Mutex::new(indexes.into_iter());
    let verified = Mutex::new(Verified::default());
    let verify = async || -> Result<(), Unable> {
        let session = bench.session(database).await?;
        loop {
            let next = queue.lock().ok().and_then(|mut indexes| indexes.next());
            let Some((oid, name)) = next else { return Ok(()) };
            let error = verify_index(&session, &schema, oid).await.err();
            let Ok(mut verified) = verified.lock() else { return Ok(()) };
            verified.relations += 1;
            match error {
                None => {}
                Some(error) if tells_of_data(&error) => {
                    let name = format!("{database}.{name}");
                    let words = format!("btree index \"{name}\": {}", describe(&error));
                    verified.found.push(finding(Code::RelationCorrupt, words).about(name));
                }
                Some(error) => return Err(bench.lost(&error)),
            }
        }
    };
    let jobs: Vec<_> = (0..JOBS).map(|_| verify()).collect();
    futures_util::future::try_join_all(jobs).await?;
    Ok(verified.into_inner().unwrap_or_default())
}

async fn verify_index(session: &Session, schema: &str, oid: u32) -> Result<(), tokio_postgres::Error> {
    let call = format!("SELECT {schema}.bt_index_parent_check({oid}::oid::regclass, true)");
    session.batch_execute(&call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said::take(text.lines().map(|line| line.as_bytes().to_vec()))
    }

    #[test]
    fn a_clean_run_is_counted_by_its_last_line() {
        let text =
            "  0/270 relations (0%),   0/822 pages (0%)\n270/270 relations (100%), 822/822 pages (100%)\n";
        assert_eq!(said(text), Said { relations: 270, ..Said::default() });
    }

    #[test]
    fn each_corrupt_relation_is_told_once_with_its_first_words() {
        let text = "heap table \"trading.public.Order\", block 0, offset 3:\n\
                    \x20   line pointer redirection to item at offset 21840 exceeds maximum offset 38\n\
                    heap table \"trading.public.Order\", block 0, offset 4:\n\
                    \x20   line pointer to page offset 21840 is not maximally aligned\n\
                    btree index \"trading.public.Order_pkey\":\n\
                    \x20   ERROR:  heap tuple (0,1) from table \"Order\" lacks matching index tuple\n\
                    \x20   HINT:  Retry.\n\
                    2/2 relations (100%), 5/5 pages (100%)\n";
        let expected = [
            (
                "heap table \"trading.public.Order\"",
                "line pointer redirection to item at offset 21840 exceeds maximum offset 38",
            ),
            (
                "btree index \"trading.public.Order_pkey\"",
                "heap tuple (0,1) from table \"Order\" lacks matching index tuple",
            ),
        ];
        let said = said(text);
        assert_eq!(said.corrupt, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!((said.relations, said.trouble), (2, None));
    }

    #[test]
    fn a_server_that_goes_away_is_not_corruption() {
        let text = "btree index \"trading.public.Order_pkey\":\n\
                    \x20   server closed the connection unexpectedly\n";
        let said = said(text);
        assert!(said.corrupt.is_empty() && said.trouble.is_some(), "{said:?}");
        let error = "pg_amcheck: error: query failed: ERROR:  could not open extension control file\n";
        assert!(self::said(error).trouble.is_some());
    }
}
