//! Promises about the lease: nothing outlives the process that holds a place, in whatever way that process
//! dies.
//!
//! The holder is this test program once more, started for the one ignored test that `runtime_contract!` adds,
//! and told by its environment what to do.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pgdrill_model::world::Signal;

use super::servers::Server;
use super::{Bench, Fixture, sh, until};

const DEED: &str = "PGDRILL_CONTRACT_DEED";
const WORKSPACE: &str = "PGDRILL_CONTRACT_WORKSPACE";
const RUN: &str = "PGDRILL_CONTRACT_RUN";

/// How soon all must be gone after the death of the holder.
const SOON: Duration = Duration::from_secs(5);

/// A process that holds a place.
struct Holder(Child);

impl Holder {
    /// Starts one and waits until it has done its deed.
    async fn start(bench: &Bench<'_>, deed: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["the_holder_of_a_place", "--ignored", "--nocapture"])
            .env(DEED, deed)
            .env(WORKSPACE, bench.workspace())
            .env(RUN, &bench.need.run_id)
            .env("PGPASSWORD", "hunter2")
            .env("PGOPTIONS", "-c hunter3")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut holder = Self(child);
        until("the holder is ready", Duration::from_secs(60), || {
            assert!(holder.0.try_wait().unwrap().is_none(), "the holder ended");
            bench.path("ready").exists()
        })
        .await;
        holder
    }

    /// Kills it in the way that leaves it no chance.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What the holder does: what it was told to, and then nothing until it is killed.
pub async fn hold(fixture: &dyn Fixture) {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(deed), Some(workspace), Some(run)) = (variable(DEED), variable(WORKSPACE), variable(RUN))
    else {
        // Somebody runs all ignored tests.
        return;
    };
    let bench = Bench::at(fixture, workspace.as_ref(), &run).await;
    let ready = || fs::write(bench.path("ready"), "").unwrap();
    let place = bench.open().await;
    match deed.as_str() {
        "show its environment" => {
            let shown = place.run(&sh("env")).await.unwrap().stdout;
            fs::write(bench.path("environment"), shown).unwrap();
            ready();
        }
        "run a server" => {
            let server = Server::start(&*place, bench.workspace()).await;
            server.keep_busy().await;
            place.spawn(&sh("setsid sleep 8001 & sleep 8002 & touch data/more; wait")).await.unwrap();
            until("all run", SOON, || bench.path("data/more").exists()).await;
            ready();
        }
        "run a server and kill its postmaster" => {
            let mut server = Server::start(&*place, bench.workspace()).await;
            server.keep_busy().await;
            place.signal(server.postmaster.pid(), Signal::Kill).await.unwrap();
            server.postmaster.wait().await.unwrap();
            ready();
        }
        "run a command" => {
            let command = sh("sleep 8101 & setsid sleep 8102 & touch data/more; sleep 8103");
            let command = command.within(Duration::from_secs(600));
            let run = place.run(&command);
            let begun = async {
                until("it runs", SOON, || bench.path("data/more").exists()).await;
                ready();
            };
            tokio::join!(run, begun).0.unwrap();
        }
        "run what is deaf" => {
            let deaf = "trap '' HUP INT QUIT TERM; while :; do sleep 0.2; done";
            let mut command = sh(&format!("setsid sh -c \"{deaf}\" & env -i sleep 8201 & {deaf}"));
            // An environment can be confusing to read.
            command.env = ('A'..='Z').map(|name| (name.to_string(), "line\nbreak\n".to_owned())).collect();
            place.spawn(&command).await.unwrap();
            place.run(&sh("sleep 0.2")).await.unwrap();
            ready();
        }
        other => panic!("no such deed: {other}"),
    }
    std::future::pending::<()>().await;
}

/// A password in the environment of pgdrill stays there.
pub async fn the_callers_environment_does_not_pass(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "show its environment").await;
    let shown = fs::read_to_string(bench.path("environment")).unwrap();
    assert!(shown.contains("LC_ALL=C\n"), "{shown}");
    assert!(!shown.contains("hunter") && !shown.contains(DEED), "{shown}");
    holder.kill();
    bench.wait_gone(SOON).await;
}

/// Postmaster, backends, clients, and what has left the group; and the files stay.
pub async fn a_server_ends_when_its_holder_is_killed(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "run a server").await;
    let before = bench.remaining();
    for words in ["-D ", "checkpointer", "SELECT", "psql", "sleep 8001", "sleep 8002"] {
        assert!(before.iter().any(|line| line.contains(words)), "{words} is not in {before:#?}");
    }
    holder.kill();
    let took = bench.wait_gone(SOON).await;
    // For people who measure: shown with `--no-capture`.
    eprintln_took("a killed holder's server was gone after", took);
    for name in ["data/PG_VERSION", "data/global/pg_control", "log/server.log"] {
        assert!(bench.path(name).exists(), "{name}");
    }
}

/// The command that was being run, not only what goes on running.
pub async fn a_command_ends_when_its_holder_is_killed(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "run a command").await;
    assert!(bench.remaining().iter().any(|line| line.contains("sleep 8103")), "{:?}", bench.remaining());
    holder.kill();
    let took = bench.wait_gone(SOON).await;
    eprintln_took("a killed holder's command was gone after", took);
}

/// In the group of the place, and out of it.
pub async fn what_ignores_every_polite_signal_ends_when_its_holder_is_killed(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "run what is deaf").await;
    let deaf = |line: &&String| line.contains("trap '' HUP");
    assert!(bench.remaining().iter().filter(deaf).count() >= 2, "{:#?}", bench.remaining());
    holder.kill();
    bench.wait_gone(SOON).await;
}

/// First the disaster, then the death of pgdrill.
pub async fn an_orphaned_backend_ends_when_its_holder_is_killed(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "run a server and kill its postmaster").await;
    assert!(bench.remaining().iter().any(|line| line.contains("SELECT")), "{:?}", bench.remaining());
    holder.kill();
    bench.wait_gone(SOON).await;
}

/// A place that nobody closed, because of a bug or a panic, ends all the same.
pub async fn a_dropped_place_ends(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let server = Server::start(&*place, bench.workspace()).await;
    server.keep_busy().await;
    drop(server);
    drop(place);
    bench.wait_gone(SOON).await;
}

/// Another pgdrill that is at work is left alone, whoever looks for strays.
pub async fn a_place_whose_holder_lives_is_no_stray(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "run a command").await;
    let strays = bench.runtime.strays().await.unwrap();
    let ours: Vec<_> = strays.iter().filter(|stray| stray.run_id == bench.need.run_id).collect();
    assert!(ours.is_empty(), "{ours:?}");
    assert!(bench.remaining().iter().any(|line| line.contains("sleep 8103")));
    holder.kill();
    bench.wait_gone(SOON).await;
}

/// Where the lease failed, the next run or `pgdrill clean` finds what was left.
pub async fn a_place_whose_holder_is_dead_is_found_and_reaped(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let holder = Holder::start(&bench, "run a server").await;
    let blind = fixture.blind_lease(&bench.need.run_id);
    holder.kill();
    assert!(bench.remaining().iter().any(|line| line.contains("SELECT")), "the lease was not blind");
    let strays = bench.runtime.strays().await.unwrap();
    let ours: Vec<_> = strays.iter().filter(|stray| stray.run_id == bench.need.run_id).collect();
    assert_eq!(ours.len(), 1, "{strays:?}");
    assert!(ours[0].what.contains("primary"), "{}", ours[0].what);
    bench.runtime.reap(ours[0]).await.unwrap();
    assert_eq!(bench.remaining(), [""; 0]);
    // Ending what has already ended is success.
    bench.runtime.reap(ours[0]).await.unwrap();
    let strays = bench.runtime.strays().await.unwrap();
    assert!(!strays.iter().any(|stray| stray.run_id == bench.need.run_id), "{strays:?}");
    drop(blind);
}

#[allow(clippy::print_stderr, reason = "a measurement that a test program prints")]
fn eprintln_took(what: &str, took: Duration) {
    eprintln!("{what} {took:?}");
}
