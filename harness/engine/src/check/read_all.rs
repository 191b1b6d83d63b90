//! `read-all`: every row of every table, those of the system catalog too, could be read. A backup that was there already has
//! something in it: all of nothing can be read just as well.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Finding;
use pgdrill_model::units::show_count;

use super::{Outcome, finding};
use crate::content::{Content, Database, Unread};
use crate::session::SUPERUSER;

/// What every cluster has, and nobody keeps anything in (`src/bin/initdb/initdb.c`).
const TEMPLATE: &str = "template1";

/// Judges what was read. `empty` are the databases that may be it, where the backup was there already.
pub(super) fn judge(content: &Content, empty: Option<&[String]>) -> Outcome {
    let own = content.tables().map(|(table, held)| (table, held.as_ref().err()));
    let system = content.databases.iter().flat_map(|(name, database)| {
        database.system.iter().map(move |(table, unread)| (format!("{name}.{table}"), unread.as_ref()))
    });
    let all: Vec<(String, Option<&Unread>)> = own.chain(system).collect();
    let mut findings: Vec<Finding> = all
        .iter()
        .filter_map(|(table, unread)| {
            let unread = unread.filter(|unread| unread.damaged)?;
            let message = format!("table {table} cannot be read in full: {}", unread.words);
            Some(finding(Code::TableUnreadable, message).about(table))
        })
        .collect();
    let tables = all.len() as u64;
    let mut summary = format!("{tables} tables, system catalogs included");
    if let Some(empty) = empty {
        findings.extend(without_rows(content, empty));
        let rows: u64 = content.databases.values().map(rows).sum();
        summary.push_str(&format!("; {} rows in those of users", show_count(rows)));
    }
    Outcome::of(tables, summary, findings)
}

/// Databases in which no table of a user holds a row, though nobody said that this may be; and those that may, and are not there.
fn without_rows(content: &Content, empty: &[String]) -> Vec<Finding> {
    let alone = content.databases.keys().all(|name| name == SUPERUSER || name == TEMPLATE);
    let is_meant = |name: &str| name != TEMPLATE && (name != SUPERUSER || alone);
    let mut found: Vec<Finding> = content
        .databases
        .iter()
        .filter(|(name, database)| is_meant(name) && !empty.contains(name) && is_empty(database))
        .map(|(name, _)| {
            let message = format!("database {name} holds no row in any table of its own");
            finding(Code::DatabaseEmpty, message).about(name)
        })
        .collect();
    found.extend(empty.iter().filter(|name| !content.databases.contains_key(*name)).map(|name| {
        finding(Code::DatabaseMissing, format!("database {name}, which may be empty, is not there"))
            .about(name)
    }));
    found
}

/// Whether every table was read, and none holds a row: of one that could not be read nobody knows.
fn is_empty(database: &Database) -> bool {
    database.tables.values().all(|held| held.as_ref().is_ok_and(|held| held.rows == 0))
}

fn rows(database: &Database) -> u64 {
    database.tables.values().flatten().map(|held| held.rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::evidence::TableContent;

    fn content(databases: &[(&str, &[u64])]) -> Content {
        let database = |rows: &[u64]| Database {
            tables: (0..)
                .zip(rows)
                .map(|(number, rows)| {
                    (
                        format!("public.t{number}"),
                        Ok(TableContent { rows: *rows, fingerprint: String::new() }),
                    )
                })
                .collect(),
            ..Database::default()
        };
        Content {
            databases: databases.iter().map(|(name, rows)| ((*name).to_owned(), database(rows))).collect(),
        }
    }

    fn found(databases: &[(&str, &[u64])], empty: &[&str]) -> Vec<String> {
        let empty: Vec<String> = empty.iter().map(|name| (*name).to_owned()).collect();
        judge(&content(databases), Some(&empty)).found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_database_without_a_row_must_have_been_declared() {
        let there = [("postgres", &[][..]), ("template1", &[]), ("trading", &[3, 0])];
        assert!(found(&there, &[]).is_empty());
        let gone = [("postgres", &[][..]), ("template1", &[]), ("trading", &[0, 0]), ("audit", &[])];
        assert_eq!(
            found(&gone, &[]),
            ["audit", "trading"].map(|name| format!("database {name} holds no row in any table of its own"))
        );
        assert!(found(&gone, &["trading", "audit"]).is_empty());
        assert_eq!(found(&there, &["tradign"]), ["database tradign, which may be empty, is not there"]);
    }

    #[test]
    fn where_there_is_only_postgres_something_must_be_in_it() {
        assert_eq!(found(&[("postgres", &[]), ("template1", &[])], &[]).len(), 1);
        assert!(found(&[("postgres", &[1]), ("template1", &[])], &[]).is_empty());
        assert!(
            judge(&content(&[("postgres", &[])]), None).found.is_empty(),
            "a drill of its own knows what is to be there"
        );
    }

    #[test]
    fn of_a_table_that_cannot_be_read_nobody_knows_whether_it_is_empty() {
        let mut content = content(&[("trading", &[0])]);
        let unread = Unread { words: "w".to_owned(), damaged: true };
        content.databases.get_mut("trading").unwrap().tables.insert("public.u".to_owned(), Err(unread));
        let codes: Vec<Code> = judge(&content, Some(&[])).found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::TableUnreadable]);
    }
}
