//! What people and machines read of a triage: how bad it is and why, what is likely behind it and what to do, the facts in
//! the runbook's order, and whom to call.

pub(crate) mod listing;

use std::fmt::Write;

use pgdrill_model::triage::{Assessment, Cause, Contact, Contacts, Escalation, Facts, Heading, UNRESOLVED};
use pgdrill_model::units::show_duration;
use serde_json::{Value, json};

use crate::Style;
use crate::markdown::cell;
use crate::page::{Page, Tone};
use crate::words::{moment, untied};

/// Everything that a report of a triage rests on.
#[derive(Debug)]
pub struct Triaged<'t> {
    /// What was found out.
    pub facts: &'t Facts,
    /// What that comes to.
    pub assessment: &'t Assessment,
    /// Why others must be called.
    pub escalations: &'t [Escalation],
    /// Whom to call; none where nobody said.
    pub contacts: Option<&'t Contacts>,
    /// When the incident began, microseconds since 1970; none where nobody said.
    pub since_unix_us: Option<i64>,
}

impl Triaged<'_> {
    /// How bad it is, in a word and a sentence.
    fn verdict(&self) -> (Tone, String, &'static str) {
        match self.assessment.severity {
            Some(severity) => (Tone::Bad, severity.to_string(), severity.words()),
            None if self.assessment.unknown.is_empty() => {
                (Tone::Good, "NOTHING WRONG".to_owned(), "no fact speaks for an incident")
            }
            None => (Tone::Doubt, "UNKNOWN".to_owned(), "the facts do not suffice to tell"),
        }
    }

    /// What says that it is as bad as it is.
    fn reasons(&self) -> Vec<&str> {
        let causes = self.assessment.causes.iter();
        let worst = causes.filter(|cause| {
            self.assessment.severity.is_none() || cause.signal.entry().severity == self.assessment.severity
        });
        worst.flat_map(|cause| cause.because.iter().map(String::as_str)).collect()
    }

    /// The causes by the headings of the troubleshooting guide, those with the worst first.
    fn by_heading(&self) -> Vec<(Heading, Vec<&Cause>)> {
        let mut groups: Vec<(Heading, Vec<&Cause>)> = Vec::new();
        for cause in &self.assessment.causes {
            let heading = cause.signal.entry().heading;
            match groups.iter_mut().find(|(known, _)| *known == heading) {
                Some((_, causes)) => causes.push(cause),
                None => groups.push((heading, vec![cause])),
            }
        }
        groups
    }

    /// Every fact, by its name.
    fn listing(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut all = listing::of(self.facts);
        for (name, lines) in all.iter_mut().filter(|(_, lines)| lines.is_empty()) {
            lines.push(listing::not_asked(name));
        }
        all
    }

    /// When an incident that goes on must be escalated, or what is missing to tell.
    fn deadline(&self) -> String {
        match self.since_unix_us {
            Some(since) => {
                let due = since.saturating_add(UNRESOLVED.as_micros() as i64);
                format!("escalate at {} where it is not resolved by then", moment(due))
            }
            None => format!(
                "escalate after {} where it is not resolved; --since tells since when it lasts",
                show_duration(UNRESOLVED)
            ),
        }
    }

    /// For a person at a terminal.
    pub fn text(&self, style: Style) -> String {
        let mut page = Page::new(style);
        let (tone, word, sentence) = self.verdict();
        page.labelled(0, (tone, &word), (Tone::Strong, sentence));
        for reason in self.reasons() {
            page.labelled(2, (Tone::Plain, "-"), (Tone::Plain, reason));
        }
        if !self.assessment.causes.is_empty() {
            page.heading("Likely causes, and what to look at next");
            for (heading, causes) in self.by_heading() {
                page.paragraph(2, Tone::Strong, heading.words());
                for cause in causes {
                    let entry = cause.signal.entry();
                    let severity = entry.severity.map_or_else(|| "--".to_owned(), |s| s.to_string());
                    page.labelled(
                        4,
                        (tone_of(cause), &severity),
                        (Tone::Plain, &format!("{}: {}", entry.name, entry.doc)),
                    );
                    for because in &cause.because {
                        page.labelled(7, (Tone::Faint, "-"), (Tone::Plain, because));
                    }
                    page.labelled(7, (Tone::Strong, ">"), (Tone::Plain, entry.then));
                }
            }
        }
        if !self.assessment.unknown.is_empty() {
            page.heading("Not known");
            for unknown in &self.assessment.unknown {
                page.labelled(2, (Tone::Doubt, &format!("{}:", unknown.what)), (Tone::Plain, &unknown.why));
            }
        }
        page.heading(&format!("Facts, at {}", moment(self.facts.asked_unix_us)));
        for (name, lines) in self.listing() {
            for (number, line) in lines.iter().enumerate() {
                page.fact(if number == 0 { name } else { "" }, line);
            }
        }
        self.calls(&mut page);
        page.finish()
    }

    fn calls(&self, page: &mut Page) {
        if self.assessment.severity.is_none() && self.escalations.is_empty() {
            return;
        }
        page.heading("Whom to call");
        for escalation in self.escalations {
            let why = escalation.because.join("; ");
            page.labelled(
                2,
                (Tone::Bad, &format!("ESCALATE, {}:", escalation.reason.words())),
                (Tone::Plain, &why),
            );
        }
        if self.assessment.severity.is_some() {
            page.paragraph(2, Tone::Plain, &self.deadline());
        }
        let Some(contacts) = self.contacts else {
            return page.paragraph(2, Tone::Faint, "nobody is named; --contacts FILE does");
        };
        for (label, people) in self.people(contacts) {
            for person in people {
                page.fact(label, &called(person));
            }
        }
    }

    /// Who is called now: the first ones, and where it is escalated, all.
    fn people<'c>(&self, contacts: &'c Contacts) -> Vec<(&'static str, &'c [Contact])> {
        let mut people = vec![("primary", contacts.primary.as_slice())];
        if !self.escalations.is_empty() {
            people.push(("secondary", contacts.secondary.as_slice()));
        }
        people
    }

    /// One JSON object.
    pub fn json(&self) -> Value {
        let cause = |cause: &Cause| {
            let entry = cause.signal.entry();
            json!({
                "signal": entry.name,
                "severity": entry.severity,
                "heading": entry.heading,
                "because": cause.because,
                "then": entry.then,
            })
        };
        json!({
            "schema": "pgdrill.triage/1",
            "severity": self.assessment.severity,
            "causes": self.assessment.causes.iter().map(cause).collect::<Vec<_>>(),
            "unknown": self.assessment.unknown,
            "escalations": self.escalations,
            "since_unix_us": self.since_unix_us,
            "contacts": self.contacts,
            "facts": self.facts,
        })
    }

    /// As Markdown, for the ticket of the incident.
    pub fn markdown(&self) -> String {
        let (_, word, sentence) = self.verdict();
        let mut text = format!(
            "# Triage: {word}\n\n{} at {}: {sentence}.\n\n",
            cell(&self.facts.server),
            moment(self.facts.asked_unix_us)
        );
        for reason in self.reasons() {
            let _ = writeln!(text, "- {}", cell(reason));
        }
        if !self.assessment.causes.is_empty() {
            text.push_str("\n## Likely causes\n\n| where | severity | signal | because | look at next |\n|---|---|---|---|---|\n");
        }
        for (heading, causes) in self.by_heading() {
            for cause in causes {
                let entry = cause.signal.entry();
                let severity = entry.severity.map_or_else(String::new, |severity| severity.to_string());
                let because: Vec<String> = cause.because.iter().map(|because| cell(because)).collect();
                let _ = writeln!(
                    text,
                    "| {} | {severity} | {} | {} | {} |",
                    heading.words(),
                    entry.name,
                    because.join("<br>"),
                    cell(entry.then)
                );
            }
        }
        if !self.assessment.unknown.is_empty() {
            text.push_str("\n## Not known\n\n");
            for unknown in &self.assessment.unknown {
                let _ = writeln!(text, "- {}: {}", cell(&unknown.what), cell(&unknown.why));
            }
        }
        text.push_str("\n## Facts\n\n| | |\n|---|---|\n");
        for (name, lines) in self.listing() {
            let lines: Vec<String> = lines.iter().map(|line| cell(line)).collect();
            let _ = writeln!(text, "| {name} | {} |", lines.join("<br>"));
        }
        if self.assessment.severity.is_some() || !self.escalations.is_empty() {
            text.push_str("\n## Whom to call\n\n");
            for escalation in self.escalations {
                let because = cell(&escalation.because.join("; "));
                let _ = writeln!(text, "- **escalate**, {}: {because}", escalation.reason.words());
            }
            if self.assessment.severity.is_some() {
                let _ = writeln!(text, "- {}", self.deadline());
            }
            for (label, people) in self.contacts.map(|contacts| self.people(contacts)).unwrap_or_default() {
                for person in people {
                    let _ = writeln!(text, "- {label}: {}", cell(&called(person)));
                }
            }
        }
        untied(&text)
    }
}

fn tone_of(cause: &Cause) -> Tone {
    if cause.signal.entry().severity.is_some() { Tone::Bad } else { Tone::Doubt }
}

/// Somebody, and how he is reached.
fn called(contact: &Contact) -> String {
    let words = [Some(&contact.role), contact.name.as_ref(), contact.phone.as_ref(), contact.email.as_ref()];
    words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use pgdrill_model::triage::{Archiver, Disk, Fact, Pool, Pooler, Reach, Space, State, escalate};

    use super::*;

    fn facts() -> Facts {
        let mut facts = Facts {
            server: "db.example/trading as monitor".to_owned(),
            asked_unix_us: 1_700_000_000_000_000,
            ..Facts::default()
        };
        facts.reach =
            Reach { state: State::Answers, connect_us: Some(900), answer_us: Some(150), ..Reach::default() };
        facts.archiver = Fact::Known(Archiver {
            mode: "on".to_owned(),
            failed: 4,
            last_failed: Some("00000001000000000000000A".to_owned()),
            last_failed_age_us: Some(20_000_000),
            failing: true,
            ..Archiver::default()
        });
        facts.disks = vec![
            Disk { path: "/arch|ive".to_owned(), space: Fact::Known(Space { used: 1.0, free: 0 }) },
            Disk { path: "/gone\u{1b}[31m".to_owned(), space: Fact::Unknown("No such file".to_owned()) },
        ];
        facts.pooler = Some(Pooler {
            server: "localhost:6432/pgbouncer".to_owned(),
            reach: Reach { state: State::Answers, ..Reach::default() },
            pools: Fact::Known(vec![Pool {
                database: "trading".to_owned(),
                user: "app".to_owned(),
                clients_waiting: 3,
                longest_wait_us: 12_500_000,
                ..Pool::default()
            }]),
            ..Pooler::default()
        });
        facts
    }

    fn triaged(facts: &Facts, run: impl FnOnce(&Triaged<'_>)) {
        let contacts = Contacts::parse(
            "c",
            "primary: [{ role: Database Admin, name: Ada, phone: '+90-1' }]\nsecondary: [{ role: CTO, email: cto@x.example }]\n",
        )
        .unwrap();
        let assessment = Assessment::of(facts);
        let escalations = escalate(&assessment, None);
        run(&Triaged {
            facts,
            assessment: &assessment,
            escalations: &escalations,
            contacts: Some(&contacts),
            since_unix_us: Some(1_699_999_000_000_000),
        });
    }

    #[test]
    fn severity_comes_first_then_causes_then_facts_then_people() {
        triaged(&facts(), |triaged| {
            let text = triaged.text(Style { color: false, width: 100 });
            assert!(text.starts_with("P1 high: part of the function is lost"), "{text}");
            let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle} in:\n{text}"));
            let order = [
                "- pool trading/app: 3 clients wait, the first for 12.5 s; it has no server connection",
                "Likely causes",
                "disk-full",
                "WAL archiving failures",
                "archiving-fails",
                "Not known",
                "Facts, at 2023-11-14 22:13:20 UTC",
                "Whom to call",
                "ESCALATE, data loss is suspected",
                "escalate at 2023-11-14 22:26:40 UTC",
                "Ada, +90-1",
                "CTO, cto@x.example",
            ];
            for pair in order.windows(2) {
                assert!(at(pair[0]) < at(pair[1]), "{pair:?} in:\n{text}");
            }
            assert!(!text.contains('\u{1b}'), "{text}");
        });
    }

    #[test]
    fn who_is_only_called_when_it_is_escalated_is_not_called_before() {
        let mut facts = facts();
        facts.archiver = Fact::default();
        triaged(&facts, |triaged| {
            let text = triaged.text(Style::default());
            assert!(text.contains("Ada") && !text.contains("cto@"), "{text}");
        });
    }

    #[test]
    fn nothing_wrong_and_nothing_known_are_not_the_same() {
        let mut facts = facts();
        (facts.archiver, facts.disks, facts.pooler) = (Fact::default(), Vec::new(), None);
        triaged(&facts, |triaged| {
            let text = triaged.text(Style::default());
            assert!(text.starts_with("UNKNOWN the facts do not suffice to tell"), "{text}");
            assert!(!text.contains("Whom to call"), "{text}");
        });
    }

    #[test]
    fn the_object_has_the_facts_and_what_they_come_to() {
        triaged(&facts(), |triaged| {
            let json = triaged.json();
            assert_eq!(json["schema"], "pgdrill.triage/1");
            assert_eq!(json["severity"], "P1");
            assert_eq!(json["facts"]["disks"][1]["space"]["unknown"], "No such file");
            assert_eq!(json["escalations"][0]["reason"], "data-loss");
            assert_eq!(serde_json::from_value::<Facts>(json["facts"].clone()).unwrap(), *triaged.facts);
        });
    }

    #[test]
    fn markdown_has_no_markup_of_others() {
        triaged(&facts(), |triaged| {
            let text = triaged.markdown();
            assert!(text.starts_with("# Triage: P1\n"), "{text}");
            assert!(text.contains("/arch\\|ive"), "{text}");
            assert!(text.contains("| Disk space | P1 | disk-full |"), "{text}");
        });
    }
}
