//! The matrix: which scenario runs on which major, as plans.

use std::fmt::Write;

use pgdrill_model::drift::Before;
use pgdrill_model::event::Host;
use pgdrill_model::finding::Unable;
use pgdrill_model::history::Kind;
use pgdrill_model::plan::{Plan, add_mutants as add_mutants_to, add_repetitions, compile};
use pgdrill_model::regression::Baseline;
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Scenario;
use pgdrill_model::units::Major;

use crate::spooled;

/// The major that a record names when none is there and none was asked for.
const NEWEST_KNOWN: Major = Major(18);

/// One cell of the matrix: a scenario on a major, or why that cannot be.
pub struct Cell<'a> {
    pub scenario: &'a Scenario,
    pub postgres: Major,
    pub plan: Result<Plan, Unable>,
}

/// The cells of all scenarios, where the majors of `there` are to be had.
pub fn cells<'a>(
    scenarios: &'a [Scenario],
    asked: &[Major],
    there: &[Major],
    runtime: &str,
    seed: Option<u64>,
) -> Vec<Cell<'a>> {
    scenarios
        .iter()
        .flat_map(|scenario| {
            majors(scenario, asked, there).into_iter().map(move |postgres| Cell {
                scenario,
                postgres,
                plan: compile(scenario, postgres, runtime, seed),
            })
        })
        .collect()
}

/// Lets each plan end with mutants; tells of those that can have none.
pub fn add_mutants(cells: &mut [Cell<'_>]) -> Vec<String> {
    let mut told = Vec::new();
    for cell in cells {
        let Ok(plan) = &mut cell.plan else { continue };
        if let Err(why) = add_mutants_to(plan, cell.scenario) {
            told.push(format!("no mutants of {} on PostgreSQL {}: {why}", cell.scenario.id, cell.postgres));
        }
    }
    told
}

/// Lets each plan end with its recovery repeated; tells of those of which it cannot be.
pub fn repeat(cells: &mut [Cell<'_>], times: u64) -> Vec<String> {
    let mut told = Vec::new();
    for cell in cells {
        let Ok(plan) = &mut cell.plan else { continue };
        if let Err(why) = add_repetitions(plan, cell.scenario, times) {
            told.push(format!(
                "the recovery of {} on PostgreSQL {} is not repeated: {why}",
                cell.scenario.id, cell.postgres
            ));
        }
    }
    told
}

/// Gives each plan the recoveries of `known` runs that it must not be slower than.
pub fn compare(cells: &mut [Cell<'_>], known: &[Run], host: &Host) {
    for cell in cells {
        let Ok(plan) = &mut cell.plan else { continue };
        let kind = Kind::with(&plan.scenario, plan.postgres, &plan.runtime, host);
        plan.compared_with = Some(Baseline::of(known, &kind, &plan.scenario_sha256));
    }
}

/// Gives each plan of a backup that was there already the rows of the last proven drill of its source, as `counted` knows them.
/// What comes by standard input may be of any database: it is held against anything only where that is asked for.
pub fn hold_against(cells: &mut [Cell<'_>], counted: impl Fn(&str) -> Option<Before>) {
    for cell in cells {
        let (Ok(plan), Some(given)) = (&mut cell.plan, cell.scenario.given()) else { continue };
        let source = given.source();
        if let Some(drift) = &mut plan.drift
            && (source != spooled::NAME || drift.at_most_percent.is_some())
        {
            drift.before = counted(&source);
        }
    }
}

/// Each scenario in each of these sizes; as they are where none is named.
///
/// # Errors
///
/// A scenario that cannot have the WAL that is asked for.
pub fn sized(scenarios: Vec<Scenario>, orders: &[u64], wal: &[u64]) -> Result<Vec<Scenario>, String> {
    let scaled = |scenario: Scenario| match orders {
        [] => vec![scenario],
        orders => orders.iter().map(|orders| scenario.clone().of_orders(*orders)).collect(),
    };
    let with_wal = |scenario: Scenario| match wal {
        [] => Ok(vec![scenario]),
        wal => wal
            .iter()
            .map(|bytes| {
                let id = scenario.id.clone();
                scenario
                    .clone()
                    .of_wal(*bytes)
                    .map_err(|why| format!("{id} cannot have another amount of WAL: {why}"))
            })
            .collect::<Result<Vec<_>, _>>(),
    };
    let all: Result<Vec<_>, _> = scenarios.into_iter().flat_map(scaled).map(with_wal).collect();
    Ok(all?.into_iter().flatten().collect())
}

/// The majors to run a scenario on: those that were asked for and make sense; when none was asked for, the newest
/// that is there and makes sense.
fn majors(scenario: &Scenario, asked: &[Major], there: &[Major]) -> Vec<Major> {
    let mut sensible: Vec<Major> = Vec::new();
    for major in asked.iter().copied().filter(|major| scenario.postgres.contains(*major)) {
        // A major that is asked for twice is run once.
        if !sensible.contains(&major) {
            sensible.push(major);
        }
    }
    if !sensible.is_empty() {
        return sensible;
    }
    if let Some(first) = asked.first() {
        // None makes sense: one record says so.
        return vec![*first];
    }
    let newest = there.iter().rev().copied().find(|major| scenario.postgres.contains(*major));
    vec![newest.unwrap_or_else(|| scenario.postgres.to.unwrap_or(NEWEST_KNOWN))]
}

/// What would be done, in words.
pub fn plans(cells: &[Cell<'_>]) -> String {
    let mut text = String::new();
    for cell in cells {
        let _ =
            writeln!(text, "{} on PostgreSQL {}: {}", cell.scenario.id, cell.postgres, cell.scenario.title);
        match &cell.plan {
            Ok(plan) => {
                let _ = writeln!(text, "  seed {}, {} runtime", plan.seed, plan.runtime);
                for (index, step) in plan.outline().iter().enumerate() {
                    let line = step.line.map_or("-".to_owned(), |line| format!("line {line}"));
                    let _ = writeln!(text, "  {:>2}  {line:<8} {:<15} {}", index + 1, step.name, step.does);
                }
                let _ =
                    writeln!(text, "      teardown: stop the servers, remove the workspace, seal the record");
                for query in &plan.queries {
                    let _ = writeln!(text, "      queries: {query}");
                }
                if plan.rto.is_some() {
                    let _ = writeln!(
                        text,
                        "      drills with a recovery time objective run alone, whatever --jobs says"
                    );
                }
            }
            Err(unable) => {
                let _ = writeln!(text, "  cannot be run: {unable}");
            }
        }
    }
    text
}

/// The scenarios, a line each.
pub fn list(scenarios: &[Scenario]) -> String {
    let longest = scenarios.iter().map(|scenario| scenario.id.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for scenario in scenarios {
        let range = scenario.postgres.to_string();
        let _ = writeln!(text, "{:<longest$}  {range:<10}  {}", scenario.id, scenario.title);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::scenario::parse;
    use rstest::rstest;

    fn scenario(range: &str) -> Scenario {
        let text = format!(
            "title: t\npostgres: '{range}'\nsteps:\n  - backup\n  - disaster: kill\n  - recover: {{}}\n  - check: all\n"
        );
        parse("t", "t.yaml", &text).unwrap()
    }

    #[rstest]
    #[case(">=13", &[], &[13, 15], &[15])]
    #[case("<15", &[], &[13, 15], &[13])]
    #[case(">=16", &[], &[13, 15], &[18])]
    #[case("<15", &[], &[15], &[14])]
    #[case(">=13", &[15, 99], &[15], &[15, 99])]
    #[case(">=13", &[15, 13, 15], &[15], &[15, 13])]
    #[case(">=15", &[13, 15], &[15], &[15])]
    #[case(">=15", &[13], &[15], &[13])]
    fn which_majors(
        #[case] range: &str,
        #[case] asked: &[u16],
        #[case] there: &[u16],
        #[case] expected: &[u16],
    ) {
        let majors_of = |numbers: &[u16]| -> Vec<Major> { numbers.iter().map(|n| Major(*n)).collect() };
        assert_eq!(majors(&scenario(range), &majors_of(asked), &majors_of(there)), majors_of(expected));
    }
}
