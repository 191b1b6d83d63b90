//! Who notices which fault: a row for each fault, a column for each detector that had anything to do.

use maud::{Markup, html};
use pgdrill_model::detection::{Detector, Matrix, Row, Sight};
use pgdrill_model::fault::Fault;

use super::Part;
use super::blocks::scrolled;
use super::chosen::Chosen;
use crate::detection::{symbol, used};
use crate::words;

pub(super) fn part(chosen: &Chosen<'_>) -> Option<Part> {
    let matrix = Matrix::of(chosen.deciding.iter().copied());
    if matrix.rows.is_empty() {
        return None;
    }
    let all = Detector::all();
    let used = used(&matrix);
    let (controls, faults): (Vec<&Row>, Vec<&Row>) =
        matrix.rows.iter().partition(|row| row.fault.is_harmless());
    let body = html! {
        (score(&faults, &controls))
        p.says {
            @for sight in [Sight::Seen, Sight::Sometimes, Sight::Blind] {
                (symbol(sight)) " " (words_for(sight)) ", "
            }
            "blank: " (words_for(Sight::NotApplicable))
        }
        div.grid { (scrolled("Who notices what", &html! {
            thead { tr {
                th scope="col" { "fault" }
                th.n scope="col" { "runs" }
                th scope="col" { "noticed" }
                @for at in &used { th.tall scope="col" { span { (all[*at]) } } }
            } }
            tbody { @for row in faults.iter().chain(&controls) { (line(row, &used)) } }
        })) }
        (only(&matrix))
    };
    Some(Part::new("detection", "Who notices what", body))
}

fn score(faults: &[&Row], controls: &[&Row]) -> Markup {
    let noticed = faults.iter().filter(|row| !row.seen_by().is_empty()).count();
    let quiet = controls.iter().filter(|row| row.seen_by().is_empty()).count();
    html! {
        dl.facts {
            dt { "noticed" } dd { (noticed) " of " (words::count(faults.len() as u64, "faults")) }
            @if !controls.is_empty() {
                dt { "quiet" } dd { (quiet) " of " (words::count(controls.len() as u64, "harmless changes")) }
            }
        }
    }
}

fn line(row: &Row, used: &[usize]) -> Markup {
    let (class, what) = match (row.fault.is_harmless(), !row.seen_by().is_empty()) {
        (false, true) => ("good", "noticed"),
        (false, false) => ("bad", "NOT NOTICED"),
        (true, false) => ("good", "quiet"),
        (true, true) => ("bad", "FALSE ALARM"),
    };
    html! {
        tr {
            th scope="row" { (row.fault) @if row.fault.is_harmless() { span.faint { " (harmless)" } } }
            td.n { (row.runs) }
            td { span.(class) { (what) } }
            @for at in used {
                @match row.sights[*at] {
                    Sight::NotApplicable => td {},
                    sight => td.sight { (symbol(sight)) span.sr { " " (words_for(sight)) } },
                }
            }
        }
    }
}

fn words_for(sight: Sight) -> &'static str {
    match sight {
        Sight::NotApplicable => "did not come to look",
        Sight::Blind => "looked and noticed nothing",
        Sight::Sometimes => "in some runs",
        Sight::Seen => "noticed",
    }
}

fn only(matrix: &Matrix) -> Markup {
    let only = matrix.only_seen_by();
    if only.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Without one of these, nobody would have noticed" }
        dl.facts {
            @for (detector, faults) in only {
                dt { (detector) }
                dd { (faults.into_iter().map(Fault::name).collect::<Vec<_>>().join(", ")) }
            }
        }
    }
}
