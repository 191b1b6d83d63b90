//! Promises about processes that go on running, and about places as such.

use std::process::Stdio;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::units::Major;
use pgdrill_model::world::{Command, Need, Signal};

use super::{Bench, Fixture, sh, succeed, until};

/// Whatever it does with its signal, how it ended is known.
pub async fn a_process_runs_until_it_is_told_to_end(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let log = bench.path("log/process.log");
    for (signal, number) in [(Signal::Term, 15), (Signal::Quit, 3), (Signal::Kill, 9)] {
        let mut process = place.spawn(&Command::system("sleep", ["7401"]).log_to(&log)).await.unwrap();
        assert!(process.running() && process.pid() > 1);
        place.signal(process.pid(), signal).await.unwrap();
        let exit = process.wait().await.unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(number)));
        assert!(!process.running());
    }
    let script = "trap 'echo interrupted; exit 4' INT; echo ready > data/ready; while :; do sleep 0.05; done";
    let mut process = place.spawn(&sh(script)).await.unwrap();
    until("it is ready", Duration::from_secs(10), || bench.path("data/ready").exists()).await;
    place.signal(process.pid(), Signal::Int).await.unwrap();
    let exit = process.wait().await.unwrap();
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(4), "interrupted\n"));
    bench.close(place).await;
}

/// Waiting a second time says the same.
pub async fn a_process_that_has_ended_can_be_asked_again(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let mut process = place.spawn(&sh("echo out; exit 5")).await.unwrap();
    let first = process.wait().await.unwrap();
    let second = process.wait().await.unwrap();
    assert_eq!(first, second);
    assert_eq!((first.code, first.stdout.as_str()), (Some(5), "out\n"));
    bench.close(place).await;
}

/// The server may have ended just before it is told to.
pub async fn a_signal_to_what_is_gone_is_success(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let mut process = place.spawn(&sh("exit 0")).await.unwrap();
    process.wait().await.unwrap();
    place.signal(process.pid(), Signal::Term).await.unwrap();
    bench.close(place).await;
}

/// A number that was a process of the place can be another's by now, who must not be hit.
pub async fn a_signal_reaches_no_stranger(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let mut stranger = std::process::Command::new("sleep").arg("20").stdin(Stdio::null()).spawn().unwrap();
    for pid in [stranger.id(), std::process::id()] {
        // Success, because whatever the place had under that number is gone; or refused as no process of it.
        let _ = place.signal(pid, Signal::Kill).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    bench.close(place).await;
}

/// Dropping the handle of a server does not end the server.
pub async fn a_process_outlives_its_handle_but_not_its_place(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let log = bench.path("log/process.log");
    drop(place.spawn(&Command::system("sleep", ["7501"]).log_to(log)).await.unwrap());
    succeed(&*place, "true").await;
    assert!(bench.remaining().iter().any(|line| line.contains("sleep 7501")), "{:?}", bench.remaining());
    bench.close(place).await;
}

/// Nothing can refuse to end.
pub async fn closing_ends_what_ignores_every_polite_signal(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let script = "trap '' HUP INT QUIT TERM; touch data/deaf; while :; do sleep 0.2; done";
    let _process = place.spawn(&sh(script)).await.unwrap();
    until("it is deaf", Duration::from_secs(10), || bench.path("data/deaf").exists()).await;
    bench.close(place).await;
}

/// As `pg_ctl start` does for the server that it starts.
pub async fn closing_ends_what_has_left_for_a_session_of_its_own(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let quiet = "</dev/null >/dev/null 2>&1";
    let script = format!("setsid sleep 7601 {quiet} & setsid sh -c 'sleep 7602 & sleep 7603' {quiet} &");
    succeed(&*place, &script).await;
    until("both run", Duration::from_secs(10), || bench.remaining().iter().any(|line| line.contains("7603")))
        .await;
    bench.close(place).await;
}

/// Whatever tells processes of a place from others, some can lose it.
pub async fn closing_ends_what_has_cleared_its_environment(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let script =
        "(env -i sleep 7651 &); env -i setsid sleep 7652 & env -i sleep 7653 & touch data/started; wait";
    let _process = place.spawn(&sh(script)).await.unwrap();
    until("all run", Duration::from_secs(10), || {
        let remaining = bench.remaining();
        let runs = |words: &str| remaining.iter().any(|line| line.starts_with(words));
        runs("sleep 7651") && runs("sleep 7652") && runs("sleep 7653")
    })
    .await;
    bench.close(place).await;
}

/// A stopped process hears nothing until it is woken.
pub async fn closing_ends_what_was_stopped(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let _process = place.spawn(&sh("touch data/stopping; kill -STOP $$; sleep 7701")).await.unwrap();
    until("it stops", Duration::from_secs(10), || bench.path("data/stopping").exists()).await;
    bench.close(place).await;
}

/// A drill has a place for every server.
pub async fn closing_one_place_leaves_the_other(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let primary = bench.open().await;
    let restored = Need { server: "restored".to_owned(), ..bench.need.clone() };
    let restored = bench.runtime.open(&restored).await.unwrap();
    let mut process = restored.spawn(&Command::system("sleep", ["7801"])).await.unwrap();
    assert_eq!(primary.close().await, []);
    assert!(process.running(), "the other place's process was ended");
    succeed(&*restored, "true").await;
    bench.close(restored).await;
}

/// The record says which PostgreSQL ran, as whom, and what was not kept apart.
pub async fn the_facts_name_what_was_asked_for(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let facts = place.facts();
    assert_eq!(facts.runtime, bench.runtime.name());
    assert!(facts.postgres.contains(&format!("(PostgreSQL) {}", bench.need.major)), "{}", facts.postgres);
    assert!(facts.bin_dir.is_absolute() && !facts.user.is_empty());
    assert!(facts.shared.iter().all(|what| !what.is_empty() && !what.ends_with('.')), "{:?}", facts.shared);
    bench.close(place).await;
}

/// Asked for 99, a runtime does not silently take 15.
pub async fn a_major_that_is_not_there_is_named_with_what_is(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let need = Need { major: Major(99), ..bench.need.clone() };
    let Err(unable) = bench.runtime.open(&need).await else { panic!("there is no PostgreSQL 99") };
    assert_eq!(unable.code, Code::PostgresMissing);
    let there = bench.need.major.to_string();
    assert!(unable.message.contains("99") && unable.message.contains(&there), "{}", unable.message);
    assert_eq!(bench.remaining(), [""; 0]);
}
