//! One look at a live server: a connection of its own, so that a server which takes no more is noticed; one question, which
//! changes nothing; and the disks of this host that belong to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::alert::{Disk, Measured};
use pgdrill_model::triage::Space;
use tokio_postgres::Error;

use super::target::{Target, Wrong, words};
use crate::session::Door;

const SAMPLE: &str = include_str!("../sql/live_sample.sql");

/// A server to be looked at, and how.
#[derive(Clone, Debug)]
pub struct Probe {
    target: Target,
    disks: Vec<PathBuf>,
    limit: Duration,
}

impl Probe {
    /// A server by its connection string, as [`Target::new`] reads it. `disks` are directories on the disks that belong to
    /// the server; a look takes at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Target::new`].
    pub fn new(
        dsn: &str,
        password: Option<&str>,
        disks: Vec<PathBuf>,
        limit: Duration,
    ) -> Result<Self, Wrong> {
        Ok(Self { target: Target::new(dsn, password, limit)?, disks, limit })
    }

    /// A server of a drill, by its door.
    pub(crate) fn of(door: &Door, disks: Vec<PathBuf>, limit: Duration) -> Self {
        Self { target: Target::of(door), disks, limit }
    }

    /// Looks at the server: what it answers, or why it does not; and at the disks.
    pub async fn look(&self) -> (Result<Measured, String>, Vec<Disk>) {
        let answer = match tokio::time::timeout(self.limit, self.ask()).await {
            Ok(answer) => answer.map_err(|error| words(&error)),
            Err(_) => Err(format!("no answer within {:.1} s", self.limit.as_secs_f64())),
        };
        let disks = self.disks.iter().map(|path| Disk {
            path: path.display().to_string(),
            used: space(path).ok().map(|space| space.used),
        });
        (answer, disks.collect())
    }

    async fn ask(&self) -> Result<Measured, Error> {
        let connected = self.target.connect().await?;
        let row = connected.client.query_one(SAMPLE, &[]).await?;
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
        connected.close().await;
        Ok(measured)
    }
}

/// How full a disk is, as `df` tells it: of what an unprivileged account can have.
pub(super) fn space(path: &Path) -> Result<Space, String> {
    let disk = rustix::fs::statvfs(path).map_err(|error| std::io::Error::from(error).to_string())?;
    let taken = disk.f_blocks.saturating_sub(disk.f_bfree);
    let all = taken + disk.f_bavail;
    if all == 0 {
        return Err("it has no space of its own".to_owned());
    }
    Ok(Space { used: taken as f64 / all as f64, free: disk.f_bavail.saturating_mul(disk.f_frsize) })
}

impl fmt::Display for Probe {
    /// Which server it is, without any password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
