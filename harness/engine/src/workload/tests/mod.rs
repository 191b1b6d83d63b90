//! The workload on a real server: what it says must be there is there, to the last row; what is changed behind its back
//! is found and named.

pub mod bench;

use std::time::{Duration, Instant};

use pgdrill_ledger::expected::{Window, differences, groups};
use pgdrill_ledger::history::Fate;
use pgdrill_ledger::judge::{Class, Disagreement};
use pgdrill_ledger::{Level, Reader, Sums, Table};

use super::*;
use bench::Bench;

fn spec(until: Until) -> Spec {
    Spec { until, ..Spec::default() }
}

/// Waits until the writers have been told of so many commits.
async fn acknowledged(running: &Running, count: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    while running.acknowledged() < count {
        assert!(Instant::now() < until, "{} of {count} commits", running.acknowledged());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_there_is_there_and_what_is_changed_behind_its_back_is_named() {
    let bench = Bench::new().await;
    let socket = bench.socket();
    let mut running = start(
        &socket,
        &bench.book,
        42,
        &Spec { writers: 6, ..spec(Until::Transactions(900)) },
        bench.clock(),
    )
    .await
    .unwrap();
    running.hold().await.unwrap();
    acknowledged(&running, 200).await;
    assert!(running.release().await);
    running.hold().await.unwrap();
    let summary = running.finish().await;
    assert_eq!((summary.ledger.clone(), summary.lost.clone()), (None, Vec::<String>::new()));
    assert!(summary.failed.is_empty(), "{summary:?}");
    for kind in ["place", "amend", "roll-back", "savepoint-kept", "savepoint-rolled-back", "large", "held"] {
        assert!(summary.kinds.get(kind).is_some_and(|count| *count > 1), "{kind}: {summary:?}");
    }
    let others = ["open-positions", "held"];
    let wished = summary.kinds.iter().filter(|(kind, _)| !others.contains(kind));
    assert_eq!(wished.map(|(_, count)| count).sum::<u64>(), 900);
    assert_eq!(bench.book.close(bench.clock.unix_micros()).unwrap().acknowledged, summary.acknowledged);

    // The large details are stored out of line.
    let toasted =
        "SELECT pg_relation_size(reltoastrelid) > 100000 FROM pg_class WHERE oid = '\"AuditLog\"'::regclass";
    bench.until(toasted).await;
    bench.assert_conserved().await;
    let (history, found, judgement) = bench.judge(true).await;
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!(judgement.recovered.count, summary.acknowledged);
    // The one that was held to the end, and those that were rolled back on purpose.
    assert_eq!(judgement.not_committed.count, summary.rolled_back);
    assert_eq!(found.unreadable, 0);
    assert_eq!(bench.expected(&judgement), bench.content().await);
    let tag = bench.book.tag();
    for table in [Table::Order, Table::AuditLog] {
        for window in [Window::all(1), Window::all(64)] {
            let expected = groups(Reader::open(&bench.ledger).unwrap(), &judgement, table, &window).unwrap();
            let measured = measure_groups(&socket, tag, table, &window).await.unwrap();
            assert_eq!(differences(&expected, &measured.groups).len(), 0);
            assert_eq!(measured.others, bench.base[&table]);
        }
    }

    // One value of one row of one transaction.
    let writer =
        *history.writers.keys().find(|writer| history.writers[writer].transactions.len() > 40).unwrap();
    let recovered: Vec<u64> =
        (1..40).filter(|seq| judgement.class(writer, *seq) == Some(Class::Recovered)).collect();
    let session = bench.superuser().await;
    let row = "SELECT \"detail\"->>'seq' FROM \"AuditLog\" WHERE \"detail\"->>'writer' = $1 \
               AND \"action\" = 'ORDER_PLACED' ORDER BY \"id\" LIMIT 1";
    let placed: u64 =
        session.query_one(row, &[&writer.to_string()]).await.unwrap().get::<_, &str>(0).parse().unwrap();
    let id = tag.client_order_id(writer, placed, 0);
    let changed =
        format!("UPDATE \"Order\" SET \"fee\" = \"fee\" + 0.00000001 WHERE \"clientOrderId\" = '{id}'");
    assert_eq!(session.execute(changed.as_str(), &[]).await.unwrap(), 1);
    let (expected, content) = (bench.expected(&judgement), bench.content().await);
    assert_ne!(expected[&Table::Order], content[&Table::Order]);
    assert_eq!(expected[&Table::AuditLog], content[&Table::AuditLog]);
    let coarse = Window::all(64);
    let named = named(&bench, &judgement, Table::Order, &coarse).await;
    assert_eq!(named.len(), 1);
    let fine = coarse.into_run(*named.keys().next().unwrap());
    let named = self::named(&bench, &judgement, Table::Order, &fine).await;
    assert_eq!(named.keys().copied().collect::<Vec<_>>(), [(writer, placed)]);

    // A transaction is torn: one of its rows is gone.
    let torn = recovered
        .iter()
        .copied()
        .find(|seq| history.transaction(writer, *seq).is_some_and(|one| one.audited > 1))
        .unwrap();
    let all = |seq: u64| format!("\"detail\"->>'writer' = '{writer}' AND \"detail\"->>'seq' = '{seq}'");
    let one = format!(
        "DELETE FROM \"AuditLog\" WHERE \"id\" = (SELECT min(\"id\") FROM \"AuditLog\" WHERE {})",
        all(torn)
    );
    assert_eq!(session.execute(one.as_str(), &[]).await.unwrap(), 1);
    let (.., judgement) = bench.judge(true).await;
    assert_eq!(judgement.disagreements.kept.len(), 1, "{judgement:?}");
    let (kind, witness) = judgement.disagreements.kept[0];
    assert_eq!((kind, witness.writer, witness.seq), (Disagreement::Torn, writer, torn));

    // Another is gone as a whole, and one appears that nobody wrote.
    let gone = recovered.iter().copied().find(|seq| *seq != torn && *seq > 2).unwrap();
    session.execute(format!("DELETE FROM \"AuditLog\" WHERE {}", all(gone)).as_str(), &[]).await.unwrap();
    let added = format!(
        "INSERT INTO \"AuditLog\" (\"userId\", \"action\", \"detail\") SELECT \"id\", 'ORDER_PLACED', '{}' FROM \"User\" LIMIT 1",
        tag.detail(writer, 1_000_000, 0, "x")
    );
    session.execute(added.as_str(), &[]).await.unwrap();
    let (.., judgement) = bench.judge(true).await;
    let lost = judgement.lost.first.unwrap();
    assert_eq!((judgement.lost.count, lost.writer, lost.seq), (1, writer, gone));
    assert_eq!(judgement.span.unwrap().transactions, 1);
    assert_eq!((judgement.unexpected.count, judgement.unexpected.first.unwrap().seq), (1, 1_000_000));
    assert_eq!(judgement.gaps.first().map(|gap| gap.absent), Some(gone));
    assert_eq!(judgement.disagreements.of(Disagreement::RecordButAbsent), 1);
    bench.close().await;
}

/// The groups of a table that are not what they must be.
async fn named(
    bench: &Bench,
    judgement: &pgdrill_ledger::judge::Judgement,
    table: Table,
    window: &Window,
) -> std::collections::BTreeMap<(u16, u64), (Sums, Sums)> {
    let expected = groups(Reader::open(&bench.ledger).unwrap(), judgement, table, window).unwrap();
    let measured = measure_groups(&bench.socket(), bench.book.tag(), table, window).await.unwrap();
    differences(&expected, &measured.groups)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_every_acknowledged_commit_is_there_and_what_had_no_answer_is_indeterminate() {
    let mut bench = Bench::new().await;
    let socket = bench.socket();
    let steady = start(&socket, &bench.book, 7, &spec(Until::Stopped), bench.clock()).await.unwrap();
    let careless = Spec {
        writers: 2,
        synchronous_commit: Some(Level::Off),
        reconnect: Some(Duration::from_secs(60)),
        ..spec(Until::Stopped)
    };
    let careless = start(&socket, &bench.book, 8, &careless, bench.clock()).await.unwrap();
    acknowledged(&steady, 300).await;
    acknowledged(&careless, 300).await;
    bench.server.kill().await.unwrap();
    // Nobody has to stop them.
    let steady = steady.finish().await;
    assert_eq!(steady.lost.len(), 4, "{steady:?}");
    bench.start_again().await;
    let before = careless.acknowledged();
    acknowledged(&careless, before + 50).await;
    let careless = careless.stop().await;
    assert_eq!((careless.writers, careless.ledger), (4, None), "two found the server again");
    bench.book.close(bench.clock.unix_micros()).unwrap();

    let (history, _, judgement) = bench.judge(false).await;
    assert!(judgement.holds(), "{judgement:?}");
    let unanswered = steady.unanswered + careless.unanswered;
    assert_eq!(judgement.indeterminate(), unanswered);
    assert_eq!(judgement.lost.count, 0);
    let promised = |fate| matches!(fate, Fate::Acknowledged(level) if level != Level::Off);
    let transactions = history.writers.values().flat_map(|writer| &writer.transactions);
    let promised = transactions.filter(|one| promised(one.fate)).count() as u64;
    assert!(promised >= steady.acknowledged && judgement.recovered.count >= promised);
    assert_eq!(bench.expected(&judgement), bench.content().await);
    bench.assert_conserved().await;
    // With the WAL nothing changes, but that it agrees.
    let (.., judgement) = bench.judge(true).await;
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!(bench.expected(&judgement), bench.content().await);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_the_standby_that_was_cancelled_promises_nothing() {
    let bench = Bench::new().await;
    let socket = bench.socket();
    let first = start(&socket, &bench.book, 1, &spec(Until::Transactions(5)), bench.clock()).await.unwrap();
    first.finish().await;
    let session = bench.superuser().await;
    // A standby that never comes.
    session.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    session.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    bench.until("SELECT current_setting('synchronous_standby_names') = 'nobody'").await;
    let spec = Spec { writers: 2, synchronous_commit: Some(Level::On), ..spec(Until::Stopped) };
    let running = start(&socket, &bench.book, 2, &spec, bench.clock()).await.unwrap();
    bench.until("SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await;
    // Those that were told to end their wait do so in their own time; the next two are those that began later.
    let before: String = session.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
    session
        .batch_execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        .await
        .unwrap();
    bench
        .until(&format!(
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query_start > '{before}'"
        ))
        .await;
    // The next two wait for ever; the writers stop all the same, and soon.
    let told = Instant::now();
    let summary = running.stop().await;
    assert!(told.elapsed() < Duration::from_secs(10));
    assert_eq!((summary.acknowledged, summary.cancelled_waits), (0, 2), "{summary:?}");
    assert_eq!(summary.unanswered, 2);
    bench.book.close(bench.clock.unix_micros()).unwrap();
    session.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    session.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    bench.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'trading_app'").await;
    let (.., judgement) = bench.judge(true).await;
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!((judgement.indeterminate_present.count, judgement.indeterminate_absent.count), (4, 0));
    assert_eq!(bench.expected(&judgement), bench.content().await);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_wait_for_a_lock_stop_at_once_and_leave_a_whole_ledger() {
    let bench = Bench::new().await;
    let limits = Spec { rate: Some(200), ..spec(Until::For(Duration::from_millis(500))) };
    let running = start(&bench.socket(), &bench.book, 3, &limits, bench.clock()).await.unwrap();
    let summary = running.finish().await;
    let begun: u64 = summary.kinds.values().sum();
    assert!((20..=250).contains(&begun), "200 a second for half a second: {summary:?}");
    let running = start(&bench.socket(), &bench.book, 3, &spec(Until::Stopped), bench.clock()).await.unwrap();
    acknowledged(&running, 10).await;
    let session = bench.superuser().await;
    session.batch_execute("BEGIN; LOCK TABLE \"Order\" IN ACCESS EXCLUSIVE MODE").await.unwrap();
    bench.until("SELECT count(*) = 4 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    let told = Instant::now();
    let summary = running.stop().await;
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert_eq!((summary.rolled_back >= 4, summary.unanswered), (true, 0), "{summary:?}");
    bench.book.close(bench.clock.unix_micros()).unwrap();
    session.batch_execute("COMMIT").await.unwrap();
    bench.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'trading_app'").await;
    let (.., judgement) = bench.judge(true).await;
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!(bench.expected(&judgement), bench.content().await);
    bench.close().await;
}
