//! What good scenario files mean, and that no file, however hostile, does more than be refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Stage;
use pgdrill_model::scenario::{
    Action, Backup, BackupFormat, BackupFrom, BackupKind, BackupTool, CheckpointMode, Cluster, Compress,
    Disaster, Expect, ManifestChecksums, Method, Mistakes, Placed, Recover, RecoverBy, RecoverFrom, Scenario,
    Setting, Side, Sql, Step, SwitchWal, Tablespace, Target, Timeline, WalMethod, parse,
};
use pgdrill_model::units::{Major, MajorRange};
use pgdrill_model::verdict::Verdict;
use proptest::prelude::*;
use proptest::sample::Index;
use rstest::rstest;

const SHORTEST: &str = "\
title: The shortest drill
steps:
  - backup
  - disaster: lose-primary
  - recover
  - check: all
";

const FULL: &str = "\
# Everything that the language has.
title: ' Everything that the language has '
postgres: '>=14 <18'
seed: 7
data: { orders: 200_000 }
cluster: { locale: en_US.UTF-8, icu-locale: de-u-co-phonebk, checksums: off, wal-segment-size: 4MB }
tablespaces: { history: [AuditLog], empty: [] }
archive: { by: command }
settings:
  shared_buffers: 256MB
  work_mem: 65536
  fsync: on
  cluster_name: ''
  pgdrill.note: NO
time-limit: 1h 30m
steps:
  - sql: SELECT 1
  - backup: { tool: pg_basebackup, format: plain, compress: none }
  - backup:
      format: tar
      compress: server-zstd:level=3,workers=2,long
      wal: none
      manifest: sha512
      checkpoint: spread
      verify-checksums: off
      max-rate: 32M
      from: standby
      incremental: on
  - sql:
      run: |
        CREATE TABLE t (a int);
        INSERT INTO t VALUES (1);
      database: postgres
  - switch-wal: { within: 90s }
  - switch-wal:
  - disaster: kill
  - recover: { by: combine, to: latest, within: 5 minutes }
  - check: { row-counts: all, fingerprints: {}, conservation: }
  - sql: SELECT 2
  - check: { first-write: all }
objectives: { rto: 30s }
expect: { verdict: disproven, finding: RTO_EXCEEDED, stage: recover }
";

/// Everything that the language has of points in time.
const POINTS: &str = "\
title: Points in time
archive: { by: receivewal, synchronous: off }
steps:
  - work: { writers: 2, for: 1s, rate: 200, synchronous-commit: off }
  - backup
  - work: { behind: on }
  - mark: one
  - crash: { within: 1m }
  - work: stop
  - disaster: { bad-sql: DELETE FROM \"AuditLog\" }
  - recover: { to: { mark: one, by: xid, exclusive: on }, timeline: latest, action: pause, within: 5m }
  - check: { ledger: all }
  - work: { transactions: 100 }
  - disaster: archive-stops
  - mark: two
  - disaster: lose-data-keep-wal
  - sweep: { targets: 10, repeat: 3, within: 1m }
  - recover: { to: { time: '2026-03-01 04:05:06+00:00' } }
objectives: { rto: 30s, rpo: 16MiB }
";

const PLAIN: Backup = Backup {
    tool: BackupTool::PgBasebackup,
    format: BackupFormat::Plain,
    compress: Compress::NONE,
    wal: WalMethod::Stream,
    manifest: ManifestChecksums::Sha256,
    checkpoint: CheckpointMode::Fast,
    verify_checksums: true,
    max_rate: None,
    from: BackupFrom::Primary,
    incremental: false,
    kind: BackupKind::Full,
    bundle: false,
    snapshot: false,
    jobs: None,
};

const JSON: &str = r#"{
  "title": "The shortest drill",
  "steps": ["backup", {"disaster": "lose-primary"}, {"recover": {}}, {"check": "all"}]
}"#;

fn good(text: &str) -> Scenario {
    parse("a/b", "a/b.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn bad(text: &str) -> Mistakes {
    parse("a/b", "a/b.yaml", text).expect_err("the text has no mistake")
}

fn steps(scenario: &Scenario) -> Vec<(usize, Step)> {
    scenario.steps.iter().map(|step| (step.line, step.what.clone())).collect()
}

#[test]
fn the_shortest_drill_is_filled_with_defaults() {
    let scenario = good(SHORTEST);
    assert_eq!(scenario.id, "a/b");
    assert_eq!(scenario.title, "The shortest drill");
    assert_eq!(scenario.postgres, MajorRange::default());
    assert_eq!(scenario.seed, 42);
    assert_eq!(scenario.data.orders, 10_000);
    assert_eq!(scenario.time_limit, Duration::from_secs(3600));
    assert!(scenario.settings.is_empty());
    assert_eq!(scenario.objectives.rto, None);
    assert_eq!(scenario.expect, None);
    assert_eq!((&scenario.cluster, scenario.tablespaces.len()), (&Cluster::default(), 0));
    let gzip = Backup { format: BackupFormat::Tar, compress: Compress::GZIP, ..PLAIN };
    assert_eq!(
        steps(&scenario),
        [
            (3, Step::Backup(gzip)),
            (4, Step::Disaster(Disaster::LosePrimary)),
            (
                5,
                Step::Recover(Recover {
                    by: None,
                    from: RecoverFrom::Newest,
                    to: Target::LATEST,
                    timeline: Timeline::Latest,
                    action: Action::Promote,
                    within: Duration::from_secs(600),
                })
            ),
            (6, Step::Check(Check::all_of(false))),
        ]
    );
}

#[test]
fn everything_that_is_written_is_taken() {
    let scenario = good(FULL);
    assert_eq!(scenario.title, "Everything that the language has");
    assert_eq!(scenario.postgres, MajorRange { from: Major(14), to: Some(Major(17)) });
    assert_eq!(scenario.seed, 7);
    assert_eq!(scenario.data.orders, 200_000);
    assert_eq!(scenario.time_limit, Duration::from_secs(5400));
    assert_eq!(scenario.objectives.rto, Some(Duration::from_secs(30)));
    assert_eq!(
        scenario.expect,
        Some(Expect {
            verdict: Verdict::Disproven,
            finding: Some(Code::RtoExceeded),
            stage: Some(Stage::Recover)
        })
    );
    let settings: Vec<_> =
        scenario.settings.iter().map(|(name, s)| (name.as_str(), s.value.as_str(), s.line)).collect();
    assert_eq!(
        settings,
        [
            ("cluster_name", "", 13),
            ("fsync", "on", 12),
            ("pgdrill.note", "NO", 14),
            ("shared_buffers", "256MB", 10),
            ("work_mem", "65536", 11),
        ]
    );
    assert_eq!(
        scenario.cluster,
        Cluster {
            locale: Some(Placed { line: 6, what: "en_US.UTF-8".to_owned() }),
            icu_locale: Some(Placed { line: 6, what: "de-u-co-phonebk".to_owned() }),
            checksums: false,
            wal_segment_megabytes: 4,
        }
    );
    let tablespace = |name: &str, tables: &[&str]| Tablespace {
        name: name.to_owned(),
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
    };
    assert_eq!(scenario.tablespaces, [tablespace("history", &["AuditLog"]), tablespace("empty", &[])]);
    let everything = Backup {
        tool: BackupTool::PgBasebackup,
        format: BackupFormat::Tar,
        compress: Compress {
            method: Method::Zstd,
            side: Side::Server,
            level: Some(3),
            workers: Some(2),
            long: true,
        },
        wal: WalMethod::None,
        manifest: ManifestChecksums::Sha512,
        checkpoint: CheckpointMode::Spread,
        verify_checksums: false,
        max_rate: Some(32 << 10),
        from: BackupFrom::Standby,
        incremental: true,
        kind: BackupKind::Full,
        bundle: false,
        snapshot: false,
        jobs: None,
    };
    let sql = |run: &str, database: Option<&str>| {
        Step::Sql(Sql { run: run.to_owned(), database: database.map(str::to_owned), behind: false })
    };
    let script = "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n";
    let recover = Recover {
        by: Some(RecoverBy::Combine),
        from: RecoverFrom::Newest,
        to: Target::LATEST,
        timeline: Timeline::Latest,
        action: Action::Promote,
        within: Duration::from_secs(300),
    };
    assert_eq!(
        steps(&scenario),
        [
            (17, sql("SELECT 1", None)),
            (18, Step::Backup(PLAIN)),
            (19, Step::Backup(everything)),
            (29, sql(script, Some("postgres"))),
            (34, Step::SwitchWal(SwitchWal { within: Duration::from_secs(90) })),
            (35, Step::SwitchWal(SwitchWal { within: Duration::from_secs(60) })),
            (36, Step::Disaster(Disaster::Kill)),
            (37, Step::Recover(recover)),
            (38, Step::Check(vec![Check::RowCounts, Check::Fingerprints, Check::Conservation])),
            (39, sql("SELECT 2", None)),
            (40, Step::Check(vec![Check::FirstWrite])),
        ]
    );
}

#[test]
fn commands_of_the_archive_are_taken_as_they_are_written() {
    let text = SHORTEST.replace(
        "steps:",
        "archive:\n  command: |\n    test ! -f \"$ARCHIVE/%f\" &&\n      cp '%p' $ARCHIVE/%f # 100%%\n  \
         restore: cp ${ARCHIVE}/%f %p; echo %r\nsteps:",
    );
    let archive = good(&text).archive;
    assert_eq!(
        archive.command.as_deref(),
        Some("test ! -f \"$ARCHIVE/%f\" &&\n  cp '%p' $ARCHIVE/%f # 100%%")
    );
    assert_eq!(archive.restore.as_deref(), Some("cp ${ARCHIVE}/%f %p; echo %r"));
    assert_eq!(good(SHORTEST).archive.command, None);
}

#[test]
fn the_files_that_are_changed_at_random_are_good_as_they_are() {
    for text in [SHORTEST, FULL, POINTS] {
        assert!(!good(text).steps.is_empty());
    }
}

#[test]
fn another_text_is_another_drill() {
    assert_eq!(good(SHORTEST).sha256, "af90d7a6617f6f5e143fb2fdc40ef2fc04cf118e35aa2f452d21d86a032ac177");
    assert_ne!(good(SHORTEST).sha256, good(&format!("{SHORTEST}# a comment\n")).sha256);
}

#[rstest]
#[case::byte_order_mark(format!("\u{feff}{SHORTEST}"))]
#[case::carriage_returns(SHORTEST.replace('\n', "\r\n"))]
#[case::document_start(format!("---\n{SHORTEST}...\n"))]
#[case::directive(format!("%YAML 1.2\n---\n{SHORTEST}"))]
#[case::no_last_line_feed(SHORTEST.trim_end().to_owned())]
#[case::json(JSON.to_owned())]
#[case::quoted_number(format!("{SHORTEST}seed: '42'\n"))]
#[case::tab_after_a_colon(SHORTEST.replace("title: ", "title:\t"))]
fn the_same_scenario_in_another_dress(#[case] text: String) {
    let plain = |scenario: &Scenario| {
        (
            scenario.title.clone(),
            scenario.seed,
            steps(scenario).into_iter().map(|(_, step)| step).collect::<Vec<_>>(),
        )
    };
    assert_eq!(plain(&good(&text)), plain(&good(SHORTEST)));
}

#[rstest]
#[case("NO")]
#[case("012")]
#[case("1e3")]
#[case("0x10")]
#[case("2026-01-01")]
#[case("12:30:45")]
#[case("yes")]
#[case("1_000")]
#[case(".inf")]
fn what_yaml_readers_turn_into_something_else_stays_the_text_that_was_written(#[case] written: &str) {
    let scenario = good(&format!("{SHORTEST}settings: {{ cluster_name: {written} }}\n"));
    assert_eq!(scenario.settings["cluster_name"], Setting { value: written.to_owned(), line: 7 });
    assert_eq!(good(&SHORTEST.replace("The shortest drill", written)).title, written);
}

#[test]
fn a_mistake_knows_its_place() {
    let mistakes = bad(&SHORTEST.replace("- backup", "- backup: { formt: tar }"));
    assert_eq!((mistakes.count(), mistakes.file()), (1, "a/b.yaml"));
    let mistake = mistakes.iter().next().unwrap();
    assert_eq!((mistake.line, mistake.column, mistake.length), (3, 15, 5));
    assert_eq!(mistake.message, "unknown key 'formt' in backup");
    assert_eq!(mistake.hint.as_deref(), Some("did you mean 'format'?"));
}

/// The numbers up to 60 000, each between `before` and `after`.
fn many(before: &str, after: &str) -> String {
    (0..60_000).map(|number| format!("{before}{number}{after}")).collect()
}

/// No file costs much more than its own length, whatever stands in it.
#[rstest]
#[case::flow_nesting("[".repeat(1 << 20))]
#[case::flow_mappings("{a: ".repeat(200_000))]
#[case::block_nesting("- ".repeat(400_000))]
#[case::indented_nesting((0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect())]
#[case::long_scalar(format!("title: {}", "x".repeat(100 << 20)))]
#[case::long_scalar_within_the_limit(format!("title: {}\nsteps: 1", "x".repeat(1_000_000)))]
#[case::long_key(format!("{}: 1", "k".repeat(1_000_000)))]
#[case::many_keys(many("k", ": 1\n"))]
#[case::many_keys_on_one_line(format!("{{{}}}", many("", ": 1,")))]
#[case::one_key_many_times("a: 1\n".repeat(100_000))]
#[case::many_steps(format!("title: t\nsteps:\n{}", "- bakcup\n".repeat(100_000)))]
#[case::many_misplaced_steps(format!("title: t\nsteps:\n- disaster: kill\n{}", "- backup\n".repeat(100_000)))]
#[case::many_marks(format!("title: t\nsteps:\n{}", many("- mark: m", "\n")))]
#[case::many_recoveries_to_no_mark(format!(
    "title: t\nsteps:\n{}{}",
    (0..20_000).map(|n| format!("- mark: m{n}\n")).collect::<String>(),
    "- recover: { to: nowhere }\n".repeat(20_000)
))]
#[case::many_backups_and_recoveries(format!(
    "title: t\nsteps:\n{}{}",
    "- backup\n".repeat(30_000),
    "- recover: { by: tar }\n".repeat(20_000)
))]
#[case::one_step_of_many_keys(format!("title: t\nsteps:\n- {{{}}}", many("k", ": 1,")))]
#[case::many_settings(format!("{SHORTEST}settings:\n{}", many("  ssl_", ": 1\n")))]
#[case::alias_bomb("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\n".to_owned())]
#[case::many_documents("---\n".repeat(200_000))]
#[case::comments("#\n".repeat(500_000))]
#[case::blanks(" ".repeat(1 << 20))]
#[case::quotes("'".repeat((1 << 20) - 1))]
#[case::question_marks("? ".repeat(400_000))]
#[case::colons(": ".repeat(400_000))]
#[case::bangs("!".repeat(1_000_000))]
#[case::nul("\0".repeat(1_000_000))]
#[case::tabs("\t".repeat(1_000_000))]
fn a_hostile_file_is_only_refused(#[case] text: String) {
    let started = Instant::now();
    let words = bad(&text).to_string();
    assert!(words.len() < 40_000, "{} bytes of words", words.len());
    let spent = started.elapsed();
    assert!(spent < Duration::from_secs(20), "took {spent:?}");
}

/// What is said of any text: something that can be shown, and whose places are in the text.
fn can_be_said(text: &str) {
    let Err(mistakes) = parse("id", "file.yaml", text) else {
        return;
    };
    let lines = text.split(['\n', '\r']).count() + 1;
    assert!(mistakes.count() > 0);
    for mistake in &mistakes {
        assert!(
            (1..=lines).contains(&mistake.line) && mistake.column > 0 && mistake.length > 0,
            "{mistake:?}"
        );
    }
    let words = mistakes.to_string();
    assert!(words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
    assert!(words.ends_with("in file.yaml\n") || words.ends_with("are shown\n"), "{words}");
}

fn good_files() -> impl Strategy<Value = String> {
    prop_oneof![Just(SHORTEST.to_owned()), Just(FULL.to_owned()), Just(POINTS.to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        can_be_said(&text);
    }

    #[test]
    fn any_text_of_yaml_characters_is_read_or_refused(
        text in "[-:,{}\\[\\]#&*!|>'\"%@`? \t\r\nab0~<\\\\=]{0,60}",
    ) {
        can_be_said(&text);
    }

    #[test]
    fn any_value_of_any_key_is_read_or_refused(
        key in "[a-z-]{1,10}|title|seed|postgres|time-limit|data|steps|expect|settings",
        value in "[^\n]{0,30}|[<>=]{0,2}[0-9]{0,6}( [<>=]{0,2}[0-9]{1,6})?",
    ) {
        can_be_said(&format!("{SHORTEST}{key}: {value}\n"));
        can_be_said(&format!("{key}: {value}\n{}", &SHORTEST[SHORTEST.find("steps").unwrap()..]));
    }

    #[test]
    fn a_good_file_with_characters_changed_is_read_or_refused(
        file in good_files(),
        changes in prop::collection::vec((any::<Index>(), "[-:,{}\\[\\]#&*!|>'\" \t\na0]|\\PC|"), 1..6),
    ) {
        let mut characters: Vec<String> = file.chars().map(String::from).collect();
        for (place, with) in changes {
            let place = place.index(characters.len());
            characters[place] = with;
        }
        can_be_said(&characters.concat());
    }

    #[test]
    fn a_good_file_with_lines_moved_is_read_or_refused(
        file in good_files(),
        moves in prop::collection::vec((any::<Index>(), any::<Index>(), 0usize..4), 1..4),
    ) {
        let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
        for (from, to, kind) in moves {
            let (from, to) = (from.index(lines.len()), to.index(lines.len()));
            match kind {
                0 => lines.swap(from, to),
                1 => lines.insert(to, lines[from].clone()),
                2 => lines[from].insert_str(0, "  "),
                _ => { if lines.len() > 1 { lines.remove(from); } }
            }
        }
        can_be_said(&(lines.join("\n") + "\n"));
    }
}
