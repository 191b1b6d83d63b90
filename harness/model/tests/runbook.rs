//! The runbook as a document, the runbook as it was written, and the table of their steps: none can change alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;

use pgdrill_model::as_written::{PREPARED, ROWS};
use pgdrill_model::code::Code;
use pgdrill_model::scenario::{RunbookStep, Scenario, Step, parse};
use pgdrill_model::verdict::Verdict;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a document that are fenced as `bash`.
fn blocks(text: &str) -> Vec<&str> {
    let fenced = text.split("```bash\n").skip(1);
    fenced.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

fn scenario(id: &str) -> Scenario {
    parse(id, id, &read(&format!("scenarios/{id}.yaml"))).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn every_block_of_the_runbook_is_one_of_the_table_and_every_one_of_the_table_is_in_it() {
    let text = read("docs/runbook.md");
    let known: Vec<String> = PREPARED.iter().map(|(_, block)| block.join("\n")).collect();
    for block in blocks(&text) {
        assert!(known.iter().any(|known| known == block), "the table has another text:\n{block}");
    }
    for (name, block) in PREPARED {
        let block = block.join("\n");
        assert_eq!(blocks(&text).iter().filter(|found| **found == block).count(), 1, "{name}:\n{block}");
    }
}

#[test]
fn every_step_of_the_table_is_in_the_runbook_with_both_of_its_drills() {
    let text = read("docs/runbook.md");
    for entry in ROWS {
        let row = format!(
            "| {name} | {section} | {does} | [as written](../scenarios/runbook/as-written/{name}.yaml), \
             [corrected](../scenarios/runbook/as-written/corrected/{name}.yaml) |\n",
            name = entry.name,
            section = entry.section,
            does = entry.does
        );
        assert!(text.contains(&row), "docs/runbook.md lacks the row:\n{row}");
    }
}

#[test]
fn every_place_that_the_runbook_leads_to_is_there() {
    let text = read("docs/runbook.md");
    let links: Vec<&str> = text.split("](../").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 2 * ROWS.len(), "{links:?}");
    for link in links {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(link);
        assert!(path.exists(), "docs/runbook.md leads to {link}");
    }
}

/// What is typed as written is what was written, word for word.
#[test]
fn every_command_as_written_is_a_line_of_the_runbook_as_it_was_written() {
    let text = read("fixtures/runbook/as-written.md");
    let prepared = |block: &&&[&str]| !PREPARED.iter().any(|(_, known)| *known == **block);
    for entry in ROWS {
        let around = entry.written.before.iter().filter(prepared);
        for command in around.copied().flatten().chain(entry.written.step).chain(entry.written.ask) {
            let there = text.lines().any(|line| line == *command) || text.contains(&format!("\n{command}\n"));
            assert!(there, "{}: the runbook has no line:\n{command}", entry.name);
        }
    }
}

#[test]
fn every_step_has_a_drill_that_must_show_its_harm_and_one_that_must_hold() {
    for entry in ROWS {
        for corrected in [false, true] {
            let directory = if corrected { "runbook/as-written/corrected" } else { "runbook/as-written" };
            let scenario = scenario(&format!("{directory}/{}", entry.name));
            let step = Step::AsWritten(RunbookStep { row: entry.row, corrected });
            assert!(scenario.steps.iter().any(|placed| placed.what == step), "{}", scenario.id);
            let expected = scenario.expect.map(|expect| (expect.verdict, expect.finding));
            let harms = Some((Verdict::Disproven, Some(Code::RunbookHarms)));
            assert_eq!(expected, if corrected { None } else { harms }, "{}", scenario.id);
        }
    }
}
