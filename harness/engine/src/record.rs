//! Takes down what happens: numbers the events in time, cleans them of secrets, journals them, and tells the
//! listener.

use std::sync::Mutex;

use pgdrill_model::event::{Event, Happening, Unit};
use pgdrill_model::evidence::Evidence;
use pgdrill_model::finding::Finding;
use pgdrill_model::redact::Redactor;
use pgdrill_model::world::{Clock, Listener};

use crate::journal::Journal;

/// Takes down the events of one run.
pub struct Recorder<'a> {
    clock: &'a dyn Clock,
    listener: &'a dyn Listener,
    redactor: &'a Redactor,
    taken: Mutex<Taken>,
}

struct Taken {
    events: Vec<Event>,
    journal: Option<Journal>,
    /// What is taken down apart, while it is.
    aside: Option<Vec<Event>>,
}

/// While it is there, what happens is taken down apart: it is neither journaled nor told to anybody.
pub struct Aside<'r> {
    taken: &'r Mutex<Taken>,
}

impl Aside<'_> {
    /// What happened meanwhile.
    pub fn end(self) -> Vec<Event> {
        self.taken.lock().ok().and_then(|mut taken| taken.aside.take()).unwrap_or_default()
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        if let Ok(mut taken) = self.taken.lock() {
            taken.aside = None;
        }
    }
}

impl<'a> Recorder<'a> {
    /// A recorder that also writes to `journal`, where there is one.
    pub fn new(
        clock: &'a dyn Clock,
        listener: &'a dyn Listener,
        redactor: &'a Redactor,
        journal: Option<Journal>,
    ) -> Self {
        Self {
            clock,
            listener,
            redactor,
            taken: Mutex::new(Taken { events: Vec::new(), journal, aside: None }),
        }
    }

    /// Takes down that something happened.
    pub fn happened(&self, what: Happening) {
        let event =
            Event { at_us: self.clock.elapsed().as_micros() as u64, unix_us: self.clock.unix_micros(), what };
        self.take_down(if event.what.lasting() { self.clean(event) } else { event });
    }

    /// Takes over what another recorder took down, as it did.
    pub fn take_over(&self, events: &[Event]) {
        events.iter().cloned().for_each(|event| self.take_down(event));
    }

    fn take_down(&self, event: Event) {
        if let Ok(mut taken) = self.taken.lock()
            && let Some(aside) = &mut taken.aside
        {
            if event.what.lasting() {
                aside.push(event);
            }
            return;
        }
        if event.what.lasting()
            && let Ok(mut taken) = self.taken.lock()
        {
            if let Some(journal) = &mut taken.journal
                && let Err(error) = journal.write(&event)
            {
                tracing::warn!("the journal could not be written, and is given up: {error}");
                taken.journal = None;
            }
            taken.events.push(event.clone());
        }
        self.listener.hear(&event);
    }

    /// Takes down a measurement.
    pub fn measured(&self, evidence: Evidence) {
        self.happened(Happening::Measured(evidence));
    }

    /// Takes down a finding.
    pub fn found(&self, finding: Finding) {
        self.happened(Happening::Found(finding));
    }

    /// Tells how far a long step came.
    pub fn progress(&self, what: &str, done: u64, total: Option<u64>, unit: Unit) {
        self.happened(Happening::Progress { what: what.to_owned(), done, total, unit });
    }

    /// Takes down apart what happens from now on, for as long as the result is there.
    pub fn aside(&self) -> Aside<'_> {
        if let Ok(mut taken) = self.taken.lock() {
            taken.aside = Some(Vec::new());
        }
        Aside { taken: &self.taken }
    }

    /// The events so far; of what is taken down apart only those.
    pub fn so_far(&self) -> Vec<Event> {
        let taken = self.taken.lock();
        taken.map(|taken| taken.aside.as_ref().unwrap_or(&taken.events).clone()).unwrap_or_default()
    }

    /// Ends the recording: the events, and the journal that must be ended once the record is stored.
    pub fn end(self) -> (Vec<Event>, Option<Journal>) {
        match self.taken.into_inner() {
            Ok(taken) => (taken.events, taken.journal),
            Err(poisoned) => {
                let taken = poisoned.into_inner();
                (taken.events, taken.journal)
            }
        }
    }

    /// The event without secrets. An event is plain data, so the way through JSON loses nothing.
    fn clean(&self, event: Event) -> Event {
        let Ok(mut value) = serde_json::to_value(&event) else { return event };
        self.redactor.clean_json(&mut value);
        serde_json::from_value(value).unwrap_or(event)
    }
}
