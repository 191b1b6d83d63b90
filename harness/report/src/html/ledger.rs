//! The pictures of what was acknowledged: what came back, what is lost, and where the recovery point lies between them.

use maud::{Markup, html};
use pgdrill_model::evidence::{SweepEvidence, TallyEvidence};
use pgdrill_model::run::Run;
use pgdrill_model::units::{Lsn, show_count};

use super::blocks::body;
use super::svg::{Piece, Tick, bar};
use crate::text::points;
use crate::words;

/// What became of the acknowledged transactions.
pub(super) fn part(run: &Run) -> Option<Markup> {
    let told = body("Acknowledged transactions", |page| points::ledger(page, run)).into_string();
    if told.is_empty() {
        return None;
    }
    Some(html! {
        @for tally in &run.tallies {
            @if run.tallies.len() > 1 { h5 { (tally.server) } }
            (picture(run, tally))
        }
        (maud::PreEscaped(told))
    })
}

/// What is counted beside the bar: it may be there or not, or must not be.
type Count = (&'static str, &'static str, u64);

fn picture(run: &Run, tally: &TallyEvidence) -> Markup {
    let parts: [Count; 4] = [
        ("recovered", "recovered", tally.recovered),
        ("lost", if tally.lost > 0 { "LOST" } else { "lost" }, tally.lost),
        ("open", "not promised", tally.not_promised),
        ("after", "after the point", tally.after_target),
    ];
    let whole: u64 = parts.iter().map(|(_, _, count)| count).sum();
    let mut pieces = Vec::new();
    let mut at = 0u64;
    for (class, what, count) in parts {
        if count > 0 {
            let says = format!("{} {what}", show_count(count));
            pieces.push(Piece { class: class.to_owned(), from: at, long: count, says });
        }
        at = at.saturating_add(count);
    }
    let recovery = run.recoveries.iter().find(|recovery| recovery.server == tally.server);
    let wanted = whole.saturating_sub(tally.after_target);
    let mut ticks = Vec::new();
    let at = |lsn: Option<Lsn>| lsn.map_or_else(String::new, |lsn| format!(" {lsn}"));
    if let Some(recovery) = recovery {
        let lsn = recovery.wanted.as_ref().and_then(|wanted| wanted.lsn);
        ticks.push(Tick { class: "objective", at: wanted, says: format!("wanted{}", at(lsn)), above: true });
        let lsn = recovery.reached.as_ref().and_then(|reached| reached.lsn).or(recovery.reached_lsn);
        ticks.push(Tick {
            class: if tally.lost > 0 { "bad" } else { "end" },
            at: tally.recovered,
            says: format!("recovered{}", at(lsn)),
            above: false,
        });
    }
    let beside: [Count; 2] =
        [("bad", "unexpected", tally.unexpected), ("doubt", "indeterminate", tally.indeterminate)];
    let says: Vec<String> = pieces.iter().map(|piece| piece.says.clone()).collect();
    let others: Vec<String> =
        beside.iter().map(|(_, what, count)| format!("{} {what}", show_count(*count))).collect();
    let name = format!(
        "Of {}: {}; {}",
        words::count(tally.acknowledged, "acknowledged transactions"),
        says.join(", "),
        others.join(", ")
    );
    html! {
        (bar(&name, whole, &pieces, &ticks))
        ul.key {
            @if let Some(recovery) = recovery { li { "wanted: " (recovery.target) } }
            @for (class, what, count) in parts {
                @if count > 0 || class == "lost" { li { span.swatch.(class) {} (show_count(count)) " " (what) } }
            }
            @for (class, what, count) in beside {
                li { @if count > 0 { b.(class) { (show_count(count)) " " (what) } } @else { "0 " (what) } }
            }
        }
    }
}

/// The sweeps over recovery points.
pub(super) fn sweeps(run: &Run) -> Option<Markup> {
    if run.sweeps.is_empty() {
        return None;
    }
    Some(html! {
        @for sweep in &run.sweeps { (points_proven(sweep)) }
        (body("Sweep", |page| points::sweeps(page, run)))
    })
}

fn points_proven(sweep: &SweepEvidence) -> Markup {
    let failed = sweep.targets.saturating_sub(sweep.proven);
    let mut pieces = vec![Piece {
        class: "recovered".to_owned(),
        from: 0,
        long: sweep.proven,
        says: format!("{} proven", show_count(sweep.proven)),
    }];
    if failed > 0 {
        let says = format!("{} NOT proven", show_count(failed));
        pieces.push(Piece { class: "lost".to_owned(), from: sweep.proven, long: failed, says });
    }
    let tick = Tick {
        class: if failed > 0 { "bad" } else { "end" },
        at: sweep.proven,
        says: format!("{} of {} proven", show_count(sweep.proven), show_count(sweep.targets)),
        above: false,
    };
    bar(&points::proven(sweep), sweep.targets, &pieces, &[tick])
}
