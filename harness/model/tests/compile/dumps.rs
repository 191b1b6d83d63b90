//! Drills of dumps: what is captured when, from where they recover, and what is made of them.

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::fault::Fault;
use pgdrill_model::plan::{Act, Plan, add_mutants, compile};
use pgdrill_model::scenario::parse;
use pgdrill_model::units::Major;

fn plan(steps: &str) -> Plan {
    let text = format!("title: t\nsteps:\n{steps}");
    let scenario = parse("a", "a.yaml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    compile(&scenario, Major(17), "local", None).unwrap()
}

fn names(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.act.name()).skip(2).collect()
}

/// What the server holds at its end comes from nowhere, so nobody needs to know it.
#[test]
fn what_a_dump_holds_is_captured_before_it_and_nothing_else_is() {
    let plan = plan(
        "  - work: { transactions: 5 }\n  - backup: { tool: pg_dump }\n  - mark: m\n  - work: { transactions: 5 }\n  \
         - backup: { tool: pg_dump, format: plain }\n  - work: { transactions: 5 }\n  - disaster: kill\n  - safety-copy\n  - recover\n  \
         - rollback\n",
    );
    assert_eq!(
        names(&plan),
        [
            "work",
            "capture",
            "backup",
            "mark",
            "work",
            "capture",
            "backup",
            "work",
            "disaster",
            "safety-copy",
            "recover",
            "check",
            "rollback"
        ]
    );
    assert_eq!(plan.checks(), Check::all_of_dump(true));
    let Some(Act::Recover(recovery)) =
        plan.steps.iter().map(|step| &step.act).find(|act| act.name() == "recover")
    else {
        panic!()
    };
    let from: Vec<&str> = recovery.backups.iter().map(|chain| chain[0].name.as_str()).collect();
    assert_eq!(from, ["backup-2"]);
    let quiet = |act: &Act| matches!(act, Act::Rollback { quiet: true, .. });
    assert!(!plan.steps.iter().any(|step| quiet(&step.act)), "nothing says what the lost server held");
}

#[test]
fn a_plan_says_how_a_dump_is_taken_and_loaded() {
    let shown = |how: &str| {
        let plan =
            plan(&format!("  - backup: {{ tool: pg_dump{how} }}\n  - disaster: lose-primary\n  - recover\n"));
        let says = |name: &str| {
            plan.steps.iter().map(|step| &step.act).find(|act| act.name() == name).unwrap().to_string()
        };
        [says("backup"), says("recover")]
    };
    assert_eq!(
        shown(", format: directory, compress: 'zstd:3', jobs: 4"),
        [
            "pg_dump of each database (directory, zstd at level=3, 4 connections), pg_dumpall of the globals, into backup/backup-1",
            "initdb, load backup/backup-1 by pg_restore, the roles first, to the moment of the dump, first write as trading_app; \
             within 10 min 00 s"
        ]
    );
    assert!(shown(", format: plain")[1].contains(" by psql, "));
}

#[test]
fn what_makes_damages_of_a_dump_are_those_of_dumps() {
    let text = "title: t\nsteps:\n  - backup: { tool: pg_dump }\n  - mark: m\n  - disaster: lose-primary\n  - recover\n";
    let scenario = parse("a", "a.yaml", text).unwrap();
    let mut plan = compile(&scenario, Major(15), "local", None).unwrap();
    add_mutants(&mut plan, &scenario).unwrap();
    assert_eq!(plan.mutants(), [Fault::DumpBitFlip, Fault::DumpTruncated]);
    // PostgreSQL alone could not stop at the mark either, with whatever is wrong.
    let text = text.replace("  - recover\n", "  - fault: dump-truncated\n  - recover\n");
    let plan = compile(&parse("a", "a.yaml", &text).unwrap(), Major(15), "local", None).unwrap();
    assert_eq!(names(&plan).last(), Some(&"check"));
}

#[test]
fn lz4_and_zstandard_of_dumps_are_for_later_majors() {
    let text = "title: t\nsteps:\n  - backup: { tool: pg_dump, compress: lz4 }\n  - disaster: lose-primary\n  - recover\n";
    let scenario = parse("a", "a.yaml", text).unwrap();
    assert!(compile(&scenario, Major(16), "local", None).is_ok());
    let unable = compile(&scenario, Major(15), "local", None).unwrap_err();
    assert_eq!(unable.code, Code::MajorOutOfRange);
    assert_eq!(
        unable.message,
        "a, line 3: `compress: lz4` of a dump needs PostgreSQL 16 or later, and 15 was asked for"
    );
}
