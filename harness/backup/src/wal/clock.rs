//! What the WAL tells of the clock of the server that wrote it. Commits and aborts carry the time at which they began to be
//! written, so neighbours may be the wrong way round by a little; by more, the clock was set back, and then a time is no
//! single point of the WAL. PostgreSQL stops at the first that is later (`recoveryStopsBefore`, `xlogrecovery.c`), wherever
//! that is.

use super::chronicle::{Chronicle, What};

/// By how many microseconds neighbours are the wrong way round without any fault of the clock.
const JITTER_US: i64 = 1_000_000;

/// A clock that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    /// Position of the first record that was written by the new time.
    pub at: u64,
    /// The latest time before, microseconds since 1970.
    pub from: i64,
    /// That record's time.
    pub to: i64,
}

/// Where the clock was set back so that a recovery which stops behind the first `events` of a chronicle, before the first end
/// later than `micros`, could have stopped elsewhere: the time of the last end that is replayed had been passed before, or
/// ends that are not replayed are not later than `micros`.
pub(super) fn set_back(chronicle: &Chronicle, events: usize, micros: i64) -> Option<SetBack> {
    let (mut latest, mut found) = (i64::MIN, None);
    for (number, event) in chronicle.events().enumerate() {
        let (What::Commit(_) | What::Abort(_), Some(time)) = (event.what, event.time) else { continue };
        if number >= events && found.is_some() {
            break;
        }
        if time >= latest {
            // Set right, or gone on until it is as late as it was.
            (latest, found) = (time, None);
        } else if latest.saturating_sub(time) > JITTER_US && (number < events || time <= micros) {
            found = found.or(Some(SetBack { at: event.start, from: latest, to: time }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::chronicle::Sketch;
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Commits at 10, 11, 12 s, then the clock is at 5 and 6, then at 13 and 14.
    fn chronicle() -> Chronicle {
        let ends = [10, 11, 12, 5, 6, 13, 14];
        let sketched: Vec<_> = (1..)
            .zip(ends)
            .map(|(number, second)| (u64::from(number) << 8, number, second * SECOND, Sketch::Commit))
            .collect();
        Chronicle::sketch(&sketched)
    }

    #[rstest]
    #[case::long_before(3, 1, None)]
    #[case::passed_again_after_the_stop(10, 1, Some((0x400, 12, 5)))]
    #[case::between_the_old_time_and_the_right_one(12, 5, Some((0x400, 12, 5)))]
    #[case::after_it_was_right_again(13, 6, None)]
    fn a_time_is_ambiguous_where_the_clock_came_to_it_twice(
        #[case] second: i64,
        #[case] events: usize,
        #[case] expected: Option<(u64, i64, i64)>,
    ) {
        let expected = expected.map(|(at, from, to)| SetBack { at, from: from * SECOND, to: to * SECOND });
        assert_eq!(set_back(&chronicle(), events, second * SECOND), expected);
    }

    #[test]
    fn neighbours_may_be_the_wrong_way_round_by_a_little() {
        let nearly = Chronicle::sketch(&[
            (0x100, 1, 10 * SECOND, Sketch::Commit),
            (0x200, 2, 9 * SECOND, Sketch::Abort),
            (0x300, 3, 11 * SECOND, Sketch::Commit),
        ]);
        for events in 0..=3 {
            assert_eq!(set_back(&nearly, events, 10 * SECOND), None, "{events}");
        }
    }
}
