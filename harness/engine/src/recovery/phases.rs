//! The phases of the recovery time: consecutive, without gaps, so that they add up to the whole.
//!
//! All but two of the borders are read off one monotonic clock. The start and the end of replay are taken from the
//! restored server's log, whose wall-clock times are brought onto that clock; they are kept in order, whatever the
//! wall clock did.

use std::time::Duration;

use pgdrill_model::evidence::Phase;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Clock;

use crate::drill::Drill;

/// A recovery on the clock.
#[derive(Debug)]
pub struct Clocked {
    /// When the primary was lost: where the recovery time begins.
    pub lost: Duration,
    /// Names and ends of the phases so far.
    ends: Vec<(&'static str, Duration)>,
    /// What to add to a wall-clock time in microseconds to get the monotonic one.
    offset_us: i128,
}

impl Clocked {
    /// Begins at the loss of the primary.
    ///
    /// # Errors
    ///
    /// A bug: a plan recovers only after a disaster.
    pub fn begin(drill: &Drill<'_>) -> Result<Self, Unable> {
        let lost = drill.lost.ok_or_else(|| Unable::bug("the plan recovers before a disaster"))?;
        Ok(Self::new(lost.at, lost.noticed, drill.clock))
    }

    fn new(lost: Duration, noticed: Duration, clock: &dyn Clock) -> Self {
        let offset_us = clock.elapsed().as_micros() as i128 - i128::from(clock.unix_micros());
        Self { lost, ends: vec![("detect", noticed)], offset_us }
    }

    /// Sets aside what pgdrill itself took since the loss was noticed, to read the WAL: no operator waits for that.
    pub fn set_aside(&mut self, took: Duration) {
        self.lost += took;
        self.ends.iter_mut().for_each(|(_, end)| *end += took);
    }

    /// It is known which backup is taken, where that had to be found out.
    pub fn chosen(&mut self, at: Duration) {
        self.end("choose", at);
    }

    /// The backup and the archive are at hand.
    pub fn fetched(&mut self, at: Duration) {
        self.end("fetch", at);
    }

    /// The backup is unpacked.
    pub fn unpacked(&mut self, at: Duration) {
        self.end("unpack", at);
    }

    /// A server is up that nothing is in.
    pub fn started(&mut self, at: Duration) {
        self.end("start", at);
    }

    /// A dump is loaded into it.
    pub fn loaded(&mut self, at: Duration) {
        self.end("load", at);
    }

    /// The backups are combined.
    pub fn combined(&mut self, at: Duration) {
        self.end("combine", at);
    }

    /// Replay began and ended at these wall-clock times, as far as the log tells, and the server took writes at
    /// `promoted`.
    pub fn replayed(&mut self, began_unix_us: Option<i64>, ended_unix_us: Option<i64>, promoted: Duration) {
        let bring = |unix_us: i64| {
            let micros = (i128::from(unix_us) + self.offset_us).max(0) as u64;
            Duration::from_micros(micros).min(promoted)
        };
        // A backup that needs no replay has neither line: then all is start.
        let began = began_unix_us.map_or(promoted, bring);
        let ended = ended_unix_us.map_or(began, bring).max(began);
        self.end("start", began);
        self.end("replay", ended);
        self.end("promote", promoted);
    }

    /// The application's first write is committed.
    pub fn written(&mut self, at: Duration) {
        self.end("first-write", at);
    }

    fn end(&mut self, name: &'static str, at: Duration) {
        let not_before = self.ends.last().map_or(self.lost, |(_, end)| *end);
        self.ends.push((name, at.max(not_before)));
    }

    /// The phases so far.
    pub fn phases(&self) -> Vec<Phase> {
        let mut from = self.lost;
        self.ends
            .iter()
            .map(|(name, end)| {
                let took = end.saturating_sub(from);
                from = *end;
                Phase { name: (*name).to_owned(), took_us: took.as_micros() as u64 }
            })
            .collect()
    }

    /// From the loss of the primary to the end of the last phase.
    pub fn total(&self) -> Duration {
        self.ends.last().map_or(Duration::ZERO, |(_, end)| end.saturating_sub(self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;

    impl Clock for Still {
        fn elapsed(&self) -> Duration {
            Duration::from_secs(10)
        }

        fn unix_micros(&self) -> i64 {
            1_000_000_000_000_000
        }
    }

    #[test]
    fn what_is_set_aside_is_in_no_phase() {
        let mut clocked = clocked();
        clocked.set_aside(Duration::from_secs(3));
        clocked.fetched(Duration::from_millis(13_120));
        let phases: Vec<_> = clocked.phases().into_iter().map(|phase| (phase.name, phase.took_us)).collect();
        assert_eq!(phases, [("detect".to_owned(), 20_000), ("fetch".to_owned(), 100_000)]);
        assert_eq!(clocked.total(), Duration::from_millis(120));
    }

    fn clocked() -> Clocked {
        Clocked::new(Duration::from_secs(10), Duration::from_millis(10_020), &Still)
    }

    fn took(clocked: &Clocked) -> Vec<(String, u64)> {
        clocked.phases().into_iter().map(|phase| (phase.name, phase.took_us / 1_000)).collect()
    }

    #[test]
    fn phases_add_up_to_the_whole() {
        let mut clocked = clocked();
        clocked.fetched(Duration::from_millis(10_050));
        clocked.unpacked(Duration::from_millis(12_000));
        clocked.replayed(
            Some(1_000_000_002_300_000),
            Some(1_000_000_002_900_000),
            Duration::from_millis(13_100),
        );
        clocked.written(Duration::from_millis(13_150));
        let expected = [
            ("detect", 20),
            ("fetch", 30),
            ("unpack", 1_950),
            ("start", 300),
            ("replay", 600),
            ("promote", 200),
            ("first-write", 50),
        ];
        assert_eq!(took(&clocked), expected.map(|(name, ms)| (name.to_owned(), ms)));
        assert_eq!(clocked.total(), Duration::from_millis(3_150));
    }

    #[test]
    fn a_wall_clock_that_jumps_never_makes_a_phase_negative() {
        let mut clocked = clocked();
        clocked.fetched(Duration::from_millis(10_050));
        clocked.unpacked(Duration::from_millis(12_000));
        clocked.replayed(
            Some(999_000_000_000_000),
            Some(5_000_000_000_000_000),
            Duration::from_millis(13_000),
        );
        assert_eq!(
            took(&clocked)[3..],
            [("start".into(), 0), ("replay".into(), 1_000), ("promote".into(), 0)]
        );
    }
}
