//! The workload of a scenario: writers that place orders while other things happen.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::Switch;
use super::mistake::{Note, quote};
use super::slot::{Slot, TextOr, read_text_or};
use super::value::{FromText, Span, UNITS_OF_BYTES, bytes_in_words, read_from_text, whole_number};
use super::wrong::Words;
use crate::units::{show_bytes, show_count, show_duration};

/// Seeded writers that place orders, each on its own connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Work {
    /// How many.
    pub writers: u16,
    /// When they end.
    pub until: WorkUntil,
    /// The most transactions that all of them begin in a second; none: as many as they can.
    pub rate: Option<u32>,
    /// Whether the next steps go on beside them.
    pub behind: bool,
    /// Their `synchronous_commit`; none: the server's own.
    pub synchronous_commit: Option<SynchronousCommit>,
}

/// When a workload ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkUntil {
    /// After this time.
    For(Duration),
    /// After so many transactions of all writers.
    Transactions(u64),
    /// When so many bytes of WAL were written since it began.
    Wal(u64),
    /// When it is stopped, or its server is lost.
    Stopped,
}

/// `synchronous_commit` (`src/include/access/xact.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SynchronousCommit {
    /// A commit is acknowledged before it is on disk.
    Off,
    /// When it is on the server's own disk.
    Local,
    /// When synchronous standbys have it, too.
    On,
    /// When synchronous standbys have written it.
    RemoteWrite,
    /// When synchronous standbys have replayed it.
    RemoteApply,
}

impl SynchronousCommit {
    /// As the setting has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::On => "on",
            Self::RemoteWrite => "remote_write",
            Self::RemoteApply => "remote_apply",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writers place orders", self.writers)?;
        match self.rate {
            Some(rate) => write!(f, " at {rate} transactions per second")?,
            None => f.write_str(" flat out")?,
        }
        match self.until {
            WorkUntil::For(time) => write!(f, " for {}", show_duration(time))?,
            WorkUntil::Transactions(count) => write!(f, ", {} transactions", show_count(count))?,
            WorkUntil::Wal(bytes) => write!(f, " until {} of WAL are written", show_bytes(bytes))?,
            WorkUntil::Stopped => f.write_str(" until they are stopped")?,
        }
        if let Some(level) = self.synchronous_commit {
            write!(f, ", synchronous_commit={}", level.name())?;
        }
        if self.behind { f.write_str(", behind the next steps") } else { Ok(()) }
    }
}

/// How many writers.
#[derive(Clone, Debug)]
pub(super) struct Writers(pub(super) u16);

/// The most writers: a server of a drill has room for 100 connections.
pub(super) const MOST_WRITERS: u16 = 64;

impl FromText for Writers {
    const WANTED: &'static str = "a whole number, as in 4";

    fn from_text(text: &str) -> Result<Self, Words> {
        let number = whole_number(text, Self::WANTED)?;
        u16::try_from(number).ok().filter(|n| (1..=MOST_WRITERS).contains(n)).map(Self).ok_or_else(|| {
            let hint = match number {
                0 => "leave the step out if nobody should work",
                _ => "each writer has a connection of its own, and a drill's server takes 100",
            };
            Words::predicate(format!("must be between 1 and {MOST_WRITERS}; found {number}"), hint)
        })
    }
}

/// A number of transactions.
#[derive(Clone, Debug)]
pub(super) struct Transactions(pub(super) u64);

impl FromText for Transactions {
    const WANTED: &'static str = "a whole number, as in 10_000";

    fn from_text(text: &str) -> Result<Self, Words> {
        match whole_number(text, Self::WANTED)? {
            0 => Err(Words::predicate("must be at least 1", "leave the step out if nothing should happen")),
            number => Ok(Self(number)),
        }
    }
}

/// An amount of WAL.
#[derive(Clone, Debug)]
pub(super) struct WalBytes(pub(super) u64);

impl FromText for WalBytes {
    const WANTED: &'static str = "an amount of WAL, as in 64MiB";

    fn from_text(text: &str) -> Result<Self, Words> {
        match bytes_in_words(text, Self::WANTED).transpose()? {
            Some(0) => Err(Words::predicate(
                "must be more than nothing",
                "leave the step out if nothing should happen",
            )),
            Some(bytes) => Ok(Self(bytes)),
            None => Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, quote(text)),
                UNITS_OF_BYTES,
            )),
        }
    }
}

/// Transactions per second.
#[derive(Clone, Debug)]
pub(super) struct Rate(pub(super) u32);

impl FromText for Rate {
    const WANTED: &'static str = "transactions per second, as in 200";

    fn from_text(text: &str) -> Result<Self, Words> {
        let number = whole_number(text, Self::WANTED)?;
        u32::try_from(number).ok().filter(|rate| (1..=1_000_000).contains(rate)).map(Self).ok_or_else(|| {
            Words::predicate(
                format!("must be between 1 and 1000000; found {number}"),
                "leave `rate` out for as many as the server takes",
            )
        })
    }
}

read_from_text!(Writers, Transactions, WalBytes, Rate);

/// Writers that place orders.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WorkMapping {
    /// How many writers, each on its own connection. Default: 4.
    pub(super) writers: Slot<Writers>,
    /// How long they work, as in 5s. Default: 5s in the foreground.
    #[serde(rename = "for")]
    pub(super) lasting: Slot<Span>,
    /// How many transactions they make in all.
    pub(super) transactions: Slot<Transactions>,
    /// How much WAL is written while they work, as in 64MiB: what a recovery has to replay.
    pub(super) wal: Slot<WalBytes>,
    /// How many transactions all of them begin in a second. Default: as many as the server takes.
    pub(super) rate: Slot<Rate>,
    /// Whether the next steps go on beside them, until `work: stop` or the disaster. Default: off.
    pub(super) behind: Slot<Switch>,
    /// Their synchronous_commit. Default: the server's own.
    pub(super) synchronous_commit: Slot<SynchronousCommit>,
}

/// A workload, or the end of the one that goes on behind.
#[derive(Debug)]
pub(super) enum WorkArguments {
    Stop,
    Mapping(Box<WorkMapping>),
}

read_text_or!(WorkArguments);

impl TextOr<'_> for WorkArguments {
    type Arguments = WorkMapping;
    const WANTED: &'static str = "stop, or a mapping, as in { writers: 4, for: 5s }";
    const HINT: &'static str = "write `work: { writers: 4, for: 5s }`";

    fn text(text: &str) -> Result<Self, Words> {
        match text {
            "stop" => Ok(Self::Stop),
            _ => {
                Err(Words::predicate(format!("must be {}; found {}", Self::WANTED, quote(text)), Self::HINT))
            }
        }
    }

    fn arguments(arguments: WorkMapping) -> Self {
        Self::Mapping(Box::new(arguments))
    }

    fn nothing() -> Result<Self, Words> {
        Ok(Self::Mapping(Box::default()))
    }
}

const WRITERS: u16 = 4;
const LASTING: Duration = Duration::from_secs(5);

/// The workload that `arguments` mean. What makes no sense is noted.
pub(super) fn meaning(arguments: WorkMapping, notes: &mut Vec<Note>) -> Work {
    let behind = arguments.behind.what().is_some_and(|switch| switch.0);
    let ends = [
        ("for", arguments.lasting.span(), arguments.lasting.what().map(|time| WorkUntil::For(time.0))),
        (
            "transactions",
            arguments.transactions.span(),
            arguments.transactions.what().map(|count| WorkUntil::Transactions(count.0)),
        ),
        ("wal", arguments.wal.span(), arguments.wal.what().map(|bytes| WorkUntil::Wal(bytes.0))),
    ];
    let given: Vec<_> = ends.into_iter().filter_map(|(name, place, end)| Some((name, place, end?))).collect();
    if let [(first, _, _), (second, Some(place), _), ..] = given.as_slice() {
        notes.push(
            Note::new(*place, format!("`{first}` and `{second}` both say when the work ends"))
                .hint("leave one of them out"),
        );
    }
    if let (true, Some((_, Some(place), WorkUntil::Wal(_)))) = (behind, given.last()) {
        notes.push(
            Note::new(
                *place,
                "`wal` says when work ends that the next step waits for, and this one goes on behind it",
            )
            .hint("leave `behind` out, or say `for` or `transactions`"),
        );
    }
    let usual = if behind { WorkUntil::Stopped } else { WorkUntil::For(LASTING) };
    let until = given.last().map_or(usual, |(_, _, until)| *until);
    Work {
        writers: arguments.writers.what().map_or(WRITERS, |writers| writers.0),
        until,
        rate: arguments.rate.what().map(|rate| rate.0),
        behind,
        synchronous_commit: arguments.synchronous_commit.what(),
    }
}
