//! What people and machines read of a watch on a live server.

use std::fmt::Write;
use std::time::Duration;

use pgdrill_model::alert::{Change, Level, Watch};
use pgdrill_model::units::{show_duration, show_time};
use serde_json::{Value, json};

use crate::exposition::{Exposition, Sample};

/// Everything that a report of a watch rests on.
#[derive(Debug)]
pub struct Watched<'w> {
    /// Which server, without any password.
    pub server: &'w str,
    /// When the watch began, microseconds since 1970.
    pub began_unix_us: i64,
    /// How often it looked, and how often the server answered.
    pub looks: u64,
    /// See `looks`.
    pub answers: u64,
    /// What it knows.
    pub watch: &'w Watch,
    /// What changed meanwhile, in that order.
    pub changes: &'w [Change],
}

impl Watched<'_> {
    fn unix_us(&self, at: Duration) -> i64 {
        self.began_unix_us.saturating_add(at.as_micros() as i64)
    }

    /// One line for an alert that began to fire, or ceased; and where it fires, what to look at first.
    pub fn line(&self, change: &Change) -> String {
        let Change { at, level } = change;
        let state = if level.fires { "FIRING" } else { "over  " };
        let mut line = format!("{}  {state}  {}", show_time(self.unix_us(*at)), self.level(level));
        if level.fires {
            let _ = write!(line, "\n    {}", level.alert.entry().then);
        }
        line
    }

    /// An alert's name, value and limit.
    fn level(&self, level: &Level) -> String {
        let alert = level.alert;
        let value = level.value.map_or_else(|| "unknown".to_owned(), |value| alert.show(value));
        let mut text = format!("{:<20} {value}, limit {}", alert.name(), limit(self.watch, level));
        if let Some(about) = &level.about {
            let _ = write!(text, ": {about}");
        }
        text
    }

    /// The end of a watch, for a person: every alert, and how often it fired.
    pub fn text(&self) -> String {
        let mut text = format!(
            "watched {} for {}: {} of {} looks were answered\n",
            self.server,
            show_duration(self.watch.newest().map_or(Duration::ZERO, |sample| sample.at)),
            self.answers,
            self.looks
        );
        for level in self.watch.levels() {
            let fired = self.fired(level).count();
            let state = match (level.fires, fired, level.value) {
                (true, ..) => "FIRING",
                (false, 1.., _) => "fired",
                (false, 0, Some(_)) => "quiet",
                (false, 0, None) => "UNKNOWN",
            };
            let _ = writeln!(text, "  {state:<8} {}", self.level(level));
        }
        text
    }

    fn fired<'s>(&'s self, level: &'s Level) -> impl Iterator<Item = &'s Change> {
        self.changes.iter().filter(|change| change.level.alert == level.alert && change.level.fires)
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        let level = |level: &Level| {
            json!({
                "alert": level.alert.name(),
                "value": level.value,
                "limit": level.limit,
                "window_us": self.watch.window(level.alert).as_micros() as u64,
                "fires": level.fires,
                "about": level.about,
            })
        };
        let change = |change: &Change| {
            json!({
                "unix_us": self.unix_us(change.at),
                "since_began_us": change.at.as_micros() as u64,
                "alert": change.level.alert.name(),
                "fires": change.level.fires,
                "value": change.level.value,
                "about": change.level.about,
            })
        };
        json!({
            "schema": "pgdrill.watch/1",
            "server": self.server,
            "began_unix_us": self.began_unix_us,
            "looks": self.looks,
            "answers": self.answers,
            "alerts": self.watch.levels().iter().map(level).collect::<Vec<_>>(),
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
        })
    }

    /// The text of a file for Prometheus' node exporter (textfile collector).
    pub fn prometheus(&self) -> String {
        let mut text = Exposition::default();
        let server = || vec![("server", self.server.to_owned())];
        let newest = self.watch.newest();
        let up = newest.is_some_and(|sample| sample.server.is_ok());
        let at = newest.map_or(self.began_unix_us, |sample| self.unix_us(sample.at));
        let of = |value: &dyn Fn(&Level) -> Option<f64>| -> Vec<Sample> {
            let alert = |level: &Level| [server(), vec![("alert", level.alert.name().to_owned())]].concat();
            self.watch.levels().iter().filter_map(|level| Some((alert(level), value(level)?))).collect()
        };
        text.gauge(
            "pgdrill_watch_up",
            "Whether the server answered the last look.",
            [(server(), f64::from(u8::from(up)))],
        );
        text.gauge(
            "pgdrill_watch_last_look_timestamp_seconds",
            "When the server was last looked at.",
            [(server(), at as f64 / 1e6)],
        );
        text.gauge(
            "pgdrill_alert_firing",
            "Whether an alert fires.",
            of(&|level| Some(f64::from(u8::from(level.fires)))),
        );
        text.gauge(
            "pgdrill_alert_value",
            "What an alert is at; missing as long as it is not known.",
            of(&|level| level.value),
        );
        text.gauge("pgdrill_alert_limit", "Above what an alert fires.", of(&|level| Some(level.limit)));
        text.finish()
    }
}

/// What the alerts are, for a person.
pub fn catalogue(watch: &Watch) -> String {
    let mut text = String::new();
    for level in watch.levels() {
        let _ = writeln!(text, "  {:<20} above {}", level.alert.name(), limit(watch, level));
    }
    text
}

/// Above what an alert fires, and how far back it looks.
fn limit(watch: &Watch, level: &Level) -> String {
    let (limit, window) = (level.alert.show(level.limit), watch.window(level.alert));
    if window.is_zero() { limit } else { format!("{limit} in {}", show_duration(window)) }
}

#[cfg(test)]
mod tests {
    use pgdrill_model::alert::{ALERTS, Disk, Measured, Sample};

    use super::*;

    fn watched(run: impl FnOnce(&Watched<'_>)) {
        let mut watch = Watch::new(1);
        let mut changes = Vec::new();
        for second in 0..7_u64 {
            let sample = Sample {
                at: Duration::from_secs(second * 5),
                server: if second == 0 {
                    Ok(Measured { bytes: 10, sees_all: true, ..Measured::default() })
                } else {
                    Err("connection \"refused\"".to_owned())
                },
                disks: vec![Disk { path: "/data".to_owned(), used: Some(0.25) }],
            };
            changes.extend(watch.hear(sample));
        }
        run(&Watched {
            server: "db\"1\"/trading",
            began_unix_us: 1_700_000_000_000_000,
            looks: 7,
            answers: 1,
            watch: &watch,
            changes: &changes,
        });
    }

    #[test]
    fn a_line_tells_when_what_and_what_now() {
        watched(|watched| {
            let [change] = watched.changes else { panic!("{:?}", watched.changes) };
            let line = watched.line(change);
            assert!(
                line.starts_with(
                    "2023-11-14 22:13:50.000000+00  FIRING  connection-failures  6, limit 5 in 60.0 s: "
                ),
                "{line}"
            );
            assert!(line.contains("Is the server running"));
        });
    }

    #[test]
    fn the_end_tells_of_every_alert() {
        watched(|watched| {
            let text = watched.text();
            assert!(text.contains("1 of 7 looks were answered"), "{text}");
            assert!(text.contains("FIRING   connection-failures"), "{text}");
            assert!(text.contains("quiet    disk-use             25.0 %, limit 80.0 %: /data"), "{text}");
            assert_eq!(text.lines().count(), 1 + ALERTS.len());
        });
    }

    #[test]
    fn metrics_are_escaped_typed_and_one_per_line() {
        watched(|watched| {
            let text = watched.prometheus();
            assert!(text.contains("pgdrill_watch_up{server=\"db\\\"1\\\"/trading\"} 0\n"), "{text}");
            assert!(text.contains(",alert=\"connection-failures\"} 6\n"), "{text}");
            assert!(
                text.contains(
                    "pgdrill_watch_last_look_timestamp_seconds{server=\"db\\\"1\\\"/trading\"} 1700000030\n"
                ),
                "{text}"
            );
            let names = text.lines().filter(|line| line.starts_with("# TYPE")).count();
            assert_eq!(names, 5);
            assert!(text.lines().all(|line| line.starts_with('#')
                || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())));
        });
    }

    #[test]
    fn the_object_has_what_changed() {
        watched(|watched| {
            let json = watched.json();
            assert_eq!(json["schema"], "pgdrill.watch/1");
            assert_eq!(json["changes"][0]["unix_us"], 1_700_000_030_000_000_i64);
            assert_eq!(json["alerts"][0]["fires"], true);
            assert_eq!(json["alerts"].as_array().unwrap().len(), ALERTS.len());
        });
    }
}
