//! Why something was not done on a user's own server, in words for him, and how a connection to it is opened within a limit.

use std::fmt;
use std::time::Duration;

use tokio_postgres::Error;

use super::target::{Connected, Target, words};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was not done, and why; nothing of it quotes a password or a row.
    pub message: String,
    /// What to do now.
    pub hint: String,
}

impl Refused {
    /// What was not done, and what to do.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }

    /// A question or a statement that the server did not take.
    pub(super) fn failed(what: &str, error: &Error) -> Self {
        Self::new(
            format!("{what} failed: {}", words(error)),
            "the server's log has more; nothing was done that has to be undone",
        )
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

/// Opens a connection.
pub(super) async fn connect(target: &Target, limit: Duration) -> Result<Connected, Refused> {
    let unreachable = |why: String| {
        Refused::new(
            format!("cannot connect to {target}: {why}"),
            "look whether the server is up, and whether this role may connect to this database from here",
        )
    };
    match tokio::time::timeout(limit, target.connect()).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(unreachable(words(&error))),
        Err(_) => Err(unreachable(format!("no answer within {:.1} s", limit.as_secs_f64()))),
    }
}
