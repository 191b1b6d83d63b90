//! The report as one HTML file, for a manager, an auditor, and whoever is woken by it: it needs no network and no script, and
//! says nothing by colour alone.
//!
//! Two things hold for the whole page, and are done here so that no part can forget them: markup in texts is escaped by the
//! template, and what would hide or reorder text is written out, as on a terminal.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pgdrill_model::run::Run;
use sha2::{Digest, Sha256};

use crate::page::clean;
use crate::words;

mod blocks;
mod chosen;
mod coverage;
mod detection;
mod drill;
mod drills;
mod environment;
mod findings;
mod history;
mod ledger;
mod matrix;
mod runbook;
mod svg;
mod time;
mod together;
mod top;
mod verdict;

use chosen::Chosen;

/// What a browser is told of the looks.
const STYLE: &str = include_str!("html/style.css");

/// By what many runs are judged together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'t> {
    /// For how long a drill may not have been proven.
    pub max_age: Option<Duration>,
    /// Records that could not be read, each with the reason: nobody knows what they say.
    pub refused: &'t [String],
    /// Whether every run counts, as of one command. Else what was mended since is not held against anybody: the newest run of
    /// each scenario, major, runtime and class of machine counts.
    pub every_run: bool,
}

/// The page.
pub fn runs(runs: &[Run], now_unix_us: i64, terms: &Terms<'_>) -> String {
    let chosen = Chosen::of(runs, now_unix_us, terms);
    let parts: Vec<Part> = [
        drills::part(&chosen),
        matrix::part(&chosen),
        detection::part(&chosen),
        together::alerts(&chosen),
        together::mutants(&chosen),
        runbook::part(&chosen),
        coverage::part(&chosen),
        together::losses(&chosen),
        together::repeated(&chosen),
        history::part(&chosen),
        drill::part(&chosen),
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="generator" content={ "pgdrill " (env!("CARGO_PKG_VERSION")) };
                title { (top::title(&chosen)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (top::header(&chosen))
                @if parts.len() > 1 {
                    nav aria-label="Parts of this report" {
                        ul { @for part in &parts { li { a href={ "#" (part.id) } { (part.title) } } } }
                    }
                }
                main { @for part in &parts { (part.whole()) } }
                footer {
                    p {
                        "Written by pgdrill " (env!("CARGO_PKG_VERSION")) " at " (words::moment(now_unix_us))
                        ", from sealed records and nothing else. This file loads nothing and runs nothing."
                    }
                }
            }
        }
    };
    page.into_string().split('\n').map(clean).collect::<Vec<_>>().join("\n") + "\n"
}

/// Nothing may be loaded, run or sent; the one style is known by its hash.
fn policy() -> String {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'")
}

/// A part of the page that its contents list.
struct Part {
    id: &'static str,
    title: &'static str,
    /// One sentence under the title.
    says: Option<String>,
    body: Markup,
}

impl Part {
    fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self { id, title, says: None, body }
    }

    fn saying(self, says: impl Into<String>) -> Self {
        Self { says: Some(says.into()), ..self }
    }

    fn whole(&self) -> Markup {
        let heading = format!("{}-title", self.id);
        html! {
            section #(self.id) aria-labelledby=(heading) {
                h2 #(heading) { (self.title) }
                @if let Some(says) = &self.says { p.says { (says) } }
                (self.body)
            }
        }
    }
}
