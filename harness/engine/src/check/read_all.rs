//! `read-all`: every row of every table, those of the system catalog too, could be read.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Finding;

use super::{Outcome, finding};
use crate::content::{Content, Unread};

pub(super) fn judge(content: &Content) -> Outcome {
    let own = content.tables().map(|(table, held)| (table, held.as_ref().err()));
    let system = content.databases.iter().flat_map(|(name, database)| {
        database.system.iter().map(move |(table, unread)| (format!("{name}.{table}"), unread.as_ref()))
    });
    let all: Vec<(String, Option<&Unread>)> = own.chain(system).collect();
    let findings: Vec<Finding> = all
        .iter()
        .filter_map(|(table, unread)| {
            let unread = unread.filter(|unread| unread.damaged)?;
            let message = format!("table {table} cannot be read in full: {}", unread.words);
            Some(finding(Code::TableUnreadable, message).about(table))
        })
        .collect();
    let tables = all.len() as u64;
    Outcome::of(tables, format!("{tables} tables, system catalogs included"), findings)
}
