//! Tells on standard error what happens while it happens: with a moving line on a terminal, with plain lines
//! elsewhere.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pgdrill_model::event::{Event, Happening, Header, StepStatus, Unit};
use pgdrill_model::units::{show_bytes, show_count, show_duration};
use pgdrill_model::world::Listener;

use crate::printer;

/// How often a long step says something where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// A listener that tells nothing.
pub struct Silent;

impl Listener for Silent {
    fn hear(&self, _event: &Event) {}
}

/// Standard error, which the drills that run at the same time share.
pub struct Screen {
    /// None where there is no terminal.
    bars: Option<MultiProgress>,
}

/// A listener that tells a person.
pub struct Teller {
    bar: Option<ProgressBar>,
    screen: Option<MultiProgress>,
    label: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    header: Option<Header>,
    step: usize,
    last_plain: Option<Instant>,
    pace: Option<Pace>,
}

/// Since when something is known to go on, and how far it was then.
#[derive(Debug)]
struct Pace {
    what: String,
    at_us: u64,
    done: u64,
}

impl Screen {
    /// Moving on a terminal, plain elsewhere.
    pub fn new() -> Self {
        Self { bars: std::io::IsTerminal::is_terminal(&std::io::stderr()).then(MultiProgress::new) }
    }

    /// A listener to one drill. `label` begins each of its lines, where lines of other drills stand between them.
    pub fn teller(&self, label: Option<String>) -> Teller {
        let label = label.unwrap_or_default();
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::no_length());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix}{wide_msg} {elapsed:>4}") {
                bar.set_style(style);
            }
            bar.set_prefix(clean(&label));
            bar
        });
        Teller { bar, screen: self.bars.clone(), label, state: Mutex::new(State::default()) }
    }

    /// Says something that no moving line may run through.
    pub fn aside<T>(&self, say: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(say),
            None => say(),
        }
    }
}

impl Teller {
    fn line(&self, text: &str) {
        let text = clean(&format!("{}{text}", self.label));
        match &self.screen {
            Some(screen) => screen.suspend(|| printer::say(&text)),
            None => printer::say(&text),
        }
    }
}

impl Listener for Teller {
    fn hear(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else { return };
        match &event.what {
            Happening::RunStarted(header) => {
                self.line(&format!(
                    "drill {} on PostgreSQL {} ({}), seed {}, run {}",
                    header.scenario, header.postgres, header.runtime, header.seed, header.id
                ));
                state.header = Some(Header::clone(header));
            }
            Happening::StepStarted { step } => {
                state.step = *step;
                state.last_plain = Some(Instant::now());
                if let Some(bar) = &self.bar {
                    bar.reset_elapsed();
                    bar.enable_steady_tick(Duration::from_millis(100));
                    bar.set_message(state.name());
                }
            }
            Happening::Progress { what, done, total, unit } => {
                let since = state.pace.take().filter(|since| since.what == *what && since.done <= *done);
                let since =
                    since.unwrap_or_else(|| Pace { what: what.clone(), at_us: event.at_us, done: *done });
                let pace = pace(&since, event.at_us, *done, *total, *unit);
                state.pace = Some(since);
                let text = format!("{}: {}{pace}", state.name(), progress(what, *done, *total, *unit));
                if let Some(bar) = &self.bar {
                    bar.set_message(clean(&text));
                } else if state.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) {
                    state.last_plain = Some(Instant::now());
                    self.line(&format!("  ...  {text}"));
                }
            }
            Happening::StepEnded { status, took_us, .. } => {
                let mark = match status {
                    StepStatus::Done => "ok",
                    StepStatus::Failed => "FAILED",
                    StepStatus::NotRun => "not run",
                    StepStatus::Interrupted => "interrupted",
                };
                let took = show_duration(Duration::from_micros(*took_us));
                self.line(&format!("  {mark:<6} {:<16} {took:>9}  {}", state.name(), state.does()));
            }
            Happening::Found(finding) => self.line(&format!("  {}: {}", finding.code, finding.message)),
            Happening::TeardownStarted => {
                if let Some(bar) = &self.bar {
                    bar.set_message("teardown");
                }
            }
            Happening::RunEnded { .. } => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
            }
            Happening::PlaceOpened { .. } | Happening::Measured(_) | Happening::TornDown(_) => {}
        }
    }
}

impl State {
    fn name(&self) -> String {
        self.planned(|step| step.name.clone())
    }

    fn does(&self) -> String {
        self.planned(|step| step.does.clone())
    }

    fn planned(&self, of: impl Fn(&pgdrill_model::event::PlannedStep) -> String) -> String {
        self.header.as_ref().and_then(|header| header.plan.get(self.step)).map(of).unwrap_or_default()
    }
}

fn show(amount: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => show_bytes(amount),
        Unit::Rows => format!("{} rows", show_count(amount)),
        Unit::Tables => format!("{} tables", show_count(amount)),
        Unit::Segments => format!("{} segments", show_count(amount)),
        Unit::Transactions => format!("{} transactions", show_count(amount)),
        Unit::Points => format!("{} recovery points", show_count(amount)),
        Unit::Mutants => format!("{} mutants", show_count(amount)),
        Unit::Recoveries => format!("{} recoveries", show_count(amount)),
        Unit::Backups => format!("{} backups", show_count(amount)),
    }
}

/// How fast it goes, and how long it will take at that pace; nothing as long as nobody can say.
fn pace(since: &Pace, at_us: u64, done: u64, total: Option<u64>, unit: Unit) -> String {
    let (took, more) = (at_us.saturating_sub(since.at_us), done - since.done);
    if took < 1_000_000 || more == 0 {
        return String::new();
    }
    let rate = u128::from(more) * 1_000_000 / u128::from(took);
    let rate = match u64::try_from(rate).unwrap_or(u64::MAX) {
        0 => format!(", one in {}", show_duration(Duration::from_micros(took / more))),
        rate => format!(", {} in a second", show(rate, unit)),
    };
    let left = total.filter(|total| *total > done).map(|total| {
        let us = u128::from(total - done) * u128::from(took) / u128::from(more);
        format!(", {} left", show_duration(Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))))
    });
    format!("{rate}{}", left.unwrap_or_default())
}

fn progress(what: &str, done: u64, total: Option<u64>, unit: Unit) -> String {
    let show = |amount: u64| show(amount, unit);
    match total {
        Some(total) if total > 0 => {
            format!("{what}, {} of {} ({} %)", show(done), show(total), done.min(total) * 100 / total)
        }
        _ if done > 0 => format!("{what}, {}", show(done)),
        _ => what.to_owned(),
    }
}

/// A line without what a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_in_words() {
        assert_eq!(
            progress("unpack", 5 << 20, Some(20 << 20), Unit::Bytes),
            "unpack, 5.0 MiB of 20.0 MiB (25 %)"
        );
        assert_eq!(progress("replay", 3, None, Unit::Segments), "replay, 3 segments");
        assert_eq!(progress("wait", 0, None, Unit::Segments), "wait");
    }

    #[test]
    fn a_pace_is_told_once_it_is_known_with_the_time_that_is_left() {
        let since = Pace { what: "replay".to_owned(), at_us: 1_000_000, done: 2 };
        let pace = |at_us, done, total| pace(&since, at_us, done, total, Unit::Segments);
        assert_eq!(pace(1_500_000, 9, Some(22)), "");
        assert_eq!(pace(3_000_000, 2, Some(22)), "");
        assert_eq!(pace(3_000_000, 12, Some(22)), ", 5 segments in a second, 2.0 s left");
        assert_eq!(pace(3_000_000, 22, Some(22)), ", 10 segments in a second");
        assert_eq!(pace(9_000_000, 4, None), ", one in 4.0 s");
    }

    #[test]
    fn no_line_can_command_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
