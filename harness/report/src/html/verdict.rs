//! A verdict on the page: its word, its sign and its colour, any one of which would do.

use maud::{Markup, html};
use pgdrill_model::verdict::Verdict;

use crate::page::Tone;
use crate::words;

/// The sign of a verdict.
pub(super) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => "✓",
        Verdict::Unverified => "?",
        Verdict::Disproven => "✗",
    }
}

/// The name of a tone in the style.
pub(super) fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Strong => "strong",
        Tone::Faint => "faint",
        Tone::Good => "good",
        Tone::Doubt => "doubt",
        Tone::Bad => "bad",
    }
}

/// The name of a verdict in the style.
pub(super) fn class_of(verdict: Verdict) -> &'static str {
    class(words::verdict(verdict).0)
}

/// The verdict, with its sign.
pub(super) fn badge(verdict: Verdict) -> Markup {
    html! {
        span.badge.(class_of(verdict)) {
            span aria-hidden="true" { (sign(verdict)) } " " (words::verdict(verdict).1)
        }
    }
}
