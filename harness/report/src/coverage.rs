//! Which of the backups of a source are proven, and from when to when: a table with a bar for each, and one sentence.

use pgdrill_model::coverage::{self, Coverage, Covered};
use pgdrill_model::run::Run;
use pgdrill_model::units::show_time;
use pgdrill_model::verdict::Verdict;

use crate::page::{Cell, Column, Page, Tone};
use crate::words;

/// How wide the picture of a time is, in letters.
const WIDTH: i64 = 32;

/// The time that is proven, in the picture.
const PROVEN: char = '█';
/// Where a backup is that was not proven.
const NOT_PROVEN: char = '╳';
/// Where one is that nobody tried.
const NOT_TRIED: char = '○';
/// The time of which nothing is known.
const NOTHING: char = '·';

/// The sources of these drills that hold more than one backup, each with a heading.
pub(crate) fn all(page: &mut Page, runs: &[Run]) {
    for coverage in worth_telling(runs) {
        page.heading(&format!("Coverage of {}", coverage.source.name));
        one(page, &coverage);
    }
}

/// Of a single backup, its drill says all.
pub(crate) fn worth_telling(runs: &[Run]) -> Vec<Coverage<'_>> {
    coverage::of(runs).into_iter().filter(|coverage| coverage.backups.len() > 1).collect()
}

/// The table of one source, and what it comes to.
pub(crate) fn one(page: &mut Page, coverage: &Coverage<'_>) {
    let extent = coverage.extent();
    let columns = [
        Column::left("backup"),
        Column::left("taken"),
        Column::left("verdict"),
        Column::left("proven until"),
        Column::left("when"),
    ];
    let row = |covered: &Covered<'_>| {
        let (tone, state) = state(covered);
        vec![
            Cell::from(&covered.held.label),
            Cell::from(taken(covered)),
            Cell::new(tone, state),
            Cell::from(until(covered)),
            Cell::from(extent.map_or_else(String::new, |extent| picture(covered, extent))),
        ]
    };
    page.table(&columns, &coverage.backups.iter().map(row).collect::<Vec<_>>());
    page.blank();
    page.paragraph(2, Tone::Plain, &sentence(coverage));
}

/// What became of a backup, in a word.
pub(crate) fn state(covered: &Covered<'_>) -> (Tone, &'static str) {
    match (covered.verdict(), &covered.held.unfit) {
        (Some(verdict), _) => words::verdict(verdict),
        (None, Some(_)) => (Tone::Doubt, "unfit"),
        (None, None) => (Tone::Faint, "not tried"),
    }
}

/// Until when it is proven.
pub(crate) fn until(covered: &Covered<'_>) -> String {
    covered.span().map_or_else(|| "-".to_owned(), |(_, to)| minute(to))
}

/// When it was taken.
pub(crate) fn taken(covered: &Covered<'_>) -> String {
    covered.held.unix_us.map_or_else(|| "-".to_owned(), minute)
}

/// How many are proven, and of which times every moment is.
pub(crate) fn sentence(coverage: &Coverage<'_>) -> String {
    let all = coverage.backups.len() as u64;
    let proven = coverage.count(Some(Verdict::Proven));
    let others = [
        (coverage.count(Some(Verdict::Disproven)), "disproven"),
        (coverage.count(Some(Verdict::Unverified)), "could not be verified"),
        (coverage.count(None), "not tried"),
    ];
    let mut sentence = format!("{proven} of {} proven", words::count(all, "backups"));
    for (count, word) in others.into_iter().filter(|(count, _)| *count > 0) {
        sentence.push_str(&format!(", {count} {word}"));
    }
    // A moment to the minute is no time.
    let spans: Vec<String> = coverage
        .spans()
        .into_iter()
        .filter(|(from, to)| minute(*from) != minute(*to))
        .map(|(from, to)| format!("{} to {} UTC", minute(from), minute(to)))
        .collect();
    if !spans.is_empty() {
        sentence.push_str(&format!("; every moment from {} was replayed", spans.join(", and from ")));
    }
    sentence
}

/// The time of a source, with what is known of one backup.
fn picture(covered: &Covered<'_>, (first, last): (i64, i64)) -> String {
    let long = i128::from(last) - i128::from(first);
    let column = |at: i64| {
        let at = i128::from(at) - i128::from(first);
        (at * i128::from(WIDTH - 1)).checked_div(long).unwrap_or(0) as i64
    };
    let (mark, from, to) = match (covered.span(), covered.held.unix_us, covered.last) {
        (Some((from, to)), ..) => (PROVEN, column(from), column(to)),
        (None, Some(at), Some(_)) => (NOT_PROVEN, column(at), column(at)),
        (None, Some(at), None) => (NOT_TRIED, column(at), column(at)),
        (None, None, _) => return String::new(),
    };
    (0..WIDTH).map(|at| if (from..=to).contains(&at) { mark } else { NOTHING }).collect()
}

pub(crate) fn minute(unix_us: i64) -> String {
    show_time(unix_us).chars().take(16).collect()
}
