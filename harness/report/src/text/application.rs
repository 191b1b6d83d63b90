//! The part of a drill's report about the application: whether it worked on the server that it was started on, and how long its
//! users were without it.

use pgdrill_model::evidence::ApplicationEvidence;
use pgdrill_model::run::{Objective, Run};

use crate::page::{Cell, Column, Page, TIE, Tone};
use crate::words;

pub(crate) fn all(page: &mut Page, run: &Run) {
    for application in &run.applications {
        page.heading(&format!("Application on the {}", application.server));
        one(page, application);
    }
    if let Some(objective) = run.objectives.iter().find(|objective| objective.name == "outage") {
        judged(page, objective);
    }
}

/// What the objective makes of the outage.
fn judged(page: &mut Page, objective: &Objective) {
    let Some(target) = objective.target_us.map(words::time) else { return };
    page.blank();
    match (objective.measured_us, objective.met) {
        (Some(us), Some(true)) => {
            page.paragraph(
                2,
                Tone::Good,
                &format!("away for {}, within the objective of {target}", words::time(us)),
            );
        }
        (Some(us), _) => {
            let line = format!("away for {}: OBJECTIVE MISSED, which is {target}", words::time(us));
            page.paragraph(2, Tone::Bad, &line);
        }
        (None, _) => page.paragraph(2, Tone::Doubt, &format!("NOT MEASURED, and the objective is {target}")),
    }
}

fn one(page: &mut Page, application: &ApplicationEvidence) {
    let behind = format!("behind {}", application.pooler);
    page.fact(
        "healthy",
        &match application.healthy_us {
            Some(us) => format!("after {}, {behind}", words::time(us)),
            None => format!("NOT, {behind}"),
        },
    );
    if let Some(outage) = &application.outage {
        page.fact(
            "outage",
            &format!(
                "{} from the last good answer to the first; asked {} in between",
                words::time(outage.us()),
                words::count(outage.asked, "times")
            ),
        );
    }
    if application.own {
        page.fact("", "it is somebody's own: nothing was asked of it but how it is");
    }
    if application.asked.is_empty() {
        return;
    }
    page.blank();
    let columns = [
        Column::left("tried"),
        Column::left("request"),
        Column::left("went"),
        Column::right("time"),
        Column::flexible("answer"),
    ];
    let rows: Vec<Vec<Cell>> = application
        .asked
        .iter()
        .map(|asked| {
            let (tone, went, answer) = match &asked.wrong {
                None => (Tone::Good, "well", &asked.answer),
                Some(wrong) => (Tone::Bad, "WRONG", wrong),
            };
            vec![
                Cell::from(&asked.what),
                Cell::from(asked.request.replace(' ', &TIE.to_string())),
                Cell::new(tone, went),
                Cell::from(words::time(asked.took_us)),
                Cell::from(answer),
            ]
        })
        .collect();
    page.table(&columns, &rows);
}
