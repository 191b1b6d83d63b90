//! One who asks an application again and again how it is, and knows when it was away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgdrill_model::evidence::OutageEvidence;
use pgdrill_model::world::Clock;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::health::all_well;
use crate::http::Url;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(50);

/// How long an answer may take: for a user, what takes longer is no answer.
const LIMIT: Duration = Duration::from_secs(1);

/// Goes on until it is dropped. Its times are those of the drill.
#[derive(Debug)]
pub struct Probing {
    seen: Arc<Mutex<Seen>>,
    urls: Arc<Mutex<Vec<Url>>>,
    asking: JoinHandle<()>,
}

/// What was seen of it.
#[derive(Debug, Default)]
struct Seen {
    /// When everything was last answered well.
    good: Option<Duration>,
    /// When it was not, in order.
    gaps: Vec<Gap>,
}

/// A time in which not everything was answered well.
#[derive(Debug)]
struct Gap {
    last_good: Duration,
    first_good: Option<Duration>,
    asked: u64,
}

impl Seen {
    fn hear(&mut self, at: Duration, well: bool) {
        let open = self.gaps.last_mut().filter(|gap| gap.first_good.is_none());
        match (well, open, self.good) {
            (true, open, _) => {
                if let Some(gap) = open {
                    gap.first_good = Some(at);
                }
                self.good = Some(at);
            }
            (false, Some(gap), _) => gap.asked += 1,
            (false, None, Some(last_good)) => self.gaps.push(Gap { last_good, first_good: None, asked: 1 }),
            // It was not there yet.
            (false, None, None) => {}
        }
    }

    /// The time around a loss in which it was away, once it is back: where it came and went, all of it.
    fn outage(&self, lost: Duration) -> Option<OutageEvidence> {
        let around = || self.gaps.iter().filter(|gap| gap.first_good.is_none_or(|back| back > lost));
        let (first, last) = (around().next()?, around().next_back()?);
        Some(OutageEvidence {
            last_good_us: first.last_good.as_micros() as u64,
            first_good_us: last.first_good?.as_micros() as u64,
            asked: around().map(|gap| gap.asked).sum(),
        })
    }
}

impl Probing {
    /// Begins to ask.
    pub fn begin(urls: Vec<Url>, clock: Arc<dyn Clock>) -> Self {
        let (seen, urls) = (Arc::new(Mutex::new(Seen::default())), Arc::new(Mutex::new(urls)));
        let (sees, asks) = (Arc::clone(&seen), Arc::clone(&urls));
        let asking = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let urls = asks.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let well = all_well(&urls, LIMIT).await.is_ok();
                sees.lock().unwrap_or_else(PoisonError::into_inner).hear(clock.elapsed(), well);
            }
        });
        Self { seen, urls, asking }
    }

    /// It is somewhere else from now on.
    pub fn now(&self, urls: Vec<Url>) {
        *self.urls.lock().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// How long it was away around a loss, once it is back.
    pub fn outage(&self, lost: Duration) -> Option<OutageEvidence> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).outage(lost)
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(heard: &[(u64, bool)]) -> Seen {
        let mut seen = Seen::default();
        heard.iter().for_each(|(at, well)| seen.hear(Duration::from_millis(*at), *well));
        seen
    }

    #[test]
    fn an_outage_is_from_the_last_good_answer_to_the_first_good_one() {
        let heard = [(0, false), (10, true), (20, true), (30, false), (40, false), (50, true), (60, true)];
        let outage = seen(&heard).outage(Duration::from_millis(25)).unwrap();
        assert_eq!((outage.last_good_us, outage.first_good_us, outage.asked), (20_000, 50_000, 2));
        assert_eq!(outage.us(), 30_000);
    }

    #[test]
    fn what_was_away_before_another_loss_is_not_counted_and_one_that_comes_and_goes_counts_as_a_whole() {
        let heard = [(10, true), (20, false), (30, true), (40, false), (50, true), (60, false), (70, true)];
        let outage = seen(&heard).outage(Duration::from_millis(35)).unwrap();
        assert_eq!((outage.last_good_us, outage.first_good_us, outage.asked), (30_000, 70_000, 2));
    }

    #[test]
    fn what_is_not_back_or_was_never_there_has_no_outage_yet() {
        let lost = Duration::from_millis(15);
        assert!(seen(&[(10, true), (20, false)]).outage(lost).is_none());
        assert!(seen(&[(10, false), (20, true)]).outage(lost).is_none());
        assert!(seen(&[(10, true), (20, true)]).outage(lost).is_none());
    }
}
