//! The machine's own time, and waiting by a clock that is an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pgdrill_model::world::Clock;
use tokio::time::sleep;

/// How often a clock is looked at while something is waited for: it may run otherwise than the machine's own.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Counts from the moment it is made.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix_micros(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
    }
}

/// Waits until `clock` shows `at`.
pub(crate) async fn reached(clock: &dyn Clock, at: Duration) {
    loop {
        let left = at.saturating_sub(clock.elapsed());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK_AGAIN)).await;
    }
}

/// What `work` gives, when it ends within `limit`. Otherwise it is dropped.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let until = clock.elapsed().saturating_add(limit);
    tokio::select! {
        biased;
        done = work => Some(done),
        () = reached(clock, until) => None,
    }
}
