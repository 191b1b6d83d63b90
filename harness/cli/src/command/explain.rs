//! `pgdrill explain`: what a finding code or a check means.

use std::fmt::Write;

use anyhow::bail;
use pgdrill_model::check::{CHECKS, Check};
use pgdrill_model::code::{CODES, Code, Weight};

use crate::exit::Exit;
use crate::printer;

pub(super) fn run(name: Option<&str>) -> anyhow::Result<Exit> {
    let text = match name {
        None => all(),
        Some(name) => match (name.parse::<Code>(), name.parse::<Check>()) {
            (Ok(code), _) => explain_code(code),
            (_, Ok(check)) => explain_check(check),
            _ => bail!("there is no finding code and no check '{name}'; `pgdrill explain` lists them all"),
        },
    };
    printer::out(&text)?;
    Ok(Exit::Proven)
}

fn effect(weight: Weight) -> &'static str {
    match weight {
        Weight::Notes => "a note: the verdict stays",
        Weight::Unverifies => "could not verify (exit code 2)",
        Weight::Disproves => "disproven (exit code 1)",
        Weight::Bug => "a bug in pgdrill (exit code 70)",
    }
}

fn explain_code(code: Code) -> String {
    let entry = code.entry();
    let mut text = format!(
        "{}\n\n{}\nWhat now: {}\nVerdict: {}\n",
        entry.name,
        entry.meaning,
        entry.advice,
        effect(entry.weight)
    );
    let checks: Vec<&str> =
        CHECKS.iter().filter(|check| check.codes.contains(&code)).map(|check| check.name).collect();
    if !checks.is_empty() {
        let _ = writeln!(text, "Seen by: {}", checks.join(", "));
    }
    text
}

fn explain_check(check: Check) -> String {
    let entry = check.entry();
    let codes: Vec<&str> = entry.codes.iter().map(|code| code.name()).collect();
    format!(
        "{}\n\n{}\nWhat it does not see: {}\nReports: {}\n",
        entry.name,
        entry.doc,
        entry.blind,
        codes.join(", ")
    )
}

fn all() -> String {
    let mut text = "Finding codes:\n".to_owned();
    for entry in CODES {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.meaning);
    }
    text.push_str("\nChecks:\n");
    for entry in CHECKS {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.doc);
    }
    text
}
