//! Queries of the user's own: what a scenario, or a file of them, means, when they are asked, and what its mistakes are told as.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use pgdrill_model::check::Check;
use pgdrill_model::plan::{Act, Plan, compile};
use pgdrill_model::query::{Expected, Query};
use pgdrill_model::scenario::{Scenario, parse, parse_queries};
use pgdrill_model::units::Major;
use rstest::rstest;

const LIST: &str = "
- name: ' accounts '
  query: SELECT count(*) FROM accounts
  expect: 42
- { name: balance, query: SELECT sum(b) FROM accounts, expect: { at-least: -1_000, at-most: 9223372036854775808.50 },
    database: bank, role: 'An \"auditor\"', within: 5m }
- { name: orphans, query: SELECT 1 FROM orphans, expect: { rows: 0 } }
- { name: recent, query: 'SELECT 1;', expect: { rows: { at-least: 1_000 } } }
";

const QUERIES: &str = "queries: [{ name: one, query: SELECT 1, expect: 1 }]\n";

fn scenario(steps: &str) -> Scenario {
    let text = format!("title: t\nsteps:\n  - backup\n  - disaster: lose-primary\n  - recover\n{steps}");
    parse("t", "t.yaml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn plan(steps: &str) -> Plan {
    compile(&scenario(steps), Major(17), "local", None).unwrap()
}

#[test]
fn a_list_means_the_same_in_a_scenario_and_in_a_file_of_its_own() {
    let queries = parse_queries("q.yaml", LIST).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let below: String = LIST.lines().map(|line| format!("  {line}\n")).collect();
    assert_eq!(scenario(&format!("queries:\n{below}")).queries, queries);
    let plain = |name: &str, sql: &str, expected: Expected| Query {
        name: name.to_owned(),
        sql: sql.to_owned(),
        expected,
        database: None,
        role: None,
        within: Duration::from_secs(60),
    };
    let number = |text: &str| Some(text.parse().unwrap());
    let bounds = Expected::Number { at_least: number("-1000"), at_most: number("9223372036854775808.5") };
    assert_eq!(
        queries,
        [
            plain("accounts", "SELECT count(*) FROM accounts", Expected::Value("42".to_owned())),
            Query {
                database: Some("bank".to_owned()),
                role: Some("An \"auditor\"".to_owned()),
                within: Duration::from_secs(300),
                ..plain("balance", "SELECT sum(b) FROM accounts", bounds)
            },
            plain("orphans", "SELECT 1 FROM orphans", Expected::Rows { at_least: 0, at_most: Some(0) }),
            plain("recent", "SELECT 1;", Expected::Rows { at_least: 1_000, at_most: None }),
        ]
    );
    assert_eq!(
        queries[1].to_string(),
        "balance: SELECT sum(b) FROM accounts; -1000 to 9223372036854775808.5 is expected within 5 min 00 s, in bank, as An \"auditor\""
    );
}

#[test]
fn they_are_asked_where_every_check_is_made_and_missed_nowhere_else() {
    let with_it = |mut checks: Vec<Check>| {
        checks.push(Check::Queries);
        checks
    };
    for steps in ["", "  - check\n", "  - check: all\n"] {
        let asked = plan(&format!("{steps}{QUERIES}"));
        assert_eq!(asked.checks(), with_it(Check::all_of(false)));
        assert_eq!(asked.queries.len(), 1);
        assert_eq!(plan(steps).checks(), Check::all_of(false));
    }
    let named = plan(&format!("  - check: {{ queries: all, row-counts: all }}\n{QUERIES}"));
    assert_eq!(named.checks(), [Check::RowCounts, Check::Queries]);
    let text = format!("title: t\nsteps:\n  - backup: {{ from: {{ path: /b }} }}\n  - recover\n{QUERIES}");
    let given = compile(&parse("t", "t.yaml", &text).unwrap(), Major(17), "local", None).unwrap();
    assert_eq!(given.checks(), with_it(Check::all_of_given(false)));
    // A server that is recovered again is asked again.
    let twice =
        plan(&format!("  - check: {{ queries: all }}\n  - disaster: lose-primary\n  - recover\n{QUERIES}"));
    let asks = |step: &&pgdrill_model::plan::Planned| matches!(&step.act, Act::Check { checks, .. } if checks.contains(&Check::Queries));
    assert_eq!(twice.steps.iter().filter(asks).count(), 2);
}

#[rstest]
#[case::nothing(
    "# nothing\n",
    "`queries` must be a list, each entry of which starts with '- '; found nothing"
)]
#[case::empty("[]", "`queries` asks nothing")]
#[case::a_scenario("title: t\n", "must be a list, each entry of which starts with '- '; found a mapping")]
#[case::unknown_key(
    "- { name: a, query: SELECT 1, expect: 1, user: x }",
    "unknown key 'user' in entry 1 of queries"
)]
#[case::no_yaml("- { name: a", "q.yaml:1:")]
#[case::second(
    "- { name: a, query: SELECT 1, expect: 1 }\n- { name: a, query: SELECT 1, expect: 2 }",
    "q.yaml:2:11"
)]
fn the_mistakes_of_a_file_are_shown_with_their_place(#[case] text: &str, #[case] words: &str) {
    let mistakes = parse_queries("q.yaml", text).unwrap_err().to_string();
    assert!(mistakes.contains(words), "{mistakes}");
    assert!(mistakes.contains("^") && mistakes.contains("--> q.yaml:"), "{mistakes}");
}
