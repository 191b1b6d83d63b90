//! What a scenario of points in time is compiled to: where content is captured, on which server each step runs, what is
//! checked of which server, and from which backups a recovery may begin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_model::check::Check;
use pgdrill_model::plan::{Act, Plan, Recovery, Server, compile};
use pgdrill_model::scenario::{RecoverBy, parse};
use pgdrill_model::units::Major;
use rstest::rstest;

mod dumps;
mod runbook;
mod tools;

/// The plan of these steps, one in a line.
fn plan(steps: &str) -> Plan {
    let list: String = steps.trim().lines().map(|step| format!("  - {}\n", step.trim())).collect();
    let text = format!("title: t\nsteps:\n{list}");
    let scenario = parse("a", "a.yaml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    compile(&scenario, Major(17), "local", None).unwrap()
}

/// The server that a step is about.
fn server(act: &Act) -> Option<Server> {
    match act {
        Act::Backup { on, .. }
        | Act::Sql { on, .. }
        | Act::Work { on, .. }
        | Act::Mark { on, .. }
        | Act::Crash { on, .. }
        | Act::SwitchWal { on, .. }
        | Act::Capture { on, .. }
        | Act::Watch { on, .. }
        | Act::Disaster { on, .. }
        | Act::StartApplication { on, .. }
        | Act::Triage { of: on, .. }
        | Act::Fault { on, .. } => Some(*on),
        Act::Check { of, .. } | Act::SafetyCopy { of, .. } | Act::AsWritten { of, .. } => Some(*of),
        Act::Rollback { to, .. } | Act::Failover { to, .. } => Some(*to),
        Act::Recover(recovery) => Some(recovery.server),
        Act::CreateCluster(_)
        | Act::LoadData(_)
        | Act::Given { .. }
        | Act::CreateStandby { .. }
        | Act::StopWork
        | Act::StopApplication(_)
        | Act::Alert { .. }
        | Act::BareRecovery { .. }
        | Act::Repeat(_)
        | Act::Mutants(_)
        | Act::Sweep { .. } => None,
    }
}

/// The names of the steps behind those that every drill begins with.
fn names(steps: &str) -> Vec<&'static str> {
    let plan = plan(steps);
    assert_eq!((plan.steps[0].act.name(), plan.steps[1].act.name()), ("create-cluster", "load-data"));
    plan.steps[2..].iter().map(|step| step.act.name()).collect()
}

/// The same, each with its server.
fn placed(steps: &str) -> Vec<String> {
    plan(steps).steps[2..]
        .iter()
        .map(|step| match server(&step.act) {
            Some(server) => format!("{} {}", step.act.name(), server.name()),
            None => step.act.name().to_owned(),
        })
        .collect()
}

fn recoveries(steps: &str) -> Vec<Recovery> {
    let acts = plan(steps).steps.into_iter().map(|step| step.act);
    acts.filter_map(|act| if let Act::Recover(recovery) = act { Some(recovery) } else { None }).collect()
}

#[test]
fn of_a_backup_that_is_there_already_there_is_no_primary_and_every_check_is_made_that_needs_none() {
    let plan = plan(
        "
        backup: { from: { path: /b, wal: [/a] } }
        recover",
    );
    let names: Vec<&str> = plan.steps.iter().map(|step| step.act.name()).collect();
    assert_eq!(names, ["backup", "recover", "check"]);
    assert_eq!(plan.checks(), Check::all_of_given(false));
    assert!(plan.steps[0].act.to_string().contains("in /b"), "{}", plan.steps[0].act);
    let Act::Recover(recovery) = &plan.steps[1].act else { panic!() };
    assert_eq!((recovery.given, recovery.by), (true, Some(RecoverBy::Native)));
    assert_eq!(plan.given().unwrap().wal, [std::path::PathBuf::from("/a")]);
}

#[test]
fn content_is_captured_before_writers_begin_and_not_again_where_the_ledger_tells_what_changed() {
    let steps = "
        backup
        work: { for: 1s }
        work: { for: 1s }
        mark: here
        disaster: lose-primary
        recover: { to: here }";
    assert_eq!(
        names(steps),
        ["backup", "capture", "work", "work", "mark", "capture", "disaster", "recover", "check"]
    );
}

#[test]
fn content_is_captured_again_before_writers_that_begin_after_sql() {
    let steps = "
        backup
        work: { for: 1s }
        sql: SELECT 1
        sql: SELECT 2
        work: { for: 1s }
        disaster: kill
        recover";
    let wanted = [
        "backup", "capture", "work", "sql", "sql", "capture", "work", "capture", "disaster", "recover",
        "check",
    ];
    assert_eq!(names(steps), wanted);
}

#[test]
fn content_is_captured_before_a_mark_that_stands_below_sql_and_not_before_one_that_does_not() {
    let steps = "
        backup
        mark: one
        mark: two
        sql: SELECT 1
        switch-wal
        mark: three
        disaster: kill
        recover: { to: three }";
    let wanted = [
        "backup",
        "capture",
        "mark",
        "mark",
        "sql",
        "switch-wal",
        "capture",
        "mark",
        "capture",
        "disaster",
        "recover",
        "check",
    ];
    assert_eq!(names(steps), wanted);
}

#[rstest]
#[case::immediate("recover: { to: immediate }", true)]
#[case::latest("recover", false)]
#[case::position("recover: { to: { lsn: 0/3000060 } }", false)]
fn content_is_captured_before_a_backup_only_where_a_recovery_ends_with_it(
    #[case] recover: &str,
    #[case] captured: bool,
) {
    let names = names(&format!("sql: SELECT 1\nbackup\ndisaster: kill\n{recover}"));
    let wanted: &[&str] = if captured {
        &["sql", "capture", "backup", "capture", "disaster", "recover", "check"]
    } else {
        &["sql", "backup", "capture", "disaster", "recover", "check"]
    };
    assert_eq!(names, wanted);
}

#[rstest]
#[case("kill")]
#[case("lose-primary")]
#[case("lose-data-keep-wal")]
#[case("{ bad-sql: DELETE FROM \"AuditLog\" }")]
fn content_is_captured_before_every_disaster_that_ends_the_server(#[case] disaster: &str) {
    let names = names(&format!("backup\nwork: {{ for: 1s }}\ndisaster: {disaster}\nrecover"));
    assert_eq!(names, ["backup", "capture", "work", "capture", "disaster", "recover", "check"]);
}

#[test]
fn nothing_is_captured_when_archiving_stops_for_the_server_goes_on() {
    let names = names("backup\ndisaster: archive-stops\nsql: SELECT 1\ndisaster: kill\nrecover");
    assert_eq!(names, ["backup", "disaster", "sql", "capture", "disaster", "recover", "check"]);
}

#[test]
fn nothing_is_captured_while_writers_go_on_behind() {
    let steps = "
        sql: SELECT 1
        work: { behind: on }
        backup
        mark: here
        crash
        switch-wal
        disaster: lose-primary
        recover: { to: immediate }";
    let wanted =
        ["sql", "capture", "work", "backup", "mark", "crash", "switch-wal", "disaster", "recover", "check"];
    assert_eq!(names(steps), wanted);
}

#[test]
fn content_is_captured_again_once_writers_behind_are_stopped() {
    let steps = "
        backup
        work: { behind: on }
        mark: one
        work: stop
        sql: SELECT 1
        mark: two
        disaster: lose-primary
        recover: { to: two }";
    let wanted = [
        "backup",
        "capture",
        "work",
        "mark",
        "stop-work",
        "sql",
        "capture",
        "mark",
        "capture",
        "disaster",
        "recover",
        "check",
    ];
    assert_eq!(names(steps), wanted);
}

#[test]
fn each_step_is_made_of_the_server_that_is_there() {
    let steps = "
        backup
        sql: SELECT 1
        work: { for: 1s }
        mark: one
        crash
        switch-wal
        disaster: kill
        recover: { to: one }
        check: { row-counts: all }
        backup
        sql: SELECT 1
        work: { for: 1s }
        mark: two
        crash
        switch-wal
        disaster: archive-stops
        disaster: lose-primary
        recover: { to: two }
        sql: SELECT 1
        check: { row-counts: all }";
    let on =
        |server: &str, acts: &[&str]| acts.iter().map(|act| format!("{act} {server}")).collect::<Vec<_>>();
    let wanted = [
        on(
            "primary",
            &["backup", "sql", "capture", "work", "mark", "crash", "switch-wal", "capture", "disaster"],
        ),
        on(
            "restored",
            &["recover", "check", "backup", "sql", "capture", "work", "mark", "crash", "switch-wal"],
        ),
        on("restored", &["disaster", "capture", "disaster"]),
        on("restored-2", &["recover", "sql", "check"]),
    ]
    .concat();
    assert_eq!(placed(steps), wanted);
}

#[test]
fn a_recovered_server_serves_where_it_is_lost_again_and_only_there() {
    let steps = "
        backup
        disaster: kill
        recover
        disaster: archive-stops
        disaster: { bad-sql: SELECT 1 }
        recover
        disaster: lose-data-keep-wal
        recover";
    let serves: Vec<(Server, bool)> =
        recoveries(steps).iter().map(|recovery| (recovery.server, recovery.serves)).collect();
    let wanted = [(Server::Restored(1), true), (Server::Restored(2), true), (Server::Restored(3), false)];
    assert_eq!(serves, wanted);
}

/// Of which server which checks are made.
fn checked(plan: &Plan) -> Vec<(Server, Vec<Check>)> {
    let acts = plan.steps.iter().map(|step| &step.act);
    acts.filter_map(
        |act| if let Act::Check { checks, of } = act { Some((*of, checks.clone())) } else { None },
    )
    .collect()
}

/// What each capture measures.
fn measured(plan: &Plan) -> Vec<Vec<Check>> {
    let acts = plan.steps.iter().map(|step| &step.act);
    acts.filter_map(|act| if let Act::Capture { checks, .. } = act { Some(checks.clone()) } else { None })
        .collect()
}

#[test]
fn every_capture_measures_what_the_checks_of_all_recoveries_need() {
    let plan = plan(
        "backup
        disaster: kill
        recover
        check: { conservation: all, row-counts: all }
        disaster: kill
        recover
        check: { catalog: all, row-counts: all }",
    );
    let wanted = [
        (Server::Restored(1), vec![Check::RowCounts, Check::Conservation]),
        (Server::Restored(2), vec![Check::RowCounts, Check::Catalog]),
    ];
    assert_eq!(checked(&plan), wanted);
    let all = vec![Check::RowCounts, Check::Catalog, Check::Conservation];
    assert_eq!(measured(&plan), [all.clone(), all]);
}

#[test]
fn a_last_recovery_that_no_step_checks_is_checked_by_everything_also_where_the_first_was_by_little() {
    let plan = plan(
        "backup
        work: { for: 1s }
        disaster: kill
        recover
        check: { row-counts: all }
        disaster: kill
        recover",
    );
    let all = Check::all_of(true);
    assert!(all.contains(&Check::Ledger));
    let wanted = [(Server::Restored(1), vec![Check::RowCounts]), (Server::Restored(2), all.clone())];
    assert_eq!(checked(&plan), wanted);
    assert!(measured(&plan).iter().all(|checks| *checks == all));
    assert_eq!(plan.steps.last().unwrap().line, None);
}

#[test]
fn a_recovery_that_is_lost_unchecked_is_left_to_the_next() {
    let plan = plan("backup\ndisaster: kill\nrecover\ndisaster: kill\nrecover\ncheck");
    assert_eq!(checked(&plan), [(Server::Restored(2), Check::all_of(false))]);
}

#[test]
fn a_sweep_is_given_every_backup_and_is_its_own_check() {
    let plan = plan("backup\nbackup: { incremental: on }\nbackup\ndisaster: kill\nsweep: { targets: 7 }");
    let Act::Sweep { sweep, backups } = &plan.steps.last().unwrap().act else { panic!("{:?}", plan.steps) };
    let chains: Vec<Vec<&str>> =
        backups.iter().map(|chain| chain.iter().map(|member| member.name.as_str()).collect()).collect();
    assert_eq!(chains, [vec!["backup-1"], vec!["backup-1", "backup-2"], vec!["backup-3"]]);
    assert_eq!((sweep.targets, sweep.repeat), (7, 3));
    assert!(plan.checks().is_empty());
}

#[test]
fn a_recovery_beside_a_sweep_is_checked_by_everything() {
    let plan = plan("backup\ndisaster: kill\nsweep\nrecover");
    assert_eq!(checked(&plan), [(Server::Restored(1), Check::all_of(false))]);
}

/// A drill with backups 1 and 2, the marks `between` them and `below` them, and one recovery.
#[rstest]
#[case::the_end("{}", &[2])]
#[case::the_end_of_the_newest("{ to: immediate }", &[2])]
#[case::the_end_of_the_backups_own_timeline("{ timeline: current }", &[2])]
#[case::the_end_of_a_timeline_that_the_newest_may_not_be_on("{ timeline: 1 }", &[1, 2])]
#[case::the_end_of_a_backup_on_a_timeline("{ to: immediate, timeline: 1 }", &[1, 2])]
#[case::a_mark_above_the_newest("{ to: between }", &[1])]
#[case::a_mark_by_its_time("{ to: { mark: between, by: time } }", &[1])]
#[case::a_mark_below_both("{ to: below }", &[1, 2])]
#[case::a_time("{ to: { time: '2026-03-01 04:05:06+00:00' } }", &[1, 2])]
#[case::a_transaction("{ to: { xid: 745 } }", &[1, 2])]
#[case::a_position("{ to: { lsn: 0/3000060 } }", &[1, 2])]
#[case::a_restore_point("{ to: { name: release } }", &[1, 2])]
fn a_recovery_may_begin_from_what_can_end_before_its_target(#[case] recover: &str, #[case] backups: &[u8]) {
    let steps = format!("backup\nmark: between\nbackup\nmark: below\ndisaster: kill\nrecover: {recover}");
    assert_eq!(origins(&steps), [backups]);
}

/// From which backups each recovery may begin.
fn origins(steps: &str) -> Vec<Vec<u8>> {
    let number = |name: &str| name.strip_prefix("backup-").unwrap().parse().unwrap();
    let of = |recovery: &Recovery| {
        recovery.backups.iter().map(|chain| number(&chain[chain.len() - 1].name)).collect()
    };
    recoveries(steps).iter().map(of).collect()
}

/// Backups 1 and 2 with a mark between them, a first recovery, perhaps a backup of what it brought, and a second.
#[rstest]
#[case::it_went_on_from_the_newest("{}", "", "{}", &[2])]
#[case::it_went_to_a_mark_below_the_newest("{ to: below }", "", "{}", &[2])]
#[case::it_went_back_before_the_newest("{ to: between }", "", "{}", &[1, 2])]
#[case::nobody_knows_whether_it_did("{ to: { xid: 745 } }", "", "{ to: immediate }", &[1, 2])]
#[case::it_went_along_an_older_timeline("{ timeline: 1 }", "", "{}", &[1, 2])]
#[case::the_new_branch_has_a_backup_of_its_own("{ to: between }", "backup", "{}", &[3])]
fn the_end_of_a_branch_that_left_the_newest_backup_behind_is_reached_from_an_older_one(
    #[case] first: &str,
    #[case] then: &str,
    #[case] second: &str,
    #[case] backups: &[u8],
) {
    let steps = format!(
        "backup\nmark: between\nbackup\nmark: below\ndisaster: kill\nrecover: {first}\n{then}\ndisaster: kill\nrecover: {second}"
    );
    let steps = steps.replace("\n\n", "\n");
    assert_eq!(origins(&steps)[1], backups);
}

/// What the plan says of its last recovery.
fn shown(steps: &str) -> String {
    let outline = plan(steps).outline();
    outline.into_iter().rfind(|step| step.name == "recover").unwrap().does
}

#[rstest]
#[case(
    "{ to: below }",
    "unpack the newest of backup-1, backup-2 that ends before the target, replay to mark below on"
)]
#[case(
    "{ timeline: 1 }",
    "unpack the newest of backup-1, backup-2 that lies on the way, replay the archive to its end on"
)]
#[case(
    "{ to: immediate, timeline: 1 }",
    "unpack the newest of backup-1, backup-2 that lies on the way, replay to immediate on"
)]
#[case("{}", "unpack backup/backup-2 by tar, replay the archive to its end on")]
fn the_plan_says_which_of_several_backups_is_taken(#[case] recover: &str, #[case] words: &str) {
    let does = shown(&format!("backup\nbackup\nmark: below\ndisaster: kill\nrecover: {recover}"));
    assert!(does.starts_with(words), "{does}");
}

#[test]
fn the_plan_says_of_a_recovered_server_that_is_lost_again_that_it_archives() {
    let once = "backup\ndisaster: kill\nrecover\ndisaster: kill";
    assert!(shown(&format!("{once}\nrecover")).ends_with("within 10 min 00 s"));
    let outline = plan(&format!("{once}\nrecover")).outline();
    let first = outline.iter().find(|step| step.name == "recover").unwrap();
    assert!(first.does.ends_with("; then it archives as the primary did"), "{}", first.does);
}

#[test]
fn a_step_of_the_runbook_has_its_server_the_newest_backup_and_the_last_mark() {
    let steps = "
        backup
        mark: early
        as-written: tar-where-a-cluster-should-be
        sql: DELETE FROM \"Order\"
        backup
        mark: late
        disaster: kill
        as-written: { is: pauses-at-the-target, corrected: on }
        recover: { to: late }";
    let plan = plan(steps);
    let of = |act: &Act| match act {
        Act::AsWritten { step, of, backup, mark } => {
            Some((step.corrected, *of, backup.clone().unwrap(), mark.clone().unwrap()))
        }
        _ => None,
    };
    let found: Vec<_> = plan.steps.iter().filter_map(|planned| of(&planned.act)).collect();
    let expected = [
        (false, Server::Primary, "backup-1".to_owned(), "early".to_owned()),
        (true, Server::Primary, "backup-2".to_owned(), "late".to_owned()),
    ];
    assert_eq!(found, expected);
    // What a step beside the live server must hold is known by then.
    let at = |name: &str| plan.steps.iter().position(|planned| planned.act.name() == name).unwrap();
    assert!(at("capture") < at("as-written"));
}
