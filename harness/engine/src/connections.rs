//! The connections of everything that looks at one server side by side: one budget for all of them.

use std::ops::Deref;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::Error;

use crate::session::{Door, Session};

/// Connections at the same time. Each is a server process that can keep a core busy, and the reading of content, which
/// takes longest, has three of them (its snapshot and two readers), amcheck two: with one more for everything else, in
/// turn, nothing waits long, and a small machine is not drowned. A server of the drill has room for 100.
pub const CONNECTIONS: usize = 6;

/// The budget.
pub struct Connections {
    permits: Semaphore,
}

/// A session that counts against the budget until it is dropped.
pub struct Connected<'a> {
    session: Session,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Deref for Connected<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self { permits: Semaphore::new(CONNECTIONS) }
    }
}

impl Connections {
    /// Opens a session when there is room. Who holds one and waits for another must be the only one who does so:
    /// that is the reading of content.
    ///
    /// # Errors
    ///
    /// What the server, or the socket, answered.
    pub async fn open(&self, door: &Door) -> Result<Connected<'_>, Error> {
        let permit = self.reserve(1).await;
        Ok(Connected { session: door.open().await?, _permit: permit })
    }

    /// Room for connections that a program will open. The budget is never closed, so it is always given.
    pub async fn reserve(&self, connections: u32) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire_many(connections).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_room_for_so_many_and_no_more() {
        let connections = Connections::default();
        let all = connections.reserve(CONNECTIONS as u32).await;
        assert!(all.is_some() && connections.permits.try_acquire().is_err());
        drop(all);
        assert!(connections.permits.try_acquire().is_ok());
    }
}
