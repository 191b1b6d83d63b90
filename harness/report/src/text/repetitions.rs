//! The part of a report that tells how the time of a recovery is spread that was made several times, and how fast recoveries are
//! beside each other.

use pgdrill_model::forecast::Sample;
use pgdrill_model::run::Run;
use pgdrill_model::times::{Interval, Times, needed_above};

use crate::page::{Cell, Column, Page, TIE, Tone};
use crate::words;

/// The phases of all recoveries of a run that repeated its last, and what they say together.
pub(crate) fn of_run(page: &mut Page, run: &Run) {
    if run.repetitions.is_empty() {
        return;
    }
    let samples = Sample::of(run);
    let Some(times) = run.times() else { return };
    page.heading(&format!("{} of {} recoveries", times.count(), run.header.repeat));
    let names =
        samples.first().map(|sample| sample.phases.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let phase = |name: &str| Times::of(samples.iter().filter_map(|sample| sample.phase(name)).collect());
    let row = |name: &str, tone: Tone, times: &Times| -> Vec<Cell> {
        let cell = |us: u64| Cell::new(tone, words::time(us));
        vec![Cell::new(tone, name), cell(times.median()), cell(times.least()), cell(times.most())]
    };
    let mut rows: Vec<Vec<Cell>> = names
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| Some(row(name, Tone::Plain, &phase(name)?)))
        .collect();
    rows.push(row("in all", Tone::Strong, &times));
    let columns =
        [Column::left("phase"), Column::right("median"), Column::right("least"), Column::right("most")];
    page.table(&columns, &rows);
    page.fact("median", &format!("{}, {}", words::time(times.median()), between(times.median_interval())));
    page.fact("95 of 100", &percentile(&times));
    if let Some(rates) = rates(&samples) {
        page.fact("rate", &rates);
    }
    if let Some(bound) = bound(run) {
        page.fact("replay", &bound);
    }
}

/// Recoveries beside each other: a row for each run, the fastest first.
pub(crate) fn side_by_side<'r>(page: &mut Page, runs: impl IntoIterator<Item = &'r Run>) {
    let mut all: Vec<(&Run, Times)> = runs
        .into_iter()
        .filter(|run| !run.repetitions.is_empty())
        .filter_map(|run| Some((run, run.times()?)))
        .collect();
    if all.len() < 2 {
        return;
    }
    all.sort_by_key(|(_, times)| times.median());
    let fastest = all.first().map_or(1, |(_, times)| times.median()).max(1);
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|(run, times)| {
            let samples = Sample::of(run);
            let rate = |us: Option<f64>| us.map_or_else(String::new, per_second);
            vec![
                Cell::from(&run.header.scenario),
                Cell::from(run.header.postgres.to_string()),
                Cell::new(Tone::Strong, words::time(times.median())),
                Cell::from(format!("{:.2}", times.median() as f64 / fastest as f64)),
                Cell::from(format!("{} to {}", words::time(times.least()), words::time(times.most()))),
                Cell::from(rate(unpacked(&samples))),
                Cell::from(rate(replayed(&samples))),
            ]
        })
        .collect();
    page.heading("Recovery times, side by side");
    let columns = [
        Column::left("scenario"),
        Column::right("on"),
        Column::right("median"),
        Column::right("ratio"),
        Column::right("all"),
        Column::right("unpacked"),
        Column::right("replayed"),
    ];
    page.table(&columns, &rows);
}

fn between(interval: Interval) -> String {
    let shown = |us: Option<u64>| us.map_or_else(|| "?".to_owned(), words::time);
    format!(
        "between {} and {} with {:.0}{TIE}%",
        shown(interval.from_us),
        shown(interval.to_us),
        (interval.level * 100.0).floor()
    )
}

/// What 95 of 100 recoveries do not exceed, as far as so many can tell.
fn percentile(times: &Times) -> String {
    let within = words::time(times.percentile(95));
    match times.interval(95) {
        Interval { to_us: None, .. } => format!(
            "within {within} by these; for a bound that can be relied on it takes {} recoveries",
            needed_above(95)
        ),
        interval => format!("within {within}, {}", between(interval)),
    }
}

/// How fast it was unpacked and replayed.
fn rates(samples: &[Sample]) -> Option<String> {
    let first = samples.first()?;
    let part = |what: &str, bytes: u64, rate: Option<f64>| {
        rate.map(|rate| format!("{} {what} at {}", words::bytes(bytes), per_second(rate)))
    };
    let parts: Vec<String> = [
        part("unpacked", first.size, unpacked(samples)),
        part("of WAL replayed", first.wal, replayed(samples)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Bytes of files in a second, by the median.
fn unpacked(samples: &[Sample]) -> Option<f64> {
    rate(
        samples,
        |sample| sample.size,
        |sample| Some(sample.phase("unpack")? + sample.phase("combine").unwrap_or(0)),
    )
}

/// Bytes of WAL in a second, by the median.
fn replayed(samples: &[Sample]) -> Option<f64> {
    rate(samples, |sample| sample.wal, |sample| sample.phase("replay"))
}

fn rate(
    samples: &[Sample],
    bytes: impl Fn(&Sample) -> u64,
    us: impl Fn(&Sample) -> Option<u64>,
) -> Option<f64> {
    let took = Times::of(samples.iter().filter_map(us).collect())?.median();
    let bytes = bytes(samples.first()?);
    (took > 0 && bytes > 0).then(|| bytes as f64 * 1e6 / took as f64)
}

fn per_second(rate: f64) -> String {
    format!("{}/s", words::bytes(rate as u64))
}

/// Whether replay computed or waited, by what the server said of the processor time of its startup process.
fn bound(run: &Run) -> Option<String> {
    let mut computed: Vec<u64> =
        run.measured().filter_map(|recovery| recovery.redo?.computed_percent()).collect();
    computed.sort_unstable();
    let percent = *computed.get(computed.len() / 2)?;
    let words = if percent >= 50 {
        "it is bound by the processor"
    } else {
        "it is bound by what it waits for: fetching WAL, the disk"
    };
    Some(format!("computed in {percent}{TIE}% of its time: {words}"))
}
