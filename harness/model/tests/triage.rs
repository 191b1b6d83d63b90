//! The rules of triage, one by one: each signal is given by its facts, and by nothing less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use pgdrill_model::triage::{
    Archiver, Assessment, Checksums, Connections, DatabaseChecksums, Disk, Fact, Facts, Health, LockWait,
    Metrics, Pool, Pooler, Query, Reach, Reason, Recovery, Replication, SIGNALS, Severity, Signal, Slot,
    Space, Standby, State, Transactions, causes, escalate, severity,
};
use proptest::prelude::*;
use rstest::rstest;

const SECOND: u64 = 1_000_000;

/// A server to which nothing is the matter, and of which everything is known.
fn well() -> Facts {
    Facts {
        server: "db.example/trading as monitor".to_owned(),
        asked_unix_us: 1_700_000_000_000_000,
        reach: Reach {
            state: State::Answers,
            connect_us: Some(900),
            answer_us: Some(100),
            ..Reach::default()
        },
        version: Fact::Known("15.8".to_owned()),
        recovery: Fact::Known(Recovery::default()),
        connections: Fact::Known(Connections { used: 10, max: 100, reserved: 3 }),
        pooler: Some(Pooler {
            server: "localhost:6432/pgbouncer".to_owned(),
            reach: Reach { state: State::Answers, ..Reach::default() },
            version: Fact::Known("PgBouncer 1.24.0".to_owned()),
            pools: Fact::Known(vec![Pool { database: "trading".to_owned(), ..Pool::default() }]),
            halted: Fact::Known(Vec::new()),
        }),
        disks: vec![Disk {
            path: "/data".to_owned(),
            space: Fact::Known(Space { used: 0.5, free: 50 << 30 }),
        }],
        archiver: Fact::Known(Archiver {
            mode: "on".to_owned(),
            no_command: Some(false),
            archived: 10,
            last_archived: Some("A".to_owned()),
            last_archived_age_us: Some(30 * SECOND),
            ..Archiver::default()
        }),
        segments_waiting: Fact::Known(0),
        replication: Fact::Known(Replication::default()),
        slots: Fact::Known(Vec::new()),
        queries: Fact::Known(Vec::new()),
        locks: Fact::Known(Vec::new()),
        checksums: Fact::Known(Checksums { enabled: true, failed: Vec::new() }),
        transactions: Fact::Known(Transactions { committed: 1000, ..Transactions::default() }),
        recent: Fact::Known(Transactions { committed: 200, ..Transactions::default() }),
        health: vec![Health { url: "http://a/".to_owned(), answer: Fact::Known(204), took_us: 5 }],
        metrics: Some(Metrics {
            url: "http://m/".to_owned(),
            answer: Fact::Known(200),
            samples: 4,
            took_us: 5,
        }),
    }
}

type Change = fn(&mut Facts);

fn known<T>(fact: &mut Fact<T>) -> &mut T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

fn archiver(facts: &mut Facts) -> &mut Archiver {
    known(&mut facts.archiver)
}

fn pool(facts: &mut Facts) -> &mut Pool {
    &mut known(&mut facts.pooler.as_mut().unwrap().pools)[0]
}

fn in_state(facts: &mut Facts, state: State) {
    facts.reach = Reach { state, words: Some("its words".to_owned()), ..Reach::default() };
}

fn disk(facts: &mut Facts, used: f64, free: u64) {
    facts.disks[0].space = Fact::Known(Space { used, free });
}

fn query(facts: &mut Facts, state: &str, seconds: u64) {
    facts.queries = Fact::Known(vec![Query {
        pid: 7,
        role: Some("app".to_owned()),
        state: Some(state.to_owned()),
        age_us: Some(seconds * SECOND),
        transaction_us: Some(seconds * SECOND),
        ..Query::default()
    }]);
}

fn standby(facts: &mut Facts, sync_state: &str, lag_us: u64, lag_bytes: u64) {
    known(&mut facts.replication).standbys = vec![Standby {
        name: "b".to_owned(),
        state: "streaming".to_owned(),
        sync_state: sync_state.to_owned(),
        lag_bytes: Some(lag_bytes),
        lag_us: Some(lag_us),
    }];
}

fn slot(facts: &mut Facts, active: bool, held: u64, status: &str) {
    facts.slots = Fact::Known(vec![Slot {
        name: "s".to_owned(),
        active,
        held_bytes: Some(held),
        wal_status: Some(status.to_owned()),
    }]);
}

fn waits(facts: &mut Facts, seconds: u64) {
    let wait = LockWait {
        pid: 8,
        kind: "relation".to_owned(),
        relation: Some("orders".to_owned()),
        mode: "AccessShareLock".to_owned(),
        waited_us: Some(seconds * SECOND),
        blocked_by: vec![7, 0],
    };
    facts.locks = Fact::Known(vec![wait]);
}

fn recent(facts: &mut Facts, committed: u64, rolled_back: u64) {
    facts.recent = Fact::Known(Transactions { committed, rolled_back, over_us: Some(SECOND) });
}

fn pooler_state(facts: &mut Facts, state: State) {
    facts.pooler.as_mut().unwrap().reach =
        Reach { state, words: Some("words".to_owned()), ..Reach::default() };
}

/// For each signal: facts that give it, and facts that just do not.
const RULES: &[(Signal, Change, Change)] = &[
    (Signal::ServerAbsent, |f| in_state(f, State::Absent), |f| in_state(f, State::Refuses)),
    (Signal::ServerSilent, |f| in_state(f, State::Silent), |f| in_state(f, State::Unreachable)),
    (Signal::ServerNotReady, |f| in_state(f, State::StartingUp), |f| in_state(f, State::InRecovery)),
    (Signal::ServerNotReady, |f| in_state(f, State::ShuttingDown), |f| in_state(f, State::ReadOnly)),
    (Signal::TooManyClients, |f| in_state(f, State::TooManyClients), |f| in_state(f, State::Answers)),
    (Signal::TooManyClients, |f| in_state(f, State::OnlySuperusers), |f| in_state(f, State::Answers)),
    (Signal::ServerRefuses, |f| in_state(f, State::Refuses), |f| in_state(f, State::Absent)),
    (Signal::NoWayThere, |f| in_state(f, State::Unreachable), |f| in_state(f, State::Silent)),
    (Signal::NoWayThere, |f| in_state(f, State::Unencrypted), |f| in_state(f, State::Untrusted)),
    (Signal::CertificateUntrusted, |f| in_state(f, State::Untrusted), |f| in_state(f, State::Unencrypted)),
    (
        Signal::CertificateUntrusted,
        |f| pooler_state(f, State::Untrusted),
        |f| pooler_state(f, State::Unencrypted),
    ),
    (
        Signal::ConnectionsExhausted,
        |f| f.connections = Fact::Known(Connections { used: 97, max: 100, reserved: 3 }),
        |f| f.connections = Fact::Known(Connections { used: 96, max: 100, reserved: 3 }),
    ),
    (
        Signal::ConnectionsScarce,
        |f| f.connections = Fact::Known(Connections { used: 91, max: 103, reserved: 3 }),
        |f| f.connections = Fact::Known(Connections { used: 90, max: 103, reserved: 3 }),
    ),
    (Signal::PoolerDown, |f| pooler_state(f, State::Absent), |f| pooler_state(f, State::Refuses)),
    (Signal::PoolerDown, |f| pooler_state(f, State::Silent), |f| f.pooler = None),
    (Signal::PoolerUnasked, |f| pooler_state(f, State::Refuses), |f| pooler_state(f, State::Absent)),
    (
        Signal::ClientsWait,
        |f| (pool(f).clients_waiting, pool(f).longest_wait_us) = (2, SECOND),
        |f| (pool(f).clients_waiting, pool(f).longest_wait_us) = (2, SECOND - 1),
    ),
    (
        Signal::PoolPaused,
        |f| f.pooler.as_mut().unwrap().halted = Fact::Known(vec!["paused trading".to_owned()]),
        |f| f.pooler.as_mut().unwrap().halted = Fact::Unknown("no words".to_owned()),
    ),
    (
        Signal::OnlyReads,
        |f| known(&mut f.recovery).in_recovery = true,
        |f| (known(&mut f.recovery).in_recovery, known(&mut f.recovery).receiving) = (true, true),
    ),
    (
        Signal::OnlyReads,
        |f| known(&mut f.recovery).read_only = true,
        |f| {
            *known(&mut f.recovery) =
                Recovery { in_recovery: true, receiving: true, read_only: true, replay_paused: false };
        },
    ),
    (
        Signal::ReplayPaused,
        |f| {
            *known(&mut f.recovery) =
                Recovery { in_recovery: true, receiving: true, replay_paused: true, read_only: false };
        },
        |f| known(&mut f.recovery).replay_paused = true,
    ),
    (Signal::DiskFull, |f| disk(f, 1.0, 0), |f| disk(f, 0.989, 1 << 30)),
    (Signal::DiskFull, |f| disk(f, 0.85, (128 << 20) - 1), |f| disk(f, 0.1, 1 << 20)),
    (Signal::DiskFilling, |f| disk(f, 0.81, 10 << 30), |f| disk(f, 0.8, 10 << 30)),
    (Signal::ArchivingFails, |f| archiver(f).failing = true, |f| archiver(f).failed = 100),
    (
        Signal::ArchivingBehind,
        |f| (archiver(f).last_archived_age_us, f.segments_waiting) = (Some(61 * SECOND), Fact::Known(4)),
        |f| (archiver(f).last_archived_age_us, f.segments_waiting) = (Some(61 * SECOND), Fact::Known(3)),
    ),
    (
        Signal::ArchivingBehind,
        |f| (archiver(f).last_archived_age_us, f.segments_waiting) = (None, Fact::Known(4)),
        |f| f.segments_waiting = Fact::Known(400),
    ),
    (
        Signal::ArchivingWithoutCommand,
        |f| archiver(f).no_command = Some(true),
        |f| archiver(f).no_command = None,
    ),
    (
        Signal::ArchivingOff,
        |f| archiver(f).mode = "off".to_owned(),
        |f| {
            archiver(f).mode = "off".to_owned();
            standby(f, "async", 0, 0);
            known(&mut f.replication).standbys[0].name = "pg_receivewal".to_owned();
        },
    ),
    (Signal::LockWaits, |f| waits(f, 6), |f| waits(f, 5)),
    (
        Signal::CommitsWait,
        |f| known(&mut f.replication).synchronous = true,
        |f| {
            known(&mut f.replication).synchronous = true;
            standby(f, "quorum", 0, 0);
        },
    ),
    (Signal::LongQueries, |f| query(f, "active", 601), |f| query(f, "idle in transaction", 601)),
    (Signal::SlowQueries, |f| query(f, "active", 6), |f| query(f, "active", 5)),
    (
        Signal::SlowQueries,
        |f| query(f, "active", 600),
        |f| {
            query(f, "active", 600);
            known(&mut f.queries)[0].blocked_by = vec![9];
        },
    ),
    (
        Signal::IdleTransactions,
        |f| query(f, "idle in transaction (aborted)", 601),
        |f| query(f, "idle in transaction", 600),
    ),
    (Signal::TransactionsFail, |f| recent(f, 980, 20), |f| recent(f, 990, 10)),
    (Signal::TransactionsFail, |f| recent(f, 90, 10), |f| recent(f, 49, 50)),
    (
        Signal::ChecksumFailures,
        |f| {
            known(&mut f.checksums).failed =
                vec![DatabaseChecksums { database: "trading".to_owned(), failures: 1, last_age_us: Some(5) }];
        },
        |f| *known(&mut f.checksums) = Checksums::default(),
    ),
    (
        Signal::StandbyLags,
        |f| standby(f, "async", 61 * SECOND, 0),
        |f| standby(f, "async", 60 * SECOND, 1 << 30),
    ),
    (Signal::StandbyLags, |f| standby(f, "async", 0, (1 << 30) + 1), |f| standby(f, "async", 0, 0)),
    (
        Signal::SlotHoldsWal,
        |f| slot(f, false, (1 << 30) + 1, "extended"),
        |f| slot(f, true, 5 << 30, "extended"),
    ),
    (Signal::SlotHoldsWal, |f| slot(f, false, 0, "lost"), |f| slot(f, false, 1 << 30, "reserved")),
    (
        Signal::HealthFails,
        |f| f.health[0].answer = Fact::Known(302),
        |f| f.health[0].answer = Fact::Known(299),
    ),
    (
        Signal::HealthFails,
        |f| f.health[0].answer = Fact::Unknown("no answer".to_owned()),
        |f| f.health.clear(),
    ),
    (Signal::MetricsMissing, |f| f.metrics.as_mut().unwrap().samples = 0, |f| f.metrics = None),
    (
        Signal::MetricsMissing,
        |f| f.metrics.as_mut().unwrap().answer = Fact::Known(404),
        |f| f.metrics.as_mut().unwrap().took_us = 9_000_000,
    ),
];

fn signals(facts: &Facts) -> BTreeSet<Signal> {
    causes(facts).iter().map(|cause| cause.signal).collect()
}

#[test]
fn a_server_to_which_nothing_is_the_matter_gives_no_signal() {
    let assessment = Assessment::of(&well());
    assert_eq!(assessment, Assessment { severity: None, causes: Vec::new(), unknown: Vec::new() });
}

#[test]
fn each_signal_is_given_by_its_facts_and_by_nothing_less() {
    for (number, (signal, given, less)) in RULES.iter().enumerate() {
        let mut facts = well();
        given(&mut facts);
        assert_eq!(signals(&facts), BTreeSet::from([*signal]), "rule {number}");
        assert_eq!(severity(&facts), signal.entry().severity, "rule {number}");
        let mut facts = well();
        less(&mut facts);
        assert!(!signals(&facts).contains(signal), "rule {number}, {signal}");
    }
}

#[test]
fn every_signal_has_a_rule_and_says_what_now() {
    for entry in SIGNALS {
        assert!(RULES.iter().any(|(signal, _, _)| *signal == entry.signal), "{} has no rule", entry.name);
        assert_eq!(entry.signal.entry().name, entry.name);
        assert!(!entry.doc.is_empty() && !entry.then.is_empty(), "{}", entry.name);
    }
}

#[test]
fn what_is_not_known_gives_no_signal_and_is_told() {
    let mut facts = Facts::default();
    facts.reach.state = State::Answers;
    facts.disks = vec![Disk { path: "/data".to_owned(), space: Fact::default() }];
    let assessment = Assessment::of(&facts);
    assert_eq!((assessment.severity, assessment.causes), (None, Vec::new()));
    let unknown: Vec<&str> = assessment.unknown.iter().map(|unknown| unknown.what.as_str()).collect();
    assert!(unknown.contains(&"long queries") && unknown.contains(&"the disk of /data"), "{unknown:?}");
}

#[test]
fn a_blocker_is_named_by_what_he_is_and_does() {
    let mut facts = well();
    query(&mut facts, "idle in transaction", 42);
    waits(&mut facts, 30);
    let causes = causes(&facts);
    let because = &causes.iter().find(|cause| cause.signal == Signal::LockWaits).unwrap().because;
    assert_eq!(
        because,
        &[
            "process 8 has waited 30.0 s for AccessShareLock on relation orders; blocked by process 7 (app, idle in \
           transaction, its transaction open for 42.0 s), a prepared transaction (pg_prepared_xacts)"
        ]
    );
}

#[test]
fn the_worst_comes_first() {
    let mut facts = well();
    disk(&mut facts, 0.81, 10 << 30);
    archiver(&mut facts).failing = true;
    waits(&mut facts, 30);
    let order: Vec<Signal> = causes(&facts).iter().map(|cause| cause.signal).collect();
    assert_eq!(order, [Signal::LockWaits, Signal::ArchivingFails, Signal::DiskFilling]);
    assert_eq!(severity(&facts), Some(Severity::P1));
}

#[rstest]
#[case::well(|_: &mut Facts| (), Some(3600), &[])]
#[case::in_time(|f: &mut Facts| disk(f, 1.0, 0), Some(1800), &[])]
#[case::too_long(|f: &mut Facts| disk(f, 1.0, 0), Some(1801), &[Reason::Unresolved])]
#[case::nobody_knows_since_when(|f: &mut Facts| disk(f, 1.0, 0), None, &[])]
#[case::pages_are_damaged(
    |f: &mut Facts| known(&mut f.checksums).failed =
        vec![DatabaseChecksums { database: "t".to_owned(), failures: 1, last_age_us: None }],
    None,
    &[Reason::DataLoss]
)]
#[case::the_archive_is_behind(|f: &mut Facts| archiver(f).failing = true, Some(7200), &[Reason::Unresolved, Reason::DataLoss])]
#[case::somebody_else_answers(|f: &mut Facts| in_state(f, State::Untrusted), Some(7200), &[Reason::Breach])]
fn others_are_called_by_the_rules(
    #[case] change: Change,
    #[case] elapsed: Option<u64>,
    #[case] expected: &[Reason],
) {
    let mut facts = well();
    change(&mut facts);
    let escalations = escalate(&Assessment::of(&facts), elapsed.map(Duration::from_secs));
    let reasons: Vec<Reason> = escalations.iter().map(|escalation| escalation.reason).collect();
    assert_eq!(reasons, expected);
    assert!(escalations.iter().all(|escalation| !escalation.because.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Knowing less never invents trouble: where a fact is taken away, no signal comes that was not there.
    #[test]
    fn a_fact_that_is_taken_away_brings_no_signal(rules in prop::collection::vec(0..RULES.len(), 0..6), taken in 0_u8..11) {
        let mut facts = well();
        for rule in rules {
            // Later changes may replace what an earlier one made unknown.
            let mut changed = facts.clone();
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (RULES[rule].1)(&mut changed))).is_ok() {
                facts = changed;
            }
        }
        let before = signals(&facts);
        match taken {
            0 => facts.recovery = Fact::default(),
            1 => facts.connections = Fact::default(),
            2 => facts.pooler = None,
            3 => facts.disks.clear(),
            4 => facts.archiver = Fact::default(),
            5 => facts.segments_waiting = Fact::default(),
            6 => facts.replication = Fact::default(),
            7 => facts.locks = Fact::default(),
            8 => facts.queries = Fact::default(),
            9 => facts.checksums = Fact::default(),
            _ => facts.recent = Fact::default(),
        }
        prop_assert!(signals(&facts).is_subset(&before));
    }
}
