//! The alerts: what tells that something is wrong with a live server, before anybody thinks of a restore. One table that
//! feeds the watch, its metrics, `explain` and the runbook.
//!
//! An alert fires when its value is greater than its limit, and is over when it is not any more. What it is about is read
//! from [`Sample`]s that are taken again and again: a [`Watch`] keeps as many as its longest window needs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod watch;

pub use watch::{Change, Disk, Level, Measured, Sample, Watch};

/// What the value of an alert counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things that happened within the window.
    Events,
    /// A part of a whole; 0.01 is one percent.
    Fraction,
    /// A time in seconds.
    Seconds,
}

/// One row of the catalogue of alerts.
#[derive(Clone, Copy, Debug)]
pub struct AlertEntry {
    /// The alert.
    pub alert: Alert,
    /// Its name, for people and as a label of metrics.
    pub name: &'static str,
    /// What its value counts.
    pub unit: Unit,
    /// It fires above this, in its unit.
    pub limit: f64,
    /// How far back it looks; zero is now.
    pub window: Duration,
    /// What its value is and where it comes from.
    pub doc: &'static str,
    /// What it does not see.
    pub blind: &'static str,
    /// What to look at first.
    pub then: &'static str,
}

macro_rules! alerts {
    ($($alert:ident $name:literal $unit:ident $limit:literal in $window:literal $doc:literal $blind:literal $then:literal;)+) => {
        /// Something that is wrong with a live server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Alert {
            $(#[doc = $doc] #[serde(rename = $name)] $alert,)+
        }

        /// Every alert, in the order in which they are listed.
        pub const ALERTS: &[AlertEntry] = &[
            $(AlertEntry {
                alert: Alert::$alert,
                name: $name,
                unit: Unit::$unit,
                limit: $limit,
                window: Duration::from_secs($window),
                doc: $doc,
                blind: $blind,
                then: $then,
            },)+
        ];
    };
}

alerts! {
    ConnectionFailures "connection-failures" Events 5.0 in 60
        "More than 5 connections failed in 1 minute, of those that the watch itself tries."
        "Failures of other clients, as by a full pool in front of the server."
        "Is the server running, does it have room for connections, does the pooler answer?";
    ArchivingFailures "archiving-failures" Events 3.0 in 600
        "archive_command failed more than 3 times in 10 minutes (pg_stat_archiver)."
        "A command that claims success and keeps nothing, and pg_receivewal."
        "May the server write to the archive, is there room, what does archive_command say in the server's log?";
    SizeGrowth "size-growth" Fraction 0.5 in 3600
        "All databases together grew by more than 50 % in 1 hour."
        "WAL and temporary files."
        "Which table grew, and who writes to it?";
    LongQueries "long-queries" Seconds 600.0 in 0
        "A query has been running for longer than 10 minutes (pg_stat_activity)."
        "Transactions that are open and idle; queries of others where the role may not see them (pg_read_all_stats)."
        "Does it wait for a lock, and who holds it?";
    SlowQueries "slow-queries" Seconds 5.0 in 0
        "A query has been running for longer than 5 seconds (pg_stat_activity)."
        "Many short ones; queries of others where the role may not see them (pg_read_all_stats)."
        "Does it wait for a lock, is an index missing, is the server short of something?";
    DiskUse "disk-use" Fraction 0.8 in 0
        "A disk that is watched is more than 80 % full."
        "Disks that the watch was not told of."
        "WAL that cannot be archived, an abandoned replication slot, temporary files, logs?";
    ErrorRate "error-rate" Fraction 0.01 in 60
        "More than 1 % of the transactions of the last minute were rolled back (pg_stat_database), of 100 or more."
        "Statements that fail outside of transactions that count, and an application that fails before it gets to the server."
        "What does the server's log say, and what was deployed?";
}

impl Alert {
    /// The catalogue's row for this alert.
    pub fn entry(self) -> &'static AlertEntry {
        // The macro writes the enum and the table in the same order.
        &ALERTS[self as usize]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// A value in words.
    pub fn show(self, value: f64) -> String {
        match self.entry().unit {
            Unit::Events => format!("{value:.0}"),
            Unit::Fraction => format!("{:.1} %", value * 100.0),
            Unit::Seconds => crate::units::show_duration(Duration::from_secs_f64(value.max(0.0))),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Alert {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ALERTS
            .iter()
            .find(|entry| entry.name == text)
            .map(|entry| entry.alert)
            .ok_or_else(|| format!("there is no alert '{text}'"))
    }
}
