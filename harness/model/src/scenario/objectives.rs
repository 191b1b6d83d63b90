//! What a recovery must achieve.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::slot::Slot;
use super::tree::found_text;
use super::value::{FromText, Span, UNITS_OF_BYTES, bytes_in_words, read_from_text, whole_number};
use super::wrong::Words;
use crate::units::{show_bytes, show_count, show_duration};

/// What recovery must achieve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Objectives {
    /// The longest time from the disaster to the first application write on the recovered server.
    pub rto: Option<Duration>,
    /// The most that may be lost of what was acknowledged before the disaster.
    pub rpo: Option<Rpo>,
    /// The longest time from the last good answer of the application to the first good one after the recovery.
    pub outage: Option<Duration>,
}

/// The most that may be lost of what was acknowledged before the disaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rpo {
    /// So many transactions.
    Transactions(u64),
    /// What was acknowledged within so long before the disaster.
    Time(Duration),
    /// What so many bytes of WAL hold.
    Bytes(u64),
    /// Anything: the loss is measured and not judged.
    Any,
}

impl fmt::Display for Rpo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transactions(1) => f.write_str("1 transaction"),
            Self::Transactions(count) => write!(f, "{} transactions", show_count(*count)),
            Self::Time(time) => f.write_str(&show_duration(*time)),
            Self::Bytes(bytes) => write!(f, "{} of WAL", show_bytes(*bytes)),
            Self::Any => f.write_str("any"),
        }
    }
}

/// What recovery must achieve.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ObjectivesArguments {
    /// The longest time from the disaster to the first application write on the recovered server, as in 30s.
    pub(super) rto: Slot<Span>,
    /// The most that may be lost of what was acknowledged before the disaster: 0 transactions, 5s, 16MiB, or any, which
    /// measures and does not judge. Default: nothing may be lost.
    pub(super) rpo: Slot<RpoWord>,
    /// The longest time from the last good answer of the application to the first good one after the recovery, as in 60s.
    pub(super) outage: Slot<Span>,
}

/// An RPO as it is written.
#[derive(Clone, Debug)]
pub(super) struct RpoWord(pub(super) Rpo);

impl FromText for RpoWord {
    const WANTED: &'static str =
        "transactions, a duration, a number of bytes or any, as in 0 transactions, 5s, 16MiB";

    const HINT: &'static str =
        "write `0 transactions` where nothing may be lost, `any` where the loss is only measured";

    fn from_text(text: &str) -> Result<Self, Words> {
        let text = text.trim();
        if text == "any" {
            return Ok(Self(Rpo::Any));
        }
        if let Some(bytes) = bytes_in_words(text, Self::WANTED) {
            return bytes.map(|bytes| Self(Rpo::Bytes(bytes)));
        }
        for unit in ["transactions", "transaction"] {
            if let Some(number) = text.strip_suffix(unit) {
                return whole_number(number.trim(), Self::WANTED).map(|count| Self(Rpo::Transactions(count)));
            }
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
            return Err(Words::predicate(
                format!("needs a unit; found {}", found_text(text)),
                format!("write {text} transactions, {text}s or {text}MiB"),
            ));
        }
        let hint = if matches!(text.bytes().last(), Some(b'b' | b'B' | b'k' | b'K' | b'M' | b'G')) {
            UNITS_OF_BYTES
        } else {
            Self::HINT
        };
        Span::from_text(text).map(|span| Self(Rpo::Time(span.0))).map_err(|_| {
            Words::predicate(format!("must be {}; found {}", Self::WANTED, found_text(text)), hint)
        })
    }
}

read_from_text!(RpoWord);
