//! What many records say together, for a person: of each scenario, major, runtime and class of machine how often it was proven,
//! when last, and how its recovery time goes.

use std::time::Duration;

use pgdrill_model::history::{self, Line};
use pgdrill_model::run::Run;
use pgdrill_model::units::{show_count, show_duration, show_time};
use pgdrill_model::verdict::Verdict;

use crate::coverage;
use crate::page::{Cell, Column, Page, Style, Tone};
use crate::words;

/// The steps of a picture of times, from none to the longest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many times are in a picture: the newest.
const PICTURED: usize = 24;

/// The table. `max_age`: for how long a drill may not have been proven, before it is told.
pub fn text(runs: &[Run], now_unix_us: i64, max_age: Option<Duration>, style: Style) -> String {
    let lines = history::lines(runs);
    let mut page = Page::new(style);
    let columns = [
        Column::left("scenario"),
        Column::left("on"),
        Column::right("proven"),
        Column::right("the last"),
        Column::right("recovery"),
        Column::right("median"),
        Column::clipped("to the newest"),
    ];
    let row = |line: &Line<'_>| -> Vec<Cell> {
        let newest = line.newest();
        let tone = newest.map_or(Tone::Plain, |run| words::verdict(run.verdict).0);
        let age = line.age(now_unix_us).map_or_else(|| "never".to_owned(), ago);
        let stale = max_age.is_some_and(|limit| line.is_stale(now_unix_us, limit));
        let recovery = newest.and_then(history::recovery_time).map_or_else(String::new, words::time);
        let (proven, all) = (line.count(Verdict::Proven), line.runs().len() as u64);
        vec![
            Cell::from(&line.kind.scenario),
            Cell::from(format!("{} {}", line.kind.postgres, line.kind.runtime)),
            Cell::new(tone, format!("{} of {}", show_count(proven), show_count(all))),
            Cell::new(if stale { Tone::Bad } else { Tone::Plain }, age),
            Cell::from(recovery),
            Cell::from(line.spread().map_or_else(String::new, |spread| words::time(spread.median()))),
            Cell::from(picture(&line.times())),
        ]
    };
    let rows: Vec<Vec<Cell>> = lines.iter().map(row).collect();
    if rows.is_empty() {
        page.paragraph(0, Tone::Doubt, "no records");
        return page.finish();
    }
    page.table(&columns, &rows);
    coverage::all(&mut page, runs);
    page.blank();
    page.paragraph(0, Tone::Plain, &span(runs));
    for line in &lines {
        if let Some(run) = line.newest().filter(|run| run.verdict != Verdict::Proven) {
            let (tone, verdict) = words::verdict(run.verdict);
            let text = format!("{}, run {}: {}", on(line), run.header.id, run.reason);
            page.labelled(0, (tone, &format!("{verdict}:")), (Tone::Strong, &text));
        }
        if let Some(text) = max_age.and_then(|limit| stale(line, now_unix_us, limit)) {
            page.labelled(0, (Tone::Bad, "STALE:"), (Tone::Strong, &text));
        }
    }
    page.finish()
}

/// That a line was not proven for longer than `limit`, in words.
pub(crate) fn stale(line: &Line<'_>, now_unix_us: i64, limit: Duration) -> Option<String> {
    if !line.is_stale(now_unix_us, limit) {
        return None;
    }
    let age = match line.age(now_unix_us) {
        Some(age) => format!("was last proven {}", ago(age)),
        None => "was never proven".to_owned(),
    };
    Some(format!("{} {age}, and must be within {}", on(line), show_duration(limit)))
}

/// A line of runs, in words.
pub(crate) fn on(line: &Line<'_>) -> String {
    let history::Kind { scenario, postgres, runtime, .. } = &line.kind;
    format!("{scenario} on PostgreSQL {postgres} ({runtime})")
}

/// The same, and what the times are of.
fn span(runs: &[Run]) -> String {
    format!(
        "{}; times are of proven drills by the newest scenario file that had the machine for themselves",
        when(runs)
    )
}

/// How many there are, and from when to when.
pub(crate) fn when(runs: &[Run]) -> String {
    let began = runs.iter().map(|run| run.started_unix_us);
    let day = |unix_us: i64| show_time(unix_us).chars().take(16).collect::<String>();
    let (first, last) = (began.clone().min().map(day), began.max().map(day));
    format!(
        "{}, from {} to {} UTC",
        words::count(runs.len() as u64, "drills"),
        first.unwrap_or_default(),
        last.unwrap_or_default()
    )
}

/// An age, as roughly as one speaks of it.
pub(crate) fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Times as bars, from zero to the longest.
fn picture(times: &[u64]) -> String {
    let shown = &times[times.len().saturating_sub(PICTURED)..];
    let most = shown.iter().max().copied().unwrap_or(0).max(1);
    let highest = BARS.len() as u64 - 1;
    let bar = |time: &u64| BARS[(u128::from(*time) * u128::from(highest) / u128::from(most)) as usize];
    // One alone is no line.
    if shown.len() < 2 { String::new() } else { shown.iter().map(bar).collect() }
}

#[cfg(test)]
mod tests {
    use pgdrill_testkit::sample;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Three proven drills, an hour apart, each slower than the one before, and one of another kind that never was.
    fn runs() -> Vec<Run> {
        let mut runs = Vec::new();
        for hour in 0..3 {
            let mut run = sample::proven();
            run.header.id = format!("run{hour}");
            run.started_unix_us += hour * HOUR.as_micros() as i64;
            run.recoveries[0].rto_us = Some((hour as u64 + 1) * 4_000_000);
            runs.push(run);
        }
        let mut never = sample::unverified();
        never.header.scenario = "nightly/never".to_owned();
        runs.push(never);
        runs
    }

    fn told(max_age: Option<Duration>) -> String {
        let runs = runs();
        let now = runs[2].started_unix_us + runs[2].took_us as i64 + 27 * HOUR.as_micros() as i64;
        text(&runs, now, max_age, Style { color: false, width: 140 })
    }

    #[test]
    fn a_line_tells_how_often_when_and_how_fast() {
        let told = told(None);
        let line = told.lines().find(|line| line.contains("smoke/restore-tar-gzip")).unwrap();
        for part in ["3 of 3", "27 h ago", "12.0 s", "8.0 s", "▃▅█"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        let never = told.lines().find(|line| line.contains("nightly/never")).unwrap();
        assert!(never.contains("0 of 1") && never.contains("never"), "{never}");
        assert!(told.contains("4 drills, from 2026-11-22 19:15 to 2026-11-22 21:15 UTC"), "{told}");
        assert!(!told.contains("STALE"), "{told}");
        let not = told.lines().find(|line| line.contains("nightly/never on PostgreSQL")).unwrap();
        assert!(not.starts_with("COULD NOT VERIFY: "), "{not}");
    }

    #[test]
    fn what_is_too_old_is_told_by_name() {
        let told = told(Some(26 * HOUR));
        let stale: Vec<&str> = told.lines().filter(|line| line.starts_with("STALE")).collect();
        assert_eq!(stale.len(), 2, "{told}");
        assert!(told.contains("was never proven, and must be within 26 h 00 min"), "{told}");
        assert!(told.contains("was last proven 27 h ago, and must be within 26 h 00 min"), "{told}");
        assert!(!self::told(Some(28 * HOUR)).contains("was last proven"), "younger than that");
    }

    #[test]
    fn no_records_are_said_to_be_none() {
        assert_eq!(text(&[], 0, None, Style::default()), "no records\n");
    }

    #[test]
    fn a_picture_is_from_zero_of_the_newest_and_one_time_is_no_line() {
        assert_eq!(picture(&[5]), "");
        assert_eq!(picture(&[0, 7, 14]), "▁▄█");
        assert_eq!(picture(&[0, 0]), "▁▁");
        assert_eq!(picture(&vec![3; 100]).chars().count(), PICTURED);
        assert_eq!(picture(&[u64::MAX, 0]), "█▁");
    }
}
