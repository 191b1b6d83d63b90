//! One look at a live server: a connection of its own, so that a server which takes no more is noticed; one question, which
//! changes nothing; and the disks of this host that belong to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::alert::{Disk, Measured};
use tokio_postgres::config::Host;
use tokio_postgres::{Config, Error, NoTls};

use crate::session::{Door, describe};

const SAMPLE: &str = include_str!("../sql/live_sample.sql");

/// A server to be looked at, and how.
#[derive(Clone, Debug)]
pub struct Probe {
    config: Config,
    disks: Vec<PathBuf>,
    limit: Duration,
}

/// Why there is nothing to be looked at by this connection string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong with it, without any of its content.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

impl Probe {
    /// A server by its connection string (`host=... user=...`, or `postgresql://...`). A password that is not in it is
    /// taken from `password`. `disks` are directories on the disks that belong to the server; a look takes at most `limit`.
    ///
    /// # Errors
    ///
    /// A string that is no connection string, or that names no server.
    pub fn new(
        dsn: &str,
        password: Option<&str>,
        disks: Vec<PathBuf>,
        limit: Duration,
    ) -> Result<Self, Wrong> {
        let mut config: Config = dsn.parse().map_err(|error: Error| Wrong {
            // Where it breaks is told, never what stands there.
            message: format!("this is no connection string: {error}"),
            hint: "write it as `host=db.example user=monitor dbname=trading`, or as `postgresql://monitor@db.example/trading`",
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Wrong {
                message: "the connection string names no host".to_owned(),
                hint: "write `host=`, with a name, an address, or the directory of a Unix socket",
            });
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        config.application_name("pgdrill").connect_timeout(limit);
        Ok(Self { config, disks, limit })
    }

    /// A server of a drill, by its door.
    pub(crate) fn of(door: &Door, disks: Vec<PathBuf>, limit: Duration) -> Self {
        Self { config: door.config(), disks, limit }
    }

    /// Whether the connection string holds a password.
    pub fn has_password(dsn: &str) -> bool {
        dsn.parse::<Config>().is_ok_and(|config| config.get_password().is_some())
    }

    /// Looks at the server: what it answers, or why it does not; and at the disks.
    pub async fn look(&self) -> (Result<Measured, String>, Vec<Disk>) {
        let answer = match tokio::time::timeout(self.limit, self.ask()).await {
            Ok(answer) => answer.map_err(|error| describe(&error)),
            Err(_) => Err(format!("no answer within {:.1} s", self.limit.as_secs_f64())),
        };
        let disks = self.disks.iter().map(|path| Disk { path: path.display().to_string(), used: used(path) });
        (answer, disks.collect())
    }

    async fn ask(&self) -> Result<Measured, Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        let connection = tokio::spawn(connection);
        let row = client.query_one(SAMPLE, &[]).await?;
        let longest: Option<f64> = row.try_get("longest")?;
        let unsigned = |name: &str| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
        let measured = Measured {
            archive_failures: unsigned("archive_failures")?,
            bytes: unsigned("bytes")?,
            longest_query: longest.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
            sees_all: row.try_get("sees_all")?,
            commits: unsigned("commits")?,
            rollbacks: unsigned("rollbacks")?,
        };
        // The server hears that this is the end, and logs no line about a connection that broke.
        drop(client);
        let _ = connection.await;
        Ok(measured)
    }
}

/// The part of a disk that is taken, of what an unprivileged account can have of it, as `df` tells it.
fn used(path: &PathBuf) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let taken = disk.f_blocks.saturating_sub(disk.f_bfree);
    let all = taken + disk.f_bavail;
    (all > 0).then(|| taken as f64 / all as f64)
}

impl fmt::Display for Probe {
    /// Which server it is, without any password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let ports: Vec<String> = self.config.get_ports().iter().map(u16::to_string).collect();
        write!(f, "{}", hosts.join(","))?;
        if !ports.is_empty() {
            write!(f, ":{}", ports.join(","))?;
        }
        let user = self.config.get_user();
        let database = self.config.get_dbname().or(user);
        write!(f, "/{}", database.unwrap_or("postgres"))?;
        user.map_or(Ok(()), |user| write!(f, " as {user}"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn probe(dsn: &str) -> Result<Probe, Wrong> {
        Probe::new(dsn, None, Vec::new(), Duration::from_secs(1))
    }

    #[rstest]
    #[case("host=/run/postgresql user=monitor", "/run/postgresql/monitor as monitor")]
    #[case("postgresql://monitor:secret@db.example:6432/trading", "db.example:6432/trading as monitor")]
    #[case("host=a,b port=1,2 dbname=x", "a,b:1,2/x")]
    fn a_server_is_named_without_its_password(#[case] dsn: &str, #[case] expected: &str) {
        assert_eq!(probe(dsn).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case::no_host("user=monitor password=secret", "names no host")]
    #[case::no_string("host", "no connection string")]
    #[case::unknown_key("host=a colour=secret", "no connection string")]
    fn what_is_wrong_is_told_without_what_stands_there(#[case] dsn: &str, #[case] expected: &str) {
        let wrong = probe(dsn).unwrap_err();
        assert!(wrong.message.contains(expected) && !wrong.message.contains("secret"), "{wrong:?}");
    }

    #[test]
    fn a_password_in_the_string_is_known() {
        assert!(Probe::has_password("host=a password=b"));
        assert!(Probe::has_password("postgresql://u:p@h/d"));
        assert!(!Probe::has_password("host=a user=b"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_and_the_disk_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let dsn = format!("host={} user=nobody", directory.path().display());
        let disks = vec![directory.path().to_owned(), directory.path().join("none")];
        let probe = Probe::new(&dsn, None, disks, Duration::from_secs(5)).unwrap();
        let (answer, disks) = probe.look().await;
        assert!(answer.unwrap_err().contains("No such file"));
        assert!(disks[0].used.is_some_and(|used| (0.0..=1.0).contains(&used)) && disks[1].used.is_none());
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_waited_for_no_longer_than_the_limit() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dsn = format!("host=127.0.0.1 port={port} user=nobody");
        let probe = Probe::new(&dsn, None, Vec::new(), Duration::from_millis(50)).unwrap();
        let answer = probe.look().await.0.unwrap_err();
        assert!(
            answer.contains("no answer within") || answer.contains("timed out") || answer.contains("timeout"),
            "{answer}"
        );
    }
}
