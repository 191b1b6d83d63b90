//! The machine's own time, and waiting by a clock that is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
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

/// A clock that can be set: a drill goes on from where another one had come to, and what is done for others takes it no time.
pub struct Resumed {
    under: Arc<dyn Clock>,
    /// By how many nanoseconds it is ahead of the other, or behind.
    ahead: AtomicI64,
}

impl Resumed {
    /// One that shows what `under` shows.
    pub fn over(under: Arc<dyn Clock>) -> Self {
        Self { under, ahead: AtomicI64::new(0) }
    }

    /// Shows `at` now, and goes on from there.
    pub fn go_on_from(&self, at: Duration) {
        let ahead = at.as_nanos() as i64 - self.under.elapsed().as_nanos() as i64;
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for Resumed {
    fn elapsed(&self) -> Duration {
        let nanos = self.under.elapsed().as_nanos() as i64 + self.ahead.load(Ordering::Relaxed);
        Duration::from_nanos(nanos.max(0).unsigned_abs())
    }

    fn unix_micros(&self) -> i64 {
        self.under.unix_micros()
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
