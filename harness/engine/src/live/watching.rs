//! A watch that goes on behind the steps of a drill.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgdrill_model::alert::{Alert, Change, Level, Sample, Watch};
use pgdrill_model::world::Clock;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Probe;

/// A watch that goes on until it is dropped. Its times are those of the drill.
#[derive(Debug)]
pub struct Watching {
    heard: Arc<Mutex<Heard>>,
    looking: JoinHandle<()>,
    /// When it began.
    pub began: Duration,
    /// By what times are divided.
    pub scale: u32,
}

#[derive(Debug)]
struct Heard {
    watch: Watch,
    changes: Vec<Change>,
}

impl Watching {
    /// Looks at a server by `probe` as often as the shortest window wants it.
    pub fn begin(probe: Probe, scale: u32, clock: Arc<dyn Clock>) -> Self {
        let watch = Watch::new(scale);
        let mut ticks = interval(watch.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = clock.elapsed();
        let heard = Arc::new(Mutex::new(Heard { watch, changes: Vec::new() }));
        let hears = Arc::clone(&heard);
        let looking = tokio::spawn(async move {
            loop {
                ticks.tick().await;
                let (server, disks) = probe.look().await;
                let sample = Sample { at: clock.elapsed(), server, disks };
                let mut heard = hears.lock().unwrap_or_else(PoisonError::into_inner);
                let changes = heard.watch.hear(sample);
                heard.changes.extend(changes);
            }
        });
        Self { heard, looking, began, scale }
    }

    /// The changes of an alert so far, in their order.
    pub fn changes(&self, alert: Alert) -> Vec<Change> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.changes.iter().filter(|change| change.level.alert == alert).cloned().collect()
    }

    /// What an alert is at now, and how far back it looks.
    pub fn level(&self, alert: Alert) -> (Option<Level>, Duration) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let level = heard.watch.levels().iter().find(|level| level.alert == alert).cloned();
        (level, heard.watch.window(alert))
    }

    /// Whether the server was looked at yet.
    pub fn looked(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).watch.newest().is_some()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.looking.abort();
    }
}
