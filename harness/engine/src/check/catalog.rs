//! `catalog`: every definition, from schemas and columns to grants and roles.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Finding;

use super::{Outcome, finding};
use crate::content::{Content, Definition};

pub(super) fn compare(expected: &Content, found: &Content) -> Outcome {
    let mut findings = Vec::new();
    for (name, database) in &expected.databases {
        let Some(held) = found.databases.get(name) else {
            findings
                .push(finding(Code::CatalogMismatch, format!("database {name} is not there")).about(name));
            continue;
        };
        for (key, was) in &database.definitions {
            match held.definitions.get(key) {
                None => findings.push(differs(name, key, was, "is not there", Some(&was.text), None)),
                Some(now) if now.text != was.text => {
                    findings.push(differs(
                        name,
                        key,
                        was,
                        "is defined in another way",
                        Some(&was.text),
                        Some(&now.text),
                    ));
                }
                Some(_) => {}
            }
        }
        for (key, now) in held.definitions.iter().filter(|(key, _)| !database.definitions.contains_key(*key))
        {
            findings.push(differs(name, key, now, "was not there before", None, Some(&now.text)));
        }
    }
    let definitions = found.definitions();
    Outcome::of(definitions, format!("{definitions} definitions"), findings)
}

fn differs(
    database: &str,
    (kind, name): &(String, String),
    definition: &Definition,
    how: &str,
    was: Option<&String>,
    now: Option<&String>,
) -> Finding {
    let on = if definition.table.is_empty() {
        String::new()
    } else {
        format!(" on table {database}.{}", definition.table)
    };
    let subject = if definition.table.is_empty() { name } else { &definition.table };
    let mut mismatch = finding(Code::CatalogMismatch, format!("the {kind} {name}{on} {how}"))
        .about(format!("{database}.{subject}"));
    if let Some(was) = was {
        mismatch = mismatch.with("expected", was);
    }
    if let Some(now) = now {
        mismatch = mismatch.with("found", now);
    }
    mismatch
}
