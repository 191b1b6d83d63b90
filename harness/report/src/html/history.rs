//! How it went from run to run: of each scenario, major, runtime and class of machine when it was last proven, and a chart of its
//! recovery time.

use maud::{Markup, html};
use pgdrill_model::history::{Line, recovery_time};
use pgdrill_model::run::Run;
use pgdrill_model::units::show_count;
use pgdrill_model::verdict::Verdict;

use super::Part;
use super::blocks::scrolled;
use super::chosen::Chosen;
use super::svg::{percent, share};
use super::top::linked;
use super::verdict::{badge, class_of, sign};
use crate::history::{ago, on};
use crate::words;

/// How many runs are in a chart: the newest.
const CHARTED: usize = 120;

/// The room of a chart for marks, from its top and to its bottom, in pixels.
const TOP: f64 = 24.0;
const BOTTOM: f64 = 104.0;

/// Its bottom where no run has a time, and all stand on the axis.
const BOTTOM_WITHOUT_TIMES: f64 = 12.0;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    // Of one run, its own part says all.
    if chosen.all.len() < 2 {
        return None;
    }
    let charts: Vec<&Line<'_>> = chosen.lines.iter().filter(|line| line.runs().len() > 1).collect();
    let body = html! {
        (scrolled("When each was last proven", &html! {
            thead { tr {
                @for name in ["scenario", "on", "machine", "newest"] { th scope="col" { (name) } }
                @for name in ["proven", "last proven", "recovery", "median", "least to most"] {
                    th.n scope="col" { (name) }
                }
            } }
            tbody { @for line in &chosen.lines { (row(chosen, line)) } }
        }))
        @if !charts.is_empty() {
            h3 { "Recovery time from run to run" }
            div.charts { @for line in charts { (chart(line)) } }
        }
    };
    let says = "times are of proven drills by the newest scenario file that had the machine for themselves";
    Some(Part::new("history", "History", body).saying(says))
}

fn row(chosen: &Chosen<'_>, line: &Line<'_>) -> Markup {
    let Some(newest) = line.newest() else { return html! {} };
    let age = line.age(chosen.now_unix_us).map_or_else(|| "never".to_owned(), ago);
    let stale = chosen.terms.max_age.is_some_and(|limit| line.is_stale(chosen.now_unix_us, limit));
    let spread = line.spread();
    html! {
        tr {
            th scope="row" { (linked(chosen, newest, &line.kind.scenario)) }
            td.short { (line.kind.postgres) " " (line.kind.runtime) }
            td.short { span.faint { (line.kind.machine) } }
            td { (badge(newest.verdict)) }
            td.n { (show_count(line.count(Verdict::Proven))) " of " (show_count(line.runs().len() as u64)) }
            td.n { (age) @if stale { " " b.bad { "STALE" } } }
            td.n { (recovery_time(newest).map_or_else(String::new, words::time)) }
            td.n { (spread.as_ref().map_or_else(String::new, |spread| words::time(spread.median()))) }
            td.n { @if let Some(spread) = spread.filter(|spread| spread.count() > 1) {
                (words::time(spread.least())) " to " (words::time(spread.most()))
            } }
        }
    }
}

/// Where a run is in a chart.
struct Dot<'r> {
    run: &'r Run,
    across: f64,
    time: Option<u64>,
}

fn chart(line: &Line<'_>) -> Markup {
    let shown = &line.runs()[line.runs().len().saturating_sub(CHARTED)..];
    let began = |run: &Run| run.started_unix_us;
    let first = shown.first().map_or(0, |run| began(run));
    let span = shown.last().map_or(0, |run| began(run)).saturating_sub(first).max(1).unsigned_abs();
    let dots: Vec<Dot<'_>> = shown
        .iter()
        .map(|run| Dot {
            run,
            // Marks at both ends are seen whole.
            across: 4.0 + 0.92 * share(began(run).saturating_sub(first).unsigned_abs(), span),
            time: recovery_time(run),
        })
        .collect();
    let longest = dots.iter().filter_map(|dot| dot.time).max().unwrap_or(0);
    let objective = line.newest().and_then(|run| run.header.rto_us);
    let median = line.spread().map(|spread| spread.median());
    // An objective far above all times is told in words: it would press the times together.
    let drawn = objective.filter(|target| *target <= longest.saturating_mul(3));
    let whole = longest.max(drawn.unwrap_or(0)).max(1);
    let bottom = if longest > 0 { BOTTOM } else { BOTTOM_WITHOUT_TIMES };
    let down = |time: u64| bottom - (bottom - TOP) * share(time, whole) / 100.0;
    let says = in_words(line, shown, median, objective, drawn.is_some());
    let name = format!("Recovery time of {}, {says}", on(line));
    let day = |run: &Run| words::strftime(run.started_unix_us, "%Y-%m-%d");
    html! {
        figure.chart {
            figcaption {
                b { (line.kind.scenario) } br;
                span.faint { "PostgreSQL " (line.kind.postgres) ", " (line.kind.runtime) ", " (line.kind.machine) }
            }
            svg role="img" width="100%" height=(bottom + 24.0) {
                title { (name) }
                line.axis x1="0" x2="100%" y1=(bottom) y2=(bottom) {}
                @if longest > 0 { text.axis x="0" y="11" { (words::time(whole)) } }
                @if let Some(target) = drawn { (level("objective", down(target))) }
                @if let Some(median) = median { (level("median", down(median))) }
                @for pair in dots.windows(2) { (between(pair, &down)) }
                @for dot in &dots { (mark(dot, dot.time.map_or(bottom, down))) }
                @if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
                    text.axis x="0" y=(bottom + 18.0) { (day(first)) }
                    text.axis x="100%" y=(bottom + 18.0) text-anchor="end" { (day(last)) }
                }
            }
            p.faint { (says) }
        }
    }
}

/// A line across a chart, of which its words say what it is.
fn level(class: &str, down: f64) -> Markup {
    let down = format!("{down:.1}");
    html! { line.(class) x1="0" x2="100%" y1=(down) y2=(down) {} }
}

/// The way from a run to the next, where both have a time.
fn between(pair: &[Dot<'_>], down: &impl Fn(u64) -> f64) -> Markup {
    match pair {
        [Dot { across: from, time: Some(first), .. }, Dot { across: to, time: Some(next), .. }] => html! {
            line.way x1=(percent(*from)) y1=(format!("{:.1}", down(*first))) x2=(percent(*to))
                y2=(format!("{:.1}", down(*next))) {}
        },
        _ => html! {},
    }
}

/// A run: by its verdict a dot, a cross or a question mark; without a time it stands on the axis.
fn mark(dot: &Dot<'_>, down: f64) -> Markup {
    let run = dot.run;
    let time = dot.time.map_or_else(|| "no recovery time".to_owned(), words::time);
    let says = format!("{}: {}, {time}", words::moment(run.started_unix_us), words::verdict(run.verdict).1);
    let across = percent(dot.across);
    let at = |below: f64| format!("{:.1}", down + below);
    html! {
        @if run.verdict == Verdict::Proven {
            circle.(class_of(run.verdict)) cx=(across) cy=(at(0.0)) r="3.5" { title { (says) } }
        } @else {
            text.mark.(class_of(run.verdict)) x=(across) y=(at(5.0)) text-anchor="middle" {
                (sign(run.verdict)) title { (says) }
            }
        }
    }
}

/// A chart in words.
fn in_words(
    line: &Line<'_>,
    shown: &[&Run],
    median: Option<u64>,
    objective: Option<u64>,
    drawn: bool,
) -> String {
    let mut parts: Vec<String> = [Verdict::Proven, Verdict::Disproven, Verdict::Unverified]
        .into_iter()
        .map(|verdict| (verdict, shown.iter().filter(|run| run.verdict == verdict).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| {
            format!("{} {count} {}", sign(verdict), words::verdict(verdict).1.to_lowercase())
        })
        .collect();
    if shown.iter().all(|run| recovery_time(run).is_none()) {
        parts.push("no recovery time".to_owned());
    }
    parts.extend(median.map(|median| format!("median {} (dotted)", words::time(median))));
    let dashed = if drawn { "dashed" } else { "above the chart" };
    parts.extend(objective.map(|target| format!("objective {} ({dashed})", words::time(target))));
    let of = match line.runs().len() - shown.len() {
        0 => words::count(shown.len() as u64, "runs"),
        _ => format!("the newest {}", words::count(shown.len() as u64, "runs")),
    };
    format!("{of}: {}", parts.join(", "))
}
