//! What pictures are made of. Lengths are shares of the width of the picture, so that it fits a phone and a sheet of paper while
//! its letters keep their size.

use maud::{Markup, html};

/// A share in percent, with three digits behind the point; of nothing it is none.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0) }
}

/// The same as SVG writes it.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{share:.3}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A piece of a bar.
pub(super) struct Piece {
    /// Its class in the style.
    pub(super) class: String,
    /// Where it begins, and how long it is.
    pub(super) from: u64,
    pub(super) long: u64,
    /// What it is, in words.
    pub(super) says: String,
}

/// A mark on an axis, with words above it or below it.
pub(super) struct Tick {
    pub(super) class: &'static str,
    pub(super) at: u64,
    pub(super) says: String,
    /// Whether the words stand above the bar.
    pub(super) above: bool,
}

/// A bar on an axis from 0 to `whole`. `name` says all of it to those who do not see it.
pub(super) fn bar(name: &str, whole: u64, pieces: &[Piece], ticks: &[Tick]) -> Markup {
    html! {
        svg.strip role="img" width="100%" height="66" {
            title { (name) }
            rect.track x="0" y="22" width="100%" height="20" {}
            @for piece in pieces {
                rect class={ "piece " (piece.class) } x=(percent(share(piece.from, whole))) y="22"
                    width=(percent(share(piece.long, whole))) height="20" { title { (piece.says) } }
            }
            @for tick in ticks { (marked(tick, whole)) }
        }
    }
}

fn marked(tick: &Tick, whole: u64) -> Markup {
    let share = share(tick.at, whole);
    let at = percent(share);
    // Words stand on the side on which there is room for them.
    let (anchor, beside) = if share > 50.0 { ("end", "-5") } else { ("start", "5") };
    let (top, bottom, text) = if tick.above { ("4", "46", "14") } else { ("18", "60", "60") };
    html! {
        line class={ "tick " (tick.class) } x1=(at) x2=(at) y1=(top) y2=(bottom) {}
        text class=(tick.class) x=(at) y=(text) dx=(beside) text-anchor=(anchor) { (tick.says) }
    }
}

/// The small bar of one row of a table.
pub(super) fn small(name: &str, whole: u64, from: u64, long: u64, class: &str) -> Markup {
    html! {
        svg.small role="img" width="100%" height="14" {
            title { (name) }
            rect.track x="0" y="6" width="100%" height="2" {}
            rect class={ "piece " (class) } x=(percent(share(from, whole))) y="1"
                width=(percent(share(long, whole))) height="12" {}
        }
    }
}
