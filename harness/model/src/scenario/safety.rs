//! The safety copy of what a disaster left, and the way back to it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::slot::Slot;
use super::value::Span;

/// How what a disaster left is put aside before anything is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CopyBy {
    /// A second copy of every file: it needs the room.
    #[default]
    Copy,
    /// The directory gets another name: at once, and without any room.
    Move,
}

impl CopyBy {
    /// Its name in the scenario language and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Move => "move",
        }
    }
}

/// A return to the safety copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rollback {
    /// How long the server may take to come back.
    pub within: Duration,
}

pub(super) const WITHIN: Duration = Duration::from_secs(120);

/// A safety copy of what a disaster left.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SafetyCopyArguments {
    /// How: copy, which needs room for all of it, or move, which gives the directory another name. Default: copy.
    pub(super) by: Slot<CopyBy>,
}

/// A return to the safety copy.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RollbackArguments {
    /// How long the server may take to come back, as in 2m. Default: 2m.
    pub(super) within: Slot<Span>,
}
