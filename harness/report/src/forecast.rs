//! A forecast, for a person: how long a recovery would take of a database of another size, which phase binds, and what would halve
//! it; or why nobody can tell.

use pgdrill_model::forecast::{Forecast, GrowsWith, Wanted, forecast, samples};
use pgdrill_model::history::Kind;
use pgdrill_model::run::Run;

use crate::page::{Cell, Column, Page, Style, TIE, Tone};
use crate::words;

/// From how many times the largest measured size on it is said that the machine may behave otherwise there.
const FAR: u64 = 10;

/// The forecasts of all scenarios of which there are recoveries, and how many there are.
pub fn text(runs: &[Run], wanted: Wanted, style: Style) -> (String, usize) {
    let mut page = Page::new(style);
    let mut made = 0;
    let all = samples(runs);
    if all.is_empty() {
        page.paragraph(
            0,
            Tone::Doubt,
            "no proven recoveries that had the machine for themselves: nothing to make a forecast from",
        );
    }
    for (kind, samples) in &all {
        match forecast(samples, wanted) {
            Ok(forecast) => {
                made += 1;
                told(&mut page, kind, &forecast);
            }
            Err(refused) => {
                page.labelled(
                    0,
                    (Tone::Doubt, "NO FORECAST:"),
                    (Tone::Plain, &format!("{}: {refused}", on(kind))),
                );
            }
        }
    }
    (page.finish(), made)
}

fn on(kind: &Kind) -> String {
    format!("{} on PostgreSQL{TIE}{} ({}, {})", kind.scenario, kind.postgres, kind.runtime, kind.machine)
}

fn told(page: &mut Page, kind: &Kind, forecast: &Forecast) {
    page.heading(&format!("Forecast for {}", on(kind)));
    page.fact(
        "recovery",
        &format!(
            "{} for {} of files and {} of WAL to replay",
            words::time(forecast.us),
            words::bytes(forecast.size),
            words::bytes(forecast.wal)
        ),
    );
    page.fact(
        "between",
        &format!("{} and {} with 95{TIE}%", words::time(forecast.from_us), words::time(forecast.to_us)),
    );
    let trial = forecast.trial;
    page.fact(
        "tried",
        &format!(
            "fitted to the smaller sizes it predicts {} for {} and {} of WAL, where {} was measured: {}{TIE}% off",
            words::time(trial.predicted_us),
            words::bytes(trial.size),
            words::bytes(trial.wal),
            words::time(trial.measured_us),
            trial.error_percent()
        ),
    );
    page.fact(
        "rests on",
        &format!(
            "{}, up to {} of files and {} of WAL",
            words::count(forecast.measured, "recoveries"),
            words::bytes(forecast.largest_size),
            words::bytes(forecast.largest_wal)
        ),
    );
    let rows: Vec<Vec<Cell>> = forecast
        .phases
        .iter()
        .map(|phase| {
            let share = phase.us as f64 * 100.0 / forecast.us.max(1) as f64;
            let grows = match (phase.grows_with, phase.bytes_per_second) {
                (GrowsWith::Nothing, _) | (_, None) => "the same for any size".to_owned(),
                (of, Some(rate)) => {
                    let what = if of == GrowsWith::Size { "files" } else { "WAL" };
                    format!("{} of {what} a second", words::bytes(rate as u64))
                }
            };
            let binds = forecast.binding() == Some(phase);
            let tone = if binds { Tone::Strong } else { Tone::Plain };
            vec![
                Cell::new(tone, &phase.name),
                Cell::new(tone, words::time(phase.us)),
                Cell::new(tone, format!("{share:.0}{TIE}%")),
                Cell::new(tone, grows),
            ]
        })
        .collect();
    page.blank();
    page.table(
        &[
            Column::left("phase"),
            Column::right("time"),
            Column::right("share"),
            Column::flexible("grows with"),
        ],
        &rows,
    );
    if let Some(binding) = forecast.binding() {
        page.fact(
            "binds",
            &format!("{}; {}", binding.name, halving(forecast, &binding.name, binding.grows_with)),
        );
    }
    if forecast.beyond() >= FAR {
        let words = format!(
            "this is {} times the largest that was measured: a machine whose memory or disk cache no longer holds it may be slower",
            forecast.beyond()
        );
        page.labelled(2, (Tone::Doubt, "far:"), (Tone::Plain, &words));
    }
}

/// What would make the whole take half the time.
fn halving(forecast: &Forecast, phase: &str, grows_with: GrowsWith) -> String {
    let Some(times) = forecast.to_halve() else {
        return "no single phase can halve the whole".to_owned();
    };
    let how = match grows_with {
        GrowsWith::Wal => "; so would base backups that leave that much less WAL to replay",
        GrowsWith::Size if phase == "unpack" => {
            "; other compression, more processors for the unpacking, or faster storage are where to look"
        }
        _ => "",
    };
    format!("the whole would take half the time if {phase} were {times:.1} times as fast{how}")
}

#[cfg(test)]
mod tests {
    use pgdrill_testkit::sample;

    use super::*;

    fn style() -> Style {
        Style { color: false, width: 120 }
    }

    /// Proven drills of three sizes, a MiB in 4 ms.
    fn runs() -> Vec<Run> {
        let of = |megabytes: u64, at: i64| {
            let mut run = sample::proven();
            run.header.id = format!("run{at}");
            run.started_unix_us += at;
            run.header.scenario = format!("rto/tar@{megabytes}k-orders");
            run.backups[0].content_bytes = megabytes << 20;
            let recovery = &mut run.recoveries[0];
            recovery.backups = vec![run.backups[0].name.clone()];
            for phase in &mut recovery.phases {
                phase.took_us = if phase.name == "unpack" { megabytes * 4_000 } else { 20_000 };
            }
            recovery.rto_us = Some(recovery.phases.iter().map(|phase| phase.took_us).sum());
            run
        };
        vec![of(100, 1), of(400, 2), of(1_600, 3)]
    }

    #[test]
    fn a_forecast_says_how_long_how_sure_what_binds_and_what_would_halve_it() {
        let wanted = Wanted { size: Some(2 << 40), wal: None };
        let (told, made) = text(&runs(), wanted, style());
        assert_eq!(made, 1, "{told}");
        // 2 TiB at 250 MiB/s.
        for part in [
            "Forecast for rto/tar on PostgreSQL 15",
            "2 h 19 min",
            "2.0 TiB of files",
            "0 % off",
            "3 recoveries, up to 1.6 GiB of files",
            "250.0 MiB of files a second",
            "unpack; the whole would take half the time if unpack were 2.0 times as fast",
            "1310 times the largest that was measured",
        ] {
            assert!(told.replace('\u{a0}', " ").contains(part), "{part} in:\n{told}");
        }
    }

    #[test]
    fn why_there_is_none_is_said() {
        let (told, made) = text(&runs()[..2], Wanted::default(), style());
        assert_eq!(made, 0);
        assert!(told.contains("NO FORECAST: rto/tar on"), "{told}");
        let (told, made) = text(&[], Wanted::default(), style());
        assert!(made == 0 && told.contains("no proven recoveries"), "{told}");
    }
}
