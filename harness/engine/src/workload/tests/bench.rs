//! A server with the trading fixture for the tests of this module, and what is asked of it afterwards.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pgdrill_ledger::judge::{Judgement, Question, Required, judge};
use pgdrill_ledger::{Commit, Found, History, Leg, Reader, Replayed, Sums, Table, expected};
use pgdrill_model::event::Event;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::redact::Redactor;
use pgdrill_model::world::{Clock, Command, Listener, Need, Runtime};
use pgdrill_runtime::local::{LocalRuntime, LocalSettings};
use tempfile::TempDir;
use tokio_postgres::types::PgLsn;

use crate::clock::SystemClock;
use crate::connections::Connections;
use crate::content::{Measure, measure};
use crate::data::DATABASE;
use crate::data::load::load;
use crate::record::Recorder;
use crate::server::Server;
use crate::session::{Door, SUPERUSER, Session, Socket};
use crate::workload::{Book, find};
use crate::workspace::Workspace;

/// How long anything may take that is waited for.
const LIMIT: Duration = Duration::from_secs(60);

const CONSERVATION: &str = include_str!("../../sql/conservation.sql");

struct Deaf;

impl Listener for Deaf {
    fn hear(&self, _: &Event) {}
}

/// The server.
pub struct Bench {
    pub clock: Arc<SystemClock>,
    pub server: Server,
    pub book: Book,
    pub ledger: PathBuf,
    pub base: BTreeMap<Table, Sums>,
    began: u64,
    configuration: String,
    workspace: Workspace,
    directory: TempDir,
}

impl Bench {
    /// Makes one, loads the fixture, and begins a ledger.
    pub async fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // In memory where there is room; open, because servers run as another account.
        let memory = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > 4 << 30);
        let parent = if room { memory } else { Path::new("/tmp") };
        let directory = tempfile::Builder::new().prefix("pgw").tempdir_in(parent).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let id = format!("w{}x{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let runtime = LocalRuntime::new(LocalSettings::from_env(|name| std::env::var_os(name)));
        let major = *runtime.majors().await.unwrap().last().expect("these tests need a PostgreSQL");
        let workspace = Workspace::create(directory.path(), &id, runtime.owner().unwrap(), 0).unwrap();
        workspace.make_dir(Path::new(Name::Primary.name())).unwrap();
        let need = Need {
            run_id: id.clone(),
            server: "primary".to_owned(),
            major,
            workspace: workspace.root().to_owned(),
            writable: vec![workspace.root().to_owned()],
            readable: Vec::new(),
            network: true,
        };
        let place = runtime.open(&need).await.unwrap();
        let data = workspace.data(Name::Primary).display().to_string();
        let arguments = [
            "--pgdata",
            &data,
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
            "--no-sync",
            "--locale",
            "C",
            "-E",
            "UTF8",
        ];
        let made = place.run(&Command::postgres("initdb", arguments)).await.unwrap();
        assert!(made.success(), "{}", made.stderr);
        let socket = workspace.socket(Name::Primary);
        let configuration = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nlc_messages = 'C'\n\
             dynamic_shared_memory_type = mmap\nwal_level = replica\nwal_keep_size = '1GB'\nmax_wal_size = '4GB'\nlog_timezone = 'UTC'\n",
            socket.display()
        );
        let clock = Arc::new(SystemClock::start());
        let mut server = Server::new(Name::Primary, &workspace, place);
        server.start(&workspace, &configuration).await.unwrap();
        server.ready(&Door::superuser(&socket, SUPERUSER), LIMIT, clock.as_ref()).await.unwrap();
        let redactor = Redactor::default();
        load(&socket, 1, 200, &[], &Recorder::new(clock.as_ref(), &Deaf, &redactor, None)).await.unwrap();
        let ledger = directory.path().join("ledger");
        let book = Book::create(&ledger, &id, 42).unwrap();
        let base = BTreeMap::new();
        let mut bench =
            Self { clock, server, book, ledger, base, began: 0, configuration, workspace, directory };
        bench.began = bench.wal_end().await;
        bench.base = bench.content().await;
        bench
    }

    pub fn socket(&self) -> Socket {
        self.server.socket.clone()
    }

    pub async fn superuser(&self) -> Session {
        Door::superuser(&self.server.socket, DATABASE).open().await.unwrap()
    }

    /// The door to sessions in which the text of rows is the same everywhere.
    pub fn reading(&self) -> Door {
        Door::reading(&self.server.socket, DATABASE)
    }

    /// Starts the server again after it was killed. Its children may still be about to notice.
    pub async fn start_again(&mut self) {
        let until = Instant::now() + LIMIT;
        let door = Door::superuser(&self.server.socket, SUPERUSER);
        loop {
            self.server.gone(LIMIT).await.unwrap();
            self.server.start(&self.workspace, &self.configuration).await.unwrap();
            match self.server.ready(&door, LIMIT, self.clock.as_ref()).await {
                Ok(_) => return,
                Err(unable) => assert!(Instant::now() < until, "{unable}"),
            }
        }
    }

    pub async fn wal_end(&self) -> u64 {
        let row = self.superuser().await.query_one("SELECT pg_current_wal_insert_lsn()", &[]).await.unwrap();
        row.get::<_, PgLsn>(0).into()
    }

    /// The content of the tables that the writers change, by the engine's own measure.
    pub async fn content(&self) -> BTreeMap<Table, Sums> {
        let redactor = Redactor::default();
        let recorder = Recorder::new(self.clock.as_ref(), &Deaf, &redactor, None);
        let what = Measure::default();
        let content = measure(&self.server.socket, &what, &Connections::default(), &recorder).await.unwrap();
        let tables = &content.databases[DATABASE].tables;
        let of = |table: Table| {
            let suffix = |name: &str| name.trim_matches('"').ends_with(table.name());
            let (_, content) = tables.iter().find(|(name, _)| suffix(name)).expect("the table");
            let content = content.as_ref().unwrap();
            (table, Sums::of_table(content.rows, &content.fingerprint).unwrap())
        };
        Table::ALL.into_iter().map(of).collect()
    }

    /// The commits in the WAL since the ledger began, as `pg_waldump` tells them.
    pub async fn commits(&self) -> (Vec<Commit>, u64) {
        let session = self.superuser().await;
        // The last asynchronous commit must be in the files, not only in memory. And `pg_waldump` asks any segment for
        // its size: each must have begun.
        session.batch_execute("SELECT pg_switch_wal()").await.unwrap();
        session.batch_execute("CHECKPOINT").await.unwrap();
        let reached = self.wal_end().await;
        let path = self.workspace.data(Name::Primary).join("pg_wal");
        let output = self.directory.path().join(format!("dump-{reached}"));
        let lsn = |lsn: u64| format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff);
        let arguments = [
            "--path".to_owned(),
            path.display().to_string(),
            "--rmgr=Transaction".to_owned(),
            "--start".to_owned(),
            lsn(self.began),
            "--end".to_owned(),
            lsn(reached),
        ];
        let dump = Command::postgres("pg_waldump", arguments).log_to(&output);
        self.server.place().run(&dump).await.unwrap();
        let text = fs::read_to_string(&output).unwrap();
        let commits: Vec<Commit> = text.lines().filter_map(commit).collect();
        assert!(!commits.is_empty(), "{text}");
        (commits, reached)
    }

    /// Judges what is in the database, with the WAL as the second witness or without it.
    pub async fn judge(&self, with_wal: bool) -> (History, Found, Judgement) {
        let history = History::read(&self.ledger).unwrap();
        let found = find(&self.server.socket, self.book.tag()).await.unwrap();
        let (commits, reached) = if with_wal { self.commits().await } else { (Vec::new(), 0) };
        let line = Leg::only(1);
        let replayed = Replayed { from: self.began, reached, path: &line, commits: &commits };
        let judgement = judge(&Question {
            history: &history,
            line: &line,
            required: Required::Everything,
            replayed: with_wal.then_some(replayed),
            found: &found,
        });
        (history, found, judgement)
    }

    /// What the tables must hold.
    pub fn expected(&self, judgement: &Judgement) -> BTreeMap<Table, Sums> {
        let mut expected = expected::tables(Reader::open(&self.ledger).unwrap(), judgement).unwrap();
        for (table, sums) in &mut expected {
            *sums += self.base[table];
        }
        expected
    }

    /// That the books of the application balance.
    pub async fn assert_conserved(&self) {
        let row = self.superuser().await.query_one(CONSERVATION, &[]).await.unwrap();
        let counts: (i64, i64) = (row.get("wrong"), row.get("unaudited"));
        assert_eq!(counts, (0, 0), "positions that are wrong, orders without an audit row");
    }

    /// Asks until the answer is yes.
    pub async fn until(&self, query: &str) {
        let session = self.superuser().await;
        let until = Instant::now() + LIMIT;
        while !session.query_one(query, &[]).await.unwrap().get::<_, bool>(0) {
            assert!(Instant::now() < until, "never true: {query}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn close(self) {
        self.server.close().await;
        self.workspace.remove().unwrap();
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}

/// A commit in a line of `pg_waldump`: `rmgr: Transaction len (rec/tot): 34/34, tx: 735, lsn: 0/01500028, prev
/// 0/014FFFF8, desc: COMMIT ...`.
fn commit(line: &str) -> Option<Commit> {
    let after = |name: &str| line.split_once(name).map(|(_, rest)| rest.trim_start());
    if !after("desc:")?.starts_with("COMMIT") {
        return None;
    }
    let number = |text: &str| text.split([',', ' ']).next()?.parse::<u32>().ok();
    let length = u64::from(number(after("(rec/tot):")?.split_once('/')?.1.trim_start())?);
    let (high, low) = after("lsn:")?.split(',').next()?.split_once('/')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let lsn_start = hex(high)? << 32 | hex(low)?;
    // A record goes on behind the header of the next page (`src/include/access/xlog_internal.h`).
    let mut lsn_end = lsn_start + length;
    if lsn_start / 8192 != (lsn_end - 1) / 8192 {
        lsn_end += if lsn_end.div_euclid(8192) * 8192 % (16 << 20) == 0 { 40 } else { 24 };
    }
    Some(Commit {
        branch: 1,
        xid: number(after("tx:")?)?,
        lsn_start,
        lsn_end: lsn_end.next_multiple_of(8),
        time_us: 0,
    })
}
