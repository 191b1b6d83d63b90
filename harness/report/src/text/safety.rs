//! The part of a drill's report about what was put aside before anything was restored, and the way back to it.

use pgdrill_model::run::Run;
use pgdrill_model::units::show_bytes;

use crate::page::Page;
use crate::words;

pub(crate) fn all(page: &mut Page, run: &Run) {
    if run.safety_copies.is_empty() && run.rollback.is_none() {
        return;
    }
    page.heading("Safety copy");
    for copy in &run.safety_copies {
        let how = if copy.by == "move" { "moved" } else { "copied, and compared with what it was made of" };
        let took = words::time(copy.took_us);
        page.fact("put aside", &format!("what was left of the {}, {how}, in {took}", copy.server));
        page.fact(
            "size",
            &format!(
                "{} in {}, SHA-256 {}",
                show_bytes(copy.bytes),
                words::count(copy.files, "files"),
                copy.sha256
            ),
        );
    }
    let Some(rollback) = &run.rollback else { return };
    let same = run.safety_copies.last().is_some_and(|copy| copy.sha256 == rollback.sha256);
    let what = if same { "exactly what was put aside" } else { "NOT what was put aside" };
    page.fact("put back", &format!("{what}, in {}", words::time(rollback.put_back_us)));
    page.fact(
        "the server",
        &match rollback.started_us {
            Some(us) => format!("the {} answers after {}", rollback.server, words::time(us)),
            None => format!("the {} did NOT come back", rollback.server),
        },
    );
    page.fact(
        "content",
        &match rollback.tables {
            None => "not compared: nobody knows what it held when it was lost".to_owned(),
            Some(tables) => {
                format!("{} compared with what was captured before the loss", words::count(tables, "tables"))
            }
        },
    );
}
