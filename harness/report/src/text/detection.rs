//! The part of a summary that tells who noticed which fault: a row per fault, a letter per detector that had anything to do.

use pgdrill_model::detection::{Detector, Matrix, Sight};
use pgdrill_model::fault::Fault;
use pgdrill_model::run::Run;

use crate::detection::used;
use crate::page::{Cell, Column, Page, Tone};
use crate::words;

/// The letters of the detectors: there must be as many.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

pub(super) fn all(page: &mut Page, runs: &[Run]) {
    let matrix = Matrix::of(runs);
    if matrix.rows.is_empty() {
        return;
    }
    page.heading("Who notices what");
    let (all, used) = (Detector::all(), used(&matrix));
    let letters: String = LETTERS.chars().take(used.len()).collect();
    let columns = [Column::left("fault"), Column::right("runs"), Column::left(&letters), Column::left("")];
    let (controls, faults): (Vec<_>, Vec<_>) = matrix.rows.iter().partition(|row| row.fault.is_harmless());
    let cells = faults.iter().chain(&controls).map(|row| {
        let symbols: String = used.iter().map(|at| symbol(row.sights[*at])).collect();
        let seen = !row.seen_by().is_empty();
        let (tone, what) = match (row.fault.is_harmless(), seen) {
            (false, true) => (Tone::Good, "noticed"),
            (false, false) => (Tone::Bad, "NOT NOTICED"),
            (true, false) => (Tone::Good, "quiet"),
            (true, true) => (Tone::Bad, "FALSE ALARM"),
        };
        vec![
            Cell::from(row.fault.name()),
            Cell::from(row.runs.to_string()),
            Cell::from(symbols),
            Cell::new(tone, what),
        ]
    });
    page.table(&columns, &cells.collect::<Vec<_>>());
    page.blank();
    page.paragraph(
        2,
        Tone::Faint,
        "x noticed   ~ in some runs   . looked and noticed nothing   blank: did not come to look",
    );
    let legend: Vec<String> =
        letters.chars().zip(&used).map(|(letter, at)| format!("{letter} {}", all[*at])).collect();
    page.paragraph(
        2,
        Tone::Faint,
        &legend.join("   ").replace(' ', "\u{a0}").replace("\u{a0}\u{a0}\u{a0}", "   "),
    );
    page.blank();
    let noticed = faults.iter().filter(|row| !row.seen_by().is_empty()).count();
    let quiet = controls.iter().filter(|row| row.seen_by().is_empty()).count();
    page.fact("noticed", &format!("{noticed} of {}", words::count(faults.len() as u64, "faults")));
    if !controls.is_empty() {
        page.fact(
            "quiet",
            &format!("{quiet} of {}", words::count(controls.len() as u64, "harmless changes")),
        );
    }
    for (detector, faults) in matrix.only_seen_by() {
        let names: Vec<&str> = faults.into_iter().map(Fault::name).collect();
        page.fact("only by", &format!("{detector}: {}", names.join(", ")));
    }
}

fn symbol(sight: Sight) -> char {
    match sight {
        Sight::NotApplicable => ' ',
        Sight::Blind => '.',
        Sight::Sometimes => '~',
        Sight::Seen => 'x',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_has_a_letter() {
        assert!(Detector::all().len() <= LETTERS.len());
    }
}
