//! A clock that a test sets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pgdrill_model::world::Clock;

/// 2026-11-22 19:15:00 UTC, when a clock that stands still begins.
const BEGINS_UNIX_US: i64 = 1_795_374_900_000_000;

/// Time that passes when the test says so, and beside that, where it is wanted, as it does for everybody.
#[derive(Debug)]
pub struct ManualClock {
    /// When it began to run; none stands still.
    running: Option<Instant>,
    passed_us: AtomicU64,
    /// What passes with every look at it.
    tick_us: AtomicU64,
}

impl ManualClock {
    /// A clock that only [`Self::pass`] moves.
    pub fn still() -> Self {
        Self { running: None, passed_us: AtomicU64::new(0), tick_us: AtomicU64::new(0) }
    }

    /// A clock that moves on by `tick` whenever somebody looks at it: whoever waits by it waits no longer than it takes
    /// to look often enough.
    pub fn ticking(tick: Duration) -> Self {
        let clock = Self::still();
        clock.tick(tick);
        clock
    }

    /// A clock that runs, and can be put forward.
    pub fn running() -> Self {
        Self { running: Some(Instant::now()), ..Self::still() }
    }

    /// Has every look at the clock move it on by `tick` from now on.
    pub fn tick(&self, tick: Duration) {
        self.tick_us.store(tick.as_micros() as u64, Ordering::SeqCst);
    }

    /// Lets time pass in no time.
    pub fn pass(&self, time: Duration) {
        self.passed_us.fetch_add(time.as_micros() as u64, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_micros(self.passed_us.load(Ordering::SeqCst))
    }
}

impl Clock for ManualClock {
    fn elapsed(&self) -> Duration {
        self.passed_us.fetch_add(self.tick_us.load(Ordering::SeqCst), Ordering::SeqCst);
        self.running.map_or(Duration::ZERO, |began| began.elapsed()) + self.passed()
    }

    fn unix_micros(&self) -> i64 {
        let base = match self.running {
            Some(_) => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
            }
            None => BEGINS_UNIX_US,
        };
        base.saturating_add(self.passed().as_micros() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_still_moves_by_what_it_is_told() {
        let clock = ManualClock::still();
        let began = clock.unix_micros();
        clock.pass(Duration::from_secs(3));
        clock.pass(Duration::from_millis(5));
        assert_eq!(clock.elapsed(), Duration::from_millis(3_005));
        assert_eq!(clock.unix_micros() - began, 3_005_000);
    }

    #[test]
    fn a_clock_that_ticks_moves_with_every_look() {
        let clock = ManualClock::ticking(Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(2));
    }

    #[test]
    fn a_clock_that_runs_can_be_put_forward() {
        let clock = ManualClock::running();
        clock.pass(Duration::from_secs(3_600));
        assert!(clock.elapsed() >= Duration::from_secs(3_600));
        assert!(clock.elapsed() < Duration::from_secs(7_200));
    }
}
