//! Promises about real PostgreSQL servers: their backends are in sessions of their own and survive what ends
//! others.

use std::path::Path;
use std::time::Duration;

use pgdrill_model::world::{Command, Need, Place, Process, Signal};

use super::{Bench, Fixture};

/// Keeps a processor busy for longer than any test, without disk or memory.
const LONG_QUERY: &str = "SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d, pg_class e";

/// A running server.
pub struct Server<'a> {
    place: &'a dyn Place,
    socket: String,
    /// Its postmaster.
    pub postmaster: Box<dyn Process>,
}

impl<'a> Server<'a> {
    /// Makes a cluster in `data` below `dir` and starts a server on it that listens in `socket` beside it.
    pub async fn start(place: &'a dyn Place, dir: &Path) -> Self {
        let data = dir.join("data").display().to_string();
        let socket = dir.join("socket").display().to_string();
        let args = ["-D", &data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"];
        let exit = place.run(&Command::postgres("initdb", args)).await.unwrap();
        assert!(exit.success(), "initdb: {}", exit.stderr);
        let listen = format!("unix_socket_directories={socket}");
        let args = [
            "-D",
            &data,
            "-c",
            &listen,
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "dynamic_shared_memory_type=mmap",
        ];
        let start = Command::postgres("postgres", args).log_to(dir.join("log/server.log"));
        let postmaster = place.spawn(&start).await.unwrap();
        let server = Self { place, socket, postmaster };
        for _ in 0..600 {
            let ready = Command::postgres("pg_isready", ["-q", "-h", &server.socket]);
            if place.run(&ready).await.unwrap().success() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server did not start");
    }

    fn psql(&self, sql: &str) -> Command {
        Command::postgres(
            "psql",
            ["-XAtq", "-h", &self.socket, "-U", "postgres", "-d", "postgres", "-c", sql],
        )
    }

    /// What a statement returns.
    pub async fn ask(&self, sql: &str) -> String {
        let exit = self.place.run(&self.psql(sql)).await.unwrap();
        assert!(exit.success(), "{sql}: {}", exit.stderr);
        exit.stdout.trim().to_owned()
    }

    /// Connects a client with a long query and one that does nothing within a transaction.
    pub async fn keep_busy(&self) {
        let busy = self.psql(LONG_QUERY);
        let idle = self.psql("BEGIN; SELECT pg_sleep(7000)");
        for client in [busy, idle] {
            // Whoever looks after clients is not the handle.
            drop(self.place.spawn(&client).await.unwrap());
        }
        let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                      AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        for _ in 0..200 {
            if self.ask(active).await == "2" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the clients did not connect");
    }
}

/// Neither a connected client nor a query that looks at nothing but its own work holds it up.
pub async fn closing_ends_a_server_with_clients_and_a_long_query(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let server = Server::start(&*place, bench.workspace()).await;
    server.keep_busy().await;
    drop(server);
    bench.close(place).await;
    assert!(bench.path("data/global/pg_control").exists());
}

/// A postmaster that was killed, as a disaster does it, leaves a backend that is busy.
pub async fn closing_ends_backends_that_outlived_their_postmaster(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let mut server = Server::start(&*place, bench.workspace()).await;
    server.keep_busy().await;
    place.signal(server.postmaster.pid(), Signal::Kill).await.unwrap();
    assert_eq!(server.postmaster.wait().await.unwrap().signal, Some(9));
    assert!(bench.remaining().iter().any(|line| line.contains("SELECT")), "{:?}", bench.remaining());
    drop(server);
    bench.close(place).await;
}

/// A frozen server is woken to end its own backends.
pub async fn closing_ends_a_stopped_server(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let server = Server::start(&*place, bench.workspace()).await;
    server.keep_busy().await;
    let stop = Command::system("kill", ["-STOP".to_owned(), server.postmaster.pid().to_string()]);
    assert!(place.run(&stop).await.unwrap().success());
    drop(server);
    bench.close(place).await;
}

/// SIGINT is a fast shutdown: exit code 0, and a cluster that was shut down.
pub async fn a_signal_shuts_a_server_down_in_order(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let mut server = Server::start(&*place, bench.workspace()).await;
    server.keep_busy().await;
    assert!(server.postmaster.running());
    place.signal(server.postmaster.pid(), Signal::Int).await.unwrap();
    let exit = server.postmaster.wait().await.unwrap();
    assert!(exit.success(), "{}", exit.describe());
    let data = bench.path("data").display().to_string();
    let control = place.run(&Command::postgres("pg_controldata", ["-D", &data])).await.unwrap();
    assert!(control.stdout.contains("shut down\n"), "{}", control.stdout);
    drop(server);
    bench.close(place).await;
}

/// The primary is closed while the restored server runs, and the restored server does not notice.
pub async fn two_servers_in_one_workspace_end_one_by_one(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let primary = bench.open().await;
    let busy = Server::start(&*primary, bench.workspace()).await;
    busy.keep_busy().await;

    let dir = bench.path("other");
    bench.make_dirs(&["other", "other/data", "other/socket", "other/log"]);
    let need = Need {
        server: "restored".to_owned(),
        writable: ["data", "socket", "log"].map(|name| dir.join(name)).to_vec(),
        ..bench.need.clone()
    };
    let restored = bench.runtime.open(&need).await.unwrap();
    let mut server = Server::start(&*restored, &dir).await;
    server.keep_busy().await;

    drop(busy);
    assert_eq!(primary.close().await, []);
    assert!(server.postmaster.running());
    assert_eq!(server.ask("SELECT 1").await, "1");
    let primary = format!("-D {}", bench.path("data").display());
    assert!(!bench.remaining().iter().any(|line| line.contains(&primary)), "{:?}", bench.remaining());
    drop(server);
    bench.close(restored).await;
}
