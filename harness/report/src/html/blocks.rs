//! What other faces put on a page for a terminal, as HTML: the same words, laid out for a browser.

use maud::{Markup, html};

use super::verdict::class;
use crate::page::{Block, Cell, Page, Title};

/// A heading with what stands below it.
pub(super) struct Group {
    pub(super) title: String,
    pub(super) body: Markup,
}

/// What `write` puts on a page, by its headings; what stands before the first one has no title.
pub(super) fn groups(write: impl FnOnce(&mut Page)) -> Vec<Group> {
    let mut groups: Vec<(String, Vec<Block>)> = Vec::new();
    for block in Page::blocks(write) {
        match (block, groups.last_mut()) {
            (Block::Heading(title), _) => groups.push((title, Vec::new())),
            (block, Some((_, blocks))) => blocks.push(block),
            (block, None) => groups.push((String::new(), vec![block])),
        }
    }
    groups.into_iter().map(|(title, blocks)| Group { body: all(&title, &blocks), title }).collect()
}

/// The same without the headings: `title` says what a table is about.
pub(super) fn body(title: &str, write: impl FnOnce(&mut Page)) -> Markup {
    let blocks: Vec<Block> =
        Page::blocks(write).into_iter().filter(|block| !matches!(block, Block::Heading(_))).collect();
    all(title, &blocks)
}

/// How a block is laid out: neighbours that are the same are laid out together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Facts,
    List,
    Labelled,
    Quoted,
    Paragraph,
    Table,
}

/// What a terminal indents by so much is quoted, line by line.
const QUOTED: usize = 8;

fn kind(block: &Block) -> Kind {
    match block {
        Block::Heading(_) => Kind::Paragraph,
        Block::Labelled(label, _) if label.text == "-" => Kind::List,
        Block::Labelled(..) => Kind::Labelled,
        Block::Fact(..) => Kind::Facts,
        Block::Paragraph(indent, _) if *indent >= QUOTED => Kind::Quoted,
        Block::Paragraph(..) => Kind::Paragraph,
        Block::Table(..) => Kind::Table,
    }
}

fn all(title: &str, blocks: &[Block]) -> Markup {
    html! {
        @for part in blocks.chunk_by(|one, next| kind(one) == kind(next)) {
            @match part.first().map_or(Kind::Paragraph, kind) {
                Kind::Facts => (facts(part)),
                Kind::List => ul { @for block in part { (item(block)) } },
                Kind::Quoted => pre { code { @for block in part { (line(block)) "\n" } } },
                _ => @for block in part { (one(title, block)) },
            }
        }
    }
}

fn one(title: &str, block: &Block) -> Markup {
    match block {
        Block::Paragraph(_, cell) => html! { p.(class(cell.tone)) { (cell.text) } },
        Block::Labelled(label, text) => html! {
            p { b.(class(label.tone)) { (label.text) } " " span.(class(text.tone)) { (text.text) } }
        },
        Block::Table(columns, rows) => table(title, columns, rows),
        Block::Heading(_) | Block::Fact(..) => html! {},
    }
}

fn item(block: &Block) -> Markup {
    match block {
        Block::Labelled(_, text) => html! { li { (text.text) } },
        _ => html! {},
    }
}

fn line(block: &Block) -> &str {
    match block {
        Block::Paragraph(_, cell) => &cell.text,
        _ => "",
    }
}

fn facts(blocks: &[Block]) -> Markup {
    let mut named: Vec<(&str, Vec<&str>)> = Vec::new();
    for block in blocks {
        let Block::Fact(name, text) = block else { continue };
        match named.last_mut() {
            Some((_, texts)) if name.is_empty() => texts.push(text),
            _ => named.push((name, vec![text])),
        }
    }
    html! {
        dl.facts {
            @for (name, texts) in named {
                dt { (name) }
                @for text in texts { dd { (text) } }
            }
        }
    }
}

/// A table in a box of its own, which scrolls where it is too wide; its name is that of its heading.
fn table(title: &str, columns: &[Title], rows: &[Vec<Cell>]) -> Markup {
    let looks = |at: usize| match columns.get(at) {
        Some(Title { right: true, .. }) => Some("n"),
        Some(Title { flexible: true, .. }) => Some("long"),
        Some(_) => Some("short"),
        None => None,
    };
    scrolled(
        title,
        &html! {
            thead { tr { @for (at, column) in columns.iter().enumerate() {
                th scope="col" class=[looks(at)] { (column.name) }
            } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (at, cell) in row.iter().enumerate() {
                            @if at == 0 {
                                th scope="row" class=[looks(at)] { (toned(cell)) }
                            } @else {
                                td class=[looks(at)] { (toned(cell)) }
                            }
                        }
                    }
                }
            }
        },
    )
}

fn toned(cell: &Cell) -> Markup {
    match class(cell.tone) {
        "plain" => html! { (cell.text) },
        class => html! { span.(class) { (cell.text) } },
    }
}

/// The rows of a table, in a box that scrolls and that a keyboard reaches. Its heading is on the page already.
pub(super) fn scrolled(title: &str, rows: &Markup) -> Markup {
    html! {
        div.scroll role="group" aria-label=(title) tabindex="0" {
            table { caption.sr { (title) } (rows) }
        }
    }
}
