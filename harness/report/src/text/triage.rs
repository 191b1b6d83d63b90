//! The part of a drill's report about triage: how bad it was by the facts, why, and what was not known.

use pgdrill_model::evidence::TriageEvidence;
use pgdrill_model::run::Run;
use pgdrill_model::triage::Fact;

use crate::page::Page;
use crate::words;

pub(super) fn all(page: &mut Page, run: &Run) {
    for triage in &run.triages {
        page.heading(&format!("Triage of the {}", triage.server));
        one(page, triage);
    }
}

fn one(page: &mut Page, triage: &TriageEvidence) {
    let facts = &triage.facts;
    let severity = match triage.assessment.severity {
        Some(severity) => format!("{severity}, {}", severity.words()),
        None => "none: no fact says that anything is wrong".to_owned(),
    };
    page.fact("severity", &format!("{severity}; found out in {}", words::time(triage.took_us)));
    for (index, cause) in triage.assessment.causes.iter().enumerate() {
        page.fact(if index == 0 { "because" } else { "" }, &cause.because.join("; "));
    }
    let said = facts.reach.words.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
    page.fact("server", &format!("{}{said}", facts.reach.state.words()));
    if let Some(pooler) = &facts.pooler {
        let pools = match &pooler.pools {
            Fact::Known(pools) => {
                let sum =
                    |count: fn(&pgdrill_model::triage::Pool) -> u64| pools.iter().map(count).sum::<u64>();
                format!(
                    "{}, {} waiting, {} to the server",
                    words::count(sum(|pool| pool.clients_active), "active clients"),
                    sum(|pool| pool.clients_waiting),
                    words::count(sum(|pool| pool.servers_active + pool.servers_idle), "connections")
                )
            }
            Fact::Unknown(why) => format!("not known: {why}"),
        };
        page.fact("pooler", &pools);
    }
    for health in &facts.health {
        let answer = match &health.answer {
            Fact::Known(code) => format!("{code}"),
            Fact::Unknown(why) => why.clone(),
        };
        page.fact("application", &format!("{}: {answer}", health.url));
    }
    for disk in &facts.disks {
        let space = match &disk.space {
            Fact::Known(space) => {
                format!("{:.1} % taken, {} free", space.used * 100.0, words::bytes(space.free))
            }
            Fact::Unknown(why) => format!("not known: {why}"),
        };
        page.fact("disk", &format!("{}: {space}", disk.path));
    }
    if let Some((name, age)) = &triage.newest_segment {
        page.fact("archive", &format!("the newest segment is {name}, {} old", words::time(*age)));
    }
    for escalation in &triage.escalations {
        page.fact("escalate", &format!("{}: {}", escalation.reason.words(), escalation.because.join("; ")));
    }
    for unknown in &triage.assessment.unknown {
        page.fact("not known", &format!("{}: {}", unknown.what, unknown.why));
    }
}
