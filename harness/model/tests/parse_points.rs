//! What the language of points in time means: every key with every form in which it may be written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use pgdrill_model::scenario::{
    Action, Application, Archive, ArchiveBy, Crash, Disaster, MarkBy, OwnApplication, Point, Recover,
    RecoverFrom, Rpo, Scenario, Step, Sweep, SynchronousCommit, Target, Timeline, Triage, Work, WorkUntil,
    parse, schema,
};
use pgdrill_model::units::Lsn;
use rstest::rstest;

const SECOND: Duration = Duration::from_secs(1);

/// What the text means. An editor that goes by the schema must not complain of it either.
fn good(text: &str) -> Scenario {
    let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let complaints: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(complaints.is_empty(), "{text}: {complaints:#?}");
    parse("a/b", "a/b.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// A drill with this step above its disaster.
fn step(step: &str) -> Step {
    let text = format!("title: t\nsteps:\n  - backup\n  - {step}\n  - disaster: kill\n  - recover\n");
    good(&text).steps.swap_remove(1).what
}

/// The recovery of a drill with the mark `here`.
fn recover(arguments: &str) -> Recover {
    let text = format!(
        "title: t\nsteps:\n  - backup\n  - mark: here\n  - disaster: kill\n  - recover: {arguments}\n"
    );
    let Step::Recover(recover) = good(&text).steps.swap_remove(3).what else { panic!("{text}") };
    recover
}

fn marked(by: MarkBy, inclusive: bool) -> Target {
    Target { at: Point::Mark("here".to_owned(), by), inclusive }
}

#[rstest]
#[case::left_out("{}", Target::LATEST)]
#[case::latest("{ to: latest }", Target::LATEST)]
#[case::immediate("{ to: immediate }", Target { at: Point::Immediate, inclusive: true })]
#[case::mark("{ to: here }", marked(MarkBy::Name, true))]
#[case::mapping("{ to: { mark: here } }", marked(MarkBy::Name, true))]
#[case::by_name("{ to: { mark: here, by: name } }", marked(MarkBy::Name, true))]
#[case::by_time("{ to: { mark: here, by: time } }", marked(MarkBy::Time, true))]
#[case::by_xid("{ to: { mark: here, by: xid } }", marked(MarkBy::Xid, true))]
#[case::before_its_xid("{ to: { mark: here, by: xid, exclusive: on } }", marked(MarkBy::Xid, false))]
#[case::before_its_time("{ to: { exclusive: true, by: time, mark: here } }", marked(MarkBy::Time, false))]
#[case::its_position_is_exclusive("{ to: { mark: here, by: lsn } }", marked(MarkBy::Lsn, false))]
#[case::its_position_included("{ to: { mark: here, by: lsn, exclusive: off } }", marked(MarkBy::Lsn, true))]
fn where_a_recovery_stops(#[case] arguments: &str, #[case] target: Target) {
    assert_eq!(recover(arguments).to, target);
}

#[test]
fn an_application_is_the_stand_in_or_somebodys_own() {
    let text = |application: &str| {
        format!(
            "title: t\n{application}steps:\n  - application: start\n  - backup\n  - triage: {{ within: 5s }}\n  - application: stop\n  \
             - disaster: kill\n  - recover\n  - application: start\nobjectives: {{ outage: 1m }}\n"
        )
    };
    let scenario = good(&text(""));
    assert_eq!(scenario.application, Application::default());
    assert_eq!(scenario.objectives.outage, Some(60 * SECOND));
    let steps: Vec<Step> = scenario.steps.into_iter().map(|step| step.what).collect();
    assert_eq!((&steps[0], &steps[3]), (&Step::StartApplication, &Step::StopApplication));
    assert_eq!(steps[2], Step::Triage(Triage { within: 5 * SECOND }));
    let own = "application: { start: ./up, stop: ./down, health: ['https://a:1/h?x#y'], within: 2s }\n";
    let expected = OwnApplication {
        start: "./up".to_owned(),
        stop: "./down".to_owned(),
        health: vec!["https://a:1/h?x#y".to_owned()],
    };
    let expected = Application { own: Some(expected), within: 2 * SECOND };
    assert_eq!(good(&text(own)).application, expected);
}

#[rstest]
#[case::left_out("{}", RecoverFrom::Newest)]
#[case::newest("{ from: newest }", RecoverFrom::Newest)]
#[case::last_good("{ from: last-good, to: here }", RecoverFrom::LastGood)]
#[case::last_proven("{ from: last-proven, to: here }", RecoverFrom::LastProven)]
fn from_which_backup(#[case] arguments: &str, #[case] from: RecoverFrom) {
    assert_eq!(recover(arguments).from, from);
}

#[rstest]
#[case("{ lsn: 0/3000060 }", Point::Lsn(Lsn(0x300_0060)), true)]
#[case("{ lsn: '1/0' }", Point::Lsn(Lsn(1 << 32)), true)]
#[case("{ lsn: 1F/00ab00FF, exclusive: on }", Point::Lsn(Lsn(0x1F_00AB_00FF)), false)]
#[case("{ lsn: 0/1, exclusive: off }", Point::Lsn(Lsn(1)), true)]
#[case("{ xid: 745 }", Point::Xid(745), true)]
#[case("{ xid: '3' }", Point::Xid(3), true)]
#[case("{ xid: 4_294_967_295, exclusive: on }", Point::Xid(u32::MAX), false)]
#[case("{ name: release-2 }", Point::Name("release-2".to_owned()), true)]
#[case("{ name: 'Before the Release, part 2 (Größe)' }", Point::Name("Before the Release, part 2 (Größe)".to_owned()), true)]
#[case("{ name: latest }", Point::Name("latest".to_owned()), true)]
#[case("{ time: '2026-03-01 04:05:06+00:00', exclusive: on }", Point::Time(1_772_337_906_000_000), false)]
fn a_target_that_no_mark_gives(#[case] to: &str, #[case] at: Point, #[case] inclusive: bool) {
    assert_eq!(recover(&format!("{{ to: {to} }}")).to, Target { at, inclusive });
}

#[test]
fn the_longest_name_of_a_restore_point_has_63_bytes() {
    let name = "n".repeat(63);
    assert_eq!(recover(&format!("{{ to: {{ name: {name} }} }}")).to.at, Point::Name(name));
}

#[rstest]
#[case("2026-03-01 04:05:06.789012+00:00", 1_772_337_906_789_012)]
#[case("2026-03-01 04:05:06.789012+00", 1_772_337_906_789_012)]
#[case("2026-03-01T04:05:06.789012Z", 1_772_337_906_789_012)]
#[case("2026-03-01t04:05:06.789012z", 1_772_337_906_789_012)]
#[case("2026-03-01 04:05:06.7+00:00", 1_772_337_906_700_000)]
#[case(" 2026-03-01 04:05:06+00:00 ", 1_772_337_906_000_000)]
#[case("2026-03-01 05:05:06+01:00", 1_772_337_906_000_000)]
#[case("2026-03-01 09:35:06+05:30", 1_772_337_906_000_000)]
#[case("2026-03-01 09:35:06+0530", 1_772_337_906_000_000)]
#[case("2026-02-28 23:05:06-05", 1_772_337_906_000_000)]
#[case("2026-03-01 04:05+00:00", 1_772_337_900_000_000)]
#[case("1969-12-31 23:59:59.999999+00:00", -1)]
fn a_time_is_read_with_its_offset_to_the_microsecond(#[case] time: &str, #[case] unix_us: i64) {
    assert_eq!(recover(&format!("{{ to: {{ time: '{time}' }} }}")).to.at, Point::Time(unix_us));
}

#[test]
fn the_hour_that_a_clock_goes_through_twice_is_two_times() {
    let at = |offset: &str| recover(&format!("{{ to: {{ time: '2026-10-25 02:30:00{offset}' }} }}")).to.at;
    let (Point::Time(summer), Point::Time(winter)) = (at("+02:00"), at("+01:00")) else { panic!() };
    assert_eq!(winter - summer, 3_600_000_000);
}

#[rstest]
#[case("latest", Timeline::Latest)]
#[case("current", Timeline::Current)]
#[case("1", Timeline::Number(1))]
#[case("'2'", Timeline::Number(2))]
#[case("4_294_967_295", Timeline::Number(u32::MAX))]
fn along_which_timeline_a_recovery_goes(#[case] written: &str, #[case] timeline: Timeline) {
    let recover = recover(&format!("{{ to: here, timeline: {written} }}"));
    assert_eq!((recover.timeline, recover.to), (timeline, marked(MarkBy::Name, true)));
}

#[rstest]
#[case("to: latest, action: promote", Action::Promote)]
#[case("to: here", Action::Promote)]
#[case("to: here, action: pause", Action::Pause)]
#[case("to: immediate, action: shutdown", Action::Shutdown)]
#[case("action: pause, to: { xid: 745 }", Action::Pause)]
fn what_the_server_does_at_its_target(#[case] arguments: &str, #[case] action: Action) {
    assert_eq!(recover(&format!("{{ {arguments} }}")).action, action);
}

const WORK: Work = Work {
    writers: 4,
    until: WorkUntil::For(Duration::from_secs(5)),
    rate: None,
    behind: false,
    synchronous_commit: None,
};

#[rstest]
#[case("work", WORK)]
#[case("work:", WORK)]
#[case("work: {}", WORK)]
#[case("work: { writers: 1 }", Work { writers: 1, ..WORK })]
#[case("work: { writers: '64' }", Work { writers: 64, ..WORK })]
#[case("work: { for: 250ms }", Work { until: WorkUntil::For(SECOND / 4), ..WORK })]
#[case("work: { for: 1m 30s }", Work { until: WorkUntil::For(SECOND * 90), ..WORK })]
#[case("work: { transactions: 1 }", Work { until: WorkUntil::Transactions(1), ..WORK })]
#[case("work: { wal: 64MiB }", Work { until: WorkUntil::Wal(64 << 20), ..WORK })]
#[case("work: { wal: 1_000 KiB }", Work { until: WorkUntil::Wal(1_000 << 10), ..WORK })]
#[case("work: { transactions: 10_000 }", Work { until: WorkUntil::Transactions(10_000), ..WORK })]
#[case("work: { rate: 1 }", Work { rate: Some(1), ..WORK })]
#[case("work: { rate: 1_000_000 }", Work { rate: Some(1_000_000), ..WORK })]
#[case("work: { behind: off }", WORK)]
#[case("work: { behind: on }", Work { behind: true, until: WorkUntil::Stopped, ..WORK })]
#[case("work: { behind: true, for: 2s }", Work { behind: true, until: WorkUntil::For(SECOND * 2), ..WORK })]
#[case("work: { behind: on, transactions: 7 }", Work { behind: true, until: WorkUntil::Transactions(7), ..WORK })]
#[case("work: { synchronous-commit: off }", Work { synchronous_commit: Some(SynchronousCommit::Off), ..WORK })]
#[case("work: { synchronous-commit: local }", Work { synchronous_commit: Some(SynchronousCommit::Local), ..WORK })]
#[case("work: { synchronous-commit: on }", Work { synchronous_commit: Some(SynchronousCommit::On), ..WORK })]
#[case("work: { synchronous-commit: remote-write }", Work { synchronous_commit: Some(SynchronousCommit::RemoteWrite), ..WORK })]
#[case("work: { synchronous-commit: remote-apply }", Work { synchronous_commit: Some(SynchronousCommit::RemoteApply), ..WORK })]
fn what_writers_do(#[case] written: &str, #[case] work: Work) {
    assert_eq!(step(written), Step::Work(work));
}

#[test]
fn writers_behind_are_stopped_by_a_step_or_by_the_disaster_and_may_begin_anew() {
    let text = "title: t\nsteps: [backup, work: { behind: on }, work: stop, work: { behind: on }, disaster: kill, recover]";
    let steps: Vec<Step> = good(text).steps.into_iter().map(|step| step.what).collect();
    let behind = Step::Work(Work { behind: true, until: WorkUntil::Stopped, ..WORK });
    assert_eq!(steps[1..4], [behind.clone(), Step::StopWork, behind]);
}

#[rstest]
#[case("crash", 120)]
#[case("crash: {}", 120)]
#[case("crash: { within: 1h }", 3600)]
fn how_long_a_server_may_take_after_a_crash(#[case] written: &str, #[case] seconds: u64) {
    assert_eq!(step(written), Step::Crash(Crash { within: Duration::from_secs(seconds) }));
}

#[rstest]
#[case("a")]
#[case("before-accident")]
#[case("step-2--of-3-")]
#[case("latest-release")]
#[case(&"m".repeat(63))]
fn what_a_mark_may_be_called(#[case] name: &str) {
    assert_eq!(step(&format!("mark: {name}")), Step::Mark(name.to_owned()));
}

#[rstest]
#[case("kill", Disaster::Kill)]
#[case("lose-primary", Disaster::LosePrimary)]
#[case("lose-data-keep-wal", Disaster::LoseDataKeepWal)]
#[case("{ bad-sql: DELETE FROM \"AuditLog\" }", Disaster::BadSql("DELETE FROM \"AuditLog\"".to_owned()))]
#[case("{ bad-sql: 'DROP TABLE a; DROP TABLE b' }", Disaster::BadSql("DROP TABLE a; DROP TABLE b".to_owned()))]
fn what_loses_the_server(#[case] written: &str, #[case] disaster: Disaster) {
    assert!(disaster.loses_the_server());
    let text = format!("title: t\nsteps:\n  - backup\n  - disaster: {written}\n  - recover\n");
    assert_eq!(good(&text).steps[1].what, Step::Disaster(disaster));
}

#[test]
fn archiving_may_stop_once_for_each_server_and_loses_none() {
    let text = "title: t
steps:
  - backup
  - disaster: archive-stops
  - disaster: kill
  - recover
  - disaster: archive-stops
  - disaster: kill
  - recover
";
    assert!(!Disaster::ArchiveStops.loses_the_server());
    let stops: Vec<usize> = good(text)
        .steps
        .iter()
        .filter(|step| step.what == Step::Disaster(Disaster::ArchiveStops))
        .map(|step| step.line)
        .collect();
    assert_eq!(stops, [4, 7]);
}

#[rstest]
#[case("sweep", 100, 3, 600)]
#[case("sweep: {}", 100, 3, 600)]
#[case("sweep: { targets: 3 }", 3, 3, 600)]
#[case("sweep: { targets: 100_000, repeat: 100 }", 100_000, 100, 600)]
#[case("sweep: { targets: 4, repeat: 4, within: 90s }", 4, 4, 90)]
fn how_many_points_a_sweep_proves(
    #[case] written: &str,
    #[case] targets: u32,
    #[case] repeat: u32,
    #[case] seconds: u64,
) {
    let text = format!("title: t\nsteps:\n  - backup\n  - disaster: kill\n  - {written}\n");
    let within = Duration::from_secs(seconds);
    assert_eq!(good(&text).steps[2].what, Step::Sweep(Sweep { targets, repeat, within }));
}

#[test]
fn a_sweep_may_stand_above_a_recovery_or_below_the_last() {
    let steps = |steps: &str| {
        let steps = good(&format!("title: t\nsteps: [backup, disaster: kill, {steps}]")).steps;
        steps.into_iter().map(|step| matches!(step.what, Step::Sweep(_))).collect::<Vec<_>>()
    };
    assert_eq!(steps("sweep, recover, check"), [false, false, true, false, false]);
    assert_eq!(steps("recover, check, sweep"), [false, false, false, false, true]);
}

fn archived(by: ArchiveBy) -> Archive {
    Archive { by, timeout: None, synchronous: false, command: None, restore: None }
}

#[rstest]
#[case("", archived(ArchiveBy::Command))]
#[case("archive: {}\n", archived(ArchiveBy::Command))]
#[case("archive: { by: command }\n", archived(ArchiveBy::Command))]
#[case("archive: { timeout: 1s }\n", Archive { timeout: Some(SECOND), ..archived(ArchiveBy::Command) })]
#[case("archive: { by: command, timeout: 2m }\n", Archive { timeout: Some(SECOND * 120), ..archived(ArchiveBy::Command) })]
#[case("archive: { timeout: 1000ms }\n", Archive { timeout: Some(SECOND), ..archived(ArchiveBy::Command) })]
#[case("archive: { synchronous: off }\n", archived(ArchiveBy::Command))]
#[case("archive: { by: receivewal }\n", archived(ArchiveBy::Receivewal))]
#[case("archive: { by: receivewal, synchronous: off }\n", archived(ArchiveBy::Receivewal))]
#[case("archive: { by: receivewal, synchronous: on }\n", Archive { synchronous: true, ..archived(ArchiveBy::Receivewal) })]
fn how_wal_is_archived(#[case] written: &str, #[case] archive: Archive) {
    let text = format!("title: t\n{written}steps: [backup, disaster: kill, recover]\n");
    assert_eq!(good(&text).archive, archive);
}

#[rstest]
#[case("0 transactions", Rpo::Transactions(0))]
#[case("1 transaction", Rpo::Transactions(1))]
#[case("10_000 transactions", Rpo::Transactions(10_000))]
#[case("'7transactions'", Rpo::Transactions(7))]
#[case("5s", Rpo::Time(Duration::from_secs(5)))]
#[case("1m 30s", Rpo::Time(Duration::from_secs(90)))]
#[case("200ms", Rpo::Time(Duration::from_millis(200)))]
#[case("0 KiB", Rpo::Bytes(0))]
#[case("8KiB", Rpo::Bytes(8 << 10))]
#[case("16MiB", Rpo::Bytes(16 << 20))]
#[case("2 GiB", Rpo::Bytes(2 << 30))]
#[case("any", Rpo::Any)]
fn what_may_be_lost(#[case] written: &str, #[case] rpo: Rpo) {
    let text = |below: &str| {
        format!(
            "title: t\nsteps:\n  - work\n  - backup\n  - disaster: kill\n  - recover\n{below}objectives: {{ rpo: {written} }}\n"
        )
    };
    assert_eq!(good(&text("")).objectives.rpo, Some(rpo));
    // Whoever names checks names the one that measures it, in whichever step.
    let named = text("  - check: { row-counts: all }\n  - check: { ledger: all }\n");
    assert_eq!(good(&named).objectives.rpo, Some(rpo));
}

#[test]
fn without_an_objective_nothing_is_said_of_a_loss() {
    let text = "title: t\nsteps: [backup, work, disaster: kill, recover, check: { row-counts: all }]";
    assert_eq!(good(text).objectives.rpo, None);
}

/// The way to unpack is compared with the backup that the recovery begins from.
#[rstest]
#[case("{ by: copy }")]
#[case("{ to: between, by: tar }")]
#[case("{ to: { mark: below, by: time }, by: copy }")]
fn the_way_to_unpack_may_be_named(#[case] arguments: &str) {
    let text = format!(
        "title: t\nsteps:\n  - backup: {{ format: tar }}\n  - mark: between\n  - backup: {{ format: plain }}\n  - mark: below\n  - disaster: kill\n  - recover: {arguments}\n"
    );
    let Step::Recover(recover) = &good(&text).steps[5].what else { panic!("{text}") };
    assert!(recover.by.is_some());
}
