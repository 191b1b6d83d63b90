//! What is known of a server over time, and which alerts that makes fire.

use std::collections::VecDeque;
use std::time::Duration;

use super::{ALERTS, Alert, Unit};

/// So many transactions must have ended before a share of them means anything.
const ENOUGH_TRANSACTIONS: u64 = 100;

/// One look at the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When, since the watch began.
    pub at: Duration,
    /// What the server answered, or why there was no connection.
    pub server: Result<Measured, String>,
    /// The disks that are watched.
    pub disks: Vec<Disk>,
}

/// What the server answered. Counters only grow, unless somebody sets them back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// How often archive_command failed.
    pub archive_failures: u64,
    /// Bytes of all databases.
    pub bytes: u64,
    /// For how long the query that began first has been running; none where there is none.
    pub longest_query: Option<Duration>,
    /// Whether the role sees what others do.
    pub sees_all: bool,
    /// Transactions that were committed.
    pub commits: u64,
    /// Transactions that were rolled back.
    pub rollbacks: u64,
}

/// A disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    /// The directory by which it was named.
    pub path: String,
    /// The part of it that is taken, 0 to 1; none where that could not be read.
    pub used: Option<f64>,
}

/// What an alert is at now.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The alert.
    pub alert: Alert,
    /// Its value; none as long as it is not known.
    pub value: Option<f64>,
    /// It fires above this.
    pub limit: f64,
    /// Whether it fires.
    pub fires: bool,
    /// What the value is about, where that is not the server as a whole.
    pub about: Option<String>,
}

/// An alert that began to fire, or ceased.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When, since the watch began.
    pub at: Duration,
    /// What the alert is at now.
    pub level: Level,
}

/// Everything that is known of a server, as far back as the longest window goes.
#[derive(Clone, Debug)]
pub struct Watch {
    scale: u32,
    samples: VecDeque<Sample>,
    levels: Vec<Level>,
}

impl Watch {
    /// A watch that knows nothing yet. Every window, and every limit that is a time, is divided by `scale`, so that a drill
    /// need not wait for an hour.
    pub fn new(scale: u32) -> Self {
        let scale = scale.max(1);
        let levels = ALERTS.iter().map(|entry| Level {
            alert: entry.alert,
            value: None,
            limit: match entry.unit {
                Unit::Seconds => entry.limit / f64::from(scale),
                Unit::Events | Unit::Fraction => entry.limit,
            },
            fires: false,
            about: None,
        });
        Self { scale, samples: VecDeque::new(), levels: levels.collect() }
    }

    /// How often to look, so that the shortest window holds twice as many looks as its limit has events.
    pub fn interval(&self) -> Duration {
        self.window(Alert::ConnectionFailures) / 12
    }

    /// How far back an alert looks.
    pub fn window(&self, alert: Alert) -> Duration {
        alert.entry().window / self.scale
    }

    /// What every alert is at.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Takes note of a look at the server; tells which alerts began to fire, and which ceased.
    pub fn hear(&mut self, sample: Sample) -> Vec<Change> {
        let at = sample.at;
        self.samples.push_back(sample);
        let longest = ALERTS.iter().map(|entry| entry.window / self.scale).max().unwrap_or_default();
        // One from before the window is kept, since what happened in it is counted from there.
        while self.samples.get(1).is_some_and(|second| at.saturating_sub(second.at) >= longest) {
            self.samples.pop_front();
        }
        let mut changes = Vec::new();
        for number in 0..self.levels.len() {
            let (value, about) = self.value(self.levels[number].alert);
            let level = &mut self.levels[number];
            // What is not known now is as it was: a server that cannot be asked has not got better.
            let Some(value) = value else { continue };
            let fires = value > level.limit;
            let changed = fires != level.fires;
            (level.value, level.fires, level.about) = (Some(value), fires, about);
            if changed {
                changes.push(Change { at, level: level.clone() });
            }
        }
        changes
    }

    /// What an alert is at by the samples, and what that is about.
    fn value(&self, alert: Alert) -> (Option<f64>, Option<String>) {
        let Some(newest) = self.samples.back() else { return (None, None) };
        let now = newest.server.as_ref().ok();
        match alert {
            Alert::ConnectionFailures => {
                let failed = self.within(alert).filter(|sample| sample.server.is_err()).count();
                (Some(failed as f64), newest.server.as_ref().err().cloned())
            }
            Alert::ArchivingFailures => {
                let grown = now.map(|_| self.grown(alert, |measured| measured.archive_failures) as f64);
                (grown, None)
            }
            Alert::SizeGrowth => {
                let measured = self.within(alert).filter_map(|sample| sample.server.as_ref().ok());
                let least = measured.map(|measured| measured.bytes).min().filter(|least| *least > 0);
                let grown = now.zip(least).map(|(now, least)| now.bytes as f64 / least as f64 - 1.0);
                (grown, None)
            }
            Alert::LongQueries | Alert::SlowQueries => {
                let longest = now.map(|now| now.longest_query.unwrap_or_default().as_secs_f64());
                let blind = now.is_some_and(|now| !now.sees_all);
                (longest, blind.then(|| "the role's own queries alone".to_owned()))
            }
            Alert::DiskUse => {
                let known = newest.disks.iter().filter_map(|disk| Some((disk.used?, &disk.path)));
                match known.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
                    Some((used, path)) => (Some(used), Some(path.clone())),
                    None => (None, None),
                }
            }
            Alert::ErrorRate => {
                if now.is_none() {
                    return (None, None);
                }
                let committed = self.grown(alert, |measured| measured.commits);
                let failed = self.grown(alert, |measured| measured.rollbacks);
                let all = committed + failed;
                let rate = if all < ENOUGH_TRANSACTIONS { 0.0 } else { failed as f64 / all as f64 };
                (Some(rate), Some(format!("{failed} of {all} transactions")))
            }
        }
    }

    /// The samples of an alert's window.
    fn within(&self, alert: Alert) -> impl Iterator<Item = &Sample> {
        let now = self.samples.back().map_or(Duration::ZERO, |newest| newest.at);
        let window = self.window(alert);
        self.samples.iter().filter(move |sample| now.saturating_sub(sample.at) < window)
    }

    /// By how much a counter grew within an alert's window. One that is less than it was began anew.
    fn grown(&self, alert: Alert, counter: impl Fn(&Measured) -> u64) -> u64 {
        let now = self.samples.back().map_or(Duration::ZERO, |newest| newest.at);
        let window = self.window(alert);
        let mut values =
            self.samples.iter().filter_map(|sample| Some((sample.at, counter(sample.server.as_ref().ok()?))));
        let Some((_, mut last)) = values.next() else { return 0 };
        let mut grown = 0;
        for (at, value) in values {
            let more = value.checked_sub(last).unwrap_or(value);
            if now.saturating_sub(at) < window {
                grown += more;
            }
            last = value;
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn answered(at: u64, measured: Measured) -> Sample {
        Sample { at: seconds(at), server: Ok(measured), disks: Vec::new() }
    }

    fn refused(at: u64) -> Sample {
        Sample { at: seconds(at), server: Err("connection refused".to_owned()), disks: Vec::new() }
    }

    fn quiet(bytes: u64) -> Measured {
        Measured { bytes, sees_all: true, ..Measured::default() }
    }

    /// What began to fire, and when.
    fn fired(watch: &mut Watch, samples: impl IntoIterator<Item = Sample>) -> Vec<(Alert, u64)> {
        let mut all = Vec::new();
        for sample in samples {
            let changes = watch.hear(sample);
            all.extend(
                changes
                    .iter()
                    .filter(|change| change.level.fires)
                    .map(|change| (change.level.alert, change.at.as_secs())),
            );
        }
        all
    }

    fn fires(watch: &Watch, alert: Alert) -> bool {
        watch.levels().iter().any(|level| level.alert == alert && level.fires)
    }

    #[test]
    fn the_sixth_connection_that_fails_within_a_minute_fires_and_a_minute_later_it_is_over() {
        let mut watch = Watch::new(1);
        assert_eq!(watch.interval(), seconds(5));
        assert_eq!(fired(&mut watch, (0..5).map(|n| refused(n * 5))), []);
        assert_eq!(fired(&mut watch, [refused(25)]), [(Alert::ConnectionFailures, 25)]);
        for at in (30..80).step_by(5) {
            watch.hear(answered(at, quiet(1)));
        }
        // Five of the six are older than a minute now, and the first went before.
        assert!(!fires(&watch, Alert::ConnectionFailures));
    }

    #[test]
    fn failures_that_are_spread_out_do_not_fire() {
        let mut watch = Watch::new(1);
        assert_eq!(fired(&mut watch, (0..50).map(|n| refused(n * 12))), []);
    }

    #[rstest]
    #[case::three_are_allowed(&[0, 3], &[])]
    #[case::four_are_not(&[0, 4], &[(Alert::ArchivingFailures, 60)])]
    #[case::from_before_the_watch(&[90, 91], &[])]
    #[case::set_back_and_failing_again(&[90, 4], &[(Alert::ArchivingFailures, 60)])]
    #[case::spread_over_more_than_ten_minutes(&[0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4], &[])]
    fn archiving_failures_are_counted_over_ten_minutes(
        #[case] counters: &[u64],
        #[case] expected: &[(Alert, u64)],
    ) {
        let samples = (0..).zip(counters).map(|(minute, counter)| {
            answered(minute * 60, Measured { archive_failures: *counter, ..quiet(1) })
        });
        assert_eq!(fired(&mut Watch::new(1), samples), expected);
    }

    #[test]
    fn growth_is_seen_against_the_least_of_the_hour() {
        let mut watch = Watch::new(1);
        let grow = [(0, 100), (600, 120), (1200, 150), (1800, 151), (3600, 151), (5400, 160)];
        let all = fired(&mut watch, grow.map(|(at, bytes)| answered(at, quiet(bytes))));
        assert_eq!(all, [(Alert::SizeGrowth, 1800)]);
        assert!(!fires(&watch, Alert::SizeGrowth), "160 against 151 of the last hour");
    }

    #[test]
    fn a_scale_makes_windows_and_times_shorter_and_nothing_else() {
        let mut watch = Watch::new(60);
        assert_eq!(watch.window(Alert::SizeGrowth), seconds(60));
        let busy = |time| answered(0, Measured { longest_query: Some(time), ..quiet(1) });
        watch.hear(busy(Duration::from_millis(80)));
        assert!(!fires(&watch, Alert::SlowQueries));
        watch.hear(busy(Duration::from_millis(90)));
        assert!(fires(&watch, Alert::SlowQueries) && !fires(&watch, Alert::LongQueries));
        watch.hear(busy(Duration::from_millis(10_001)));
        assert!(fires(&watch, Alert::LongQueries));
        let growth = watch.levels().iter().find(|level| level.alert == Alert::SizeGrowth).unwrap();
        assert_eq!(growth.limit, 0.5);
    }

    #[test]
    fn the_fullest_disk_counts_and_one_that_cannot_be_read_does_not() {
        let disk = |path: &str, used| Disk { path: path.to_owned(), used };
        let mut watch = Watch::new(1);
        let mut sample = answered(0, quiet(1));
        sample.disks = vec![disk("/data", Some(0.5)), disk("/archive", Some(0.81)), disk("/gone", None)];
        let changes = watch.hear(sample);
        let about = changes.first().map(|change| (change.level.alert, change.level.about.clone()));
        assert_eq!(about, Some((Alert::DiskUse, Some("/archive".to_owned()))));
    }

    #[rstest]
    #[case::too_few(10, 5, false)]
    #[case::one_percent(990, 10, false)]
    #[case::more(980, 20, true)]
    fn rollbacks_count_once_there_are_transactions(
        #[case] commits: u64,
        #[case] rollbacks: u64,
        #[case] expected: bool,
    ) {
        let mut watch = Watch::new(1);
        watch.hear(answered(0, quiet(1)));
        watch.hear(answered(5, Measured { commits, rollbacks, ..quiet(1) }));
        assert_eq!(fires(&watch, Alert::ErrorRate), expected);
    }

    #[test]
    fn what_is_not_known_is_as_it_was() {
        let mut watch = Watch::new(1);
        watch.hear(answered(0, Measured { longest_query: Some(seconds(700)), ..quiet(1) }));
        assert!(fires(&watch, Alert::LongQueries));
        assert_eq!(watch.hear(refused(5)), []);
        assert!(fires(&watch, Alert::LongQueries));
    }

    proptest! {
        /// Memory is bounded by the longest window, and nothing that is quiet ever fires.
        #[test]
        fn a_quiet_server_raises_nothing(gaps in proptest::collection::vec(1_u64..400, 1..200)) {
            let mut watch = Watch::new(1);
            let mut at = 0;
            for gap in gaps {
                at += gap;
                prop_assert_eq!(watch.hear(answered(at, quiet(1000))), []);
                let oldest_but_one = watch.samples.get(1).map(|sample| at - sample.at.as_secs());
                prop_assert!(oldest_but_one.is_none_or(|age| age < 3600));
            }
        }
    }
}
