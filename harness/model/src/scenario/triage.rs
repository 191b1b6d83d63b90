//! What is found out in the first minutes after a loss.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::slot::Slot;
use super::value::Span;

/// A triage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Triage {
    /// How long it may take, whatever hangs.
    pub within: Duration,
}

const WITHIN: Duration = Duration::from_secs(15);

/// A triage.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TriageArguments {
    /// How long it may take, whatever hangs, as in 15s. Default: 15s.
    pub(super) within: Slot<Span>,
}

pub(super) fn triage(arguments: TriageArguments) -> Triage {
    Triage { within: arguments.within.what().map_or(WITHIN, |within| within.0) }
}
