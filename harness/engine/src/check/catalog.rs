//! `catalog`: every definition, from schemas and columns to grants and roles.

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::units::show_count;

use super::{Bench, Outcome, finding};
use crate::definitions::{self, Definition, Definitions, Kept};

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let found = definitions::read(&bench.socket, bench.major, &bench.connections).await;
    // Read or not: who waits to change them may.
    bench.definitions_read.cancel();
    let expected = bench.baseline.and_then(|baseline| baseline.definitions.as_ref());
    let Some(expected) = expected else { return Ok(Outcome::not_captured()) };
    Ok(compare(expected, &found.map_err(|error| bench.lost(&error))?))
}

fn compare(expected: &Definitions, found: &Definitions) -> Outcome {
    let mut findings = Vec::new();
    differences(None, &expected.cluster, &found.cluster, &mut findings);
    for (name, was) in &expected.databases {
        match found.databases.get(name) {
            Some(now) => differences(Some(name), was, now, &mut findings),
            None => findings
                .push(finding(Code::DatabaseMissing, format!("database {name} is not there")).about(name)),
        }
    }
    let definitions = found.count();
    let databases = found.databases.len();
    let summary = format!("{} definitions of {databases} databases and the cluster", show_count(definitions));
    Outcome::of(definitions, summary, findings)
}

fn differences(database: Option<&str>, expected: &Kept, found: &Kept, findings: &mut Vec<Finding>) {
    for (key, was) in expected {
        match found.get(key) {
            None => findings.push(differs(database, key, was, "is not there", Some(&was.text), None)),
            Some(now) if now.text != was.text => {
                let how = "is defined in another way";
                findings.push(differs(database, key, was, how, Some(&was.text), Some(&now.text)));
            }
            Some(_) => {}
        }
    }
    for (key, now) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
        findings.push(differs(database, key, now, "was not there before", None, Some(&now.text)));
    }
}

fn differs(
    database: Option<&str>,
    (kind, name): &(String, String),
    definition: &Definition,
    how: &str,
    was: Option<&String>,
    now: Option<&String>,
) -> Finding {
    let full = |name: &str| database.map_or_else(|| name.to_owned(), |database| format!("{database}.{name}"));
    let (on, subject) = match (definition.table.as_str(), database) {
        ("", Some(database)) => (format!(" of database {database}"), full(name)),
        ("", None) => (String::new(), name.clone()),
        (table, _) => (format!(" on table {}", full(table)), full(table)),
    };
    let mut mismatch = finding(Code::CatalogMismatch, format!("the {kind} {name}{on} {how}")).about(subject);
    if let Some(was) = was {
        mismatch = mismatch.with("expected", was);
    }
    if let Some(now) = now {
        mismatch = mismatch.with("found", now);
    }
    mismatch
}
