//! The watch on a drill's server, and the alerts that must fire: the alarm is rehearsed, too.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mistake::{nearest, quote};
use super::slot::{Slot, TextOr, read_text_or};
use super::value::{FromText, Span, read_from_text, whole_number};
use super::wrong::Words;
use crate::alert::{ALERTS, Alert};

/// A watch on the server that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Watch {
    /// By what windows, and limits that are times, are divided.
    pub scale: u32,
}

/// An alert that must fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Awaited {
    /// Which.
    pub alert: Alert,
    /// How long after its cause at the latest.
    pub within: Duration,
}

/// An hour is a minute, and a minute a second.
pub(super) const SCALE: u32 = 60;
pub(super) const MOST_SCALE: u32 = 3600;
const WITHIN: Duration = Duration::from_secs(60);

/// By what times are divided.
#[derive(Clone, Debug)]
pub(super) struct Scale(pub(super) u32);

impl FromText for Scale {
    const WANTED: &'static str = "a whole number, as in 60";

    fn from_text(text: &str) -> Result<Self, Words> {
        let number = whole_number(text, Self::WANTED)?;
        u32::try_from(number).ok().filter(|scale| (1..=MOST_SCALE).contains(scale)).map(Self).ok_or_else(
            || {
                Words::predicate(
                    format!("must be between 1 and {MOST_SCALE}; found {number}"),
                    "60 makes a minute of each hour, 1 leaves everything as it is",
                )
            },
        )
    }
}

/// The name of an alert.
#[derive(Clone, Debug)]
pub(super) struct AlertName(pub(super) Alert);

impl FromText for AlertName {
    const WANTED: &'static str = "the name of an alert, as in connection-failures";

    fn from_text(text: &str) -> Result<Self, Words> {
        text.parse().map(Self).map_err(|_| {
            let names = || ALERTS.iter().map(|entry| entry.name);
            let hint = match nearest(text, names()) {
                Some(name) => format!("did you mean '{name}'?"),
                None => format!("the alerts are {}", names().collect::<Vec<_>>().join(", ")),
            };
            Words::sentence(format!("unknown alert {}", quote(text)), hint)
        })
    }
}

read_from_text!(Scale, AlertName);

/// A watch on the server that is there.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WatchArguments {
    /// By what the windows of the alerts, and limits that are times, are divided, so that nobody waits for an hour.
    /// Default: 60.
    pub(super) scale: Slot<Scale>,
}

/// An alert that must fire.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("required" = ["is"]))]
pub(super) struct AlertMapping {
    /// Which alert, as in connection-failures.
    pub(super) is: Slot<AlertName>,
    /// How long after its cause at the latest, as in 60s. Default: 60s.
    pub(super) within: Slot<Span>,
}

/// The name of an alert alone, or with how long it may take.
#[derive(Debug)]
pub(super) enum AlertArguments {
    Name(AlertName),
    Mapping(AlertMapping),
}

read_text_or!(AlertArguments);

impl TextOr<'_> for AlertArguments {
    type Arguments = AlertMapping;
    const WANTED: &'static str = "the name of an alert, or a mapping with the keys is, within";
    const HINT: &'static str = "write `alert: connection-failures`";

    fn text(text: &str) -> Result<Self, Words> {
        AlertName::from_text(text).map(Self::Name)
    }

    fn arguments(arguments: AlertMapping) -> Self {
        Self::Mapping(arguments)
    }
}

pub(super) fn watch(arguments: WatchArguments) -> Watch {
    Watch { scale: arguments.scale.what().map_or(SCALE, |scale| scale.0) }
}

/// None where it does not say which alert.
pub(super) fn awaited(arguments: AlertArguments) -> Option<Awaited> {
    let (alert, within) = match arguments {
        AlertArguments::Name(alert) => (alert, WITHIN),
        AlertArguments::Mapping(mapping) => {
            (mapping.is.what()?, mapping.within.what().map_or(WITHIN, |within| within.0))
        }
    };
    Some(Awaited { alert: alert.0, within })
}
