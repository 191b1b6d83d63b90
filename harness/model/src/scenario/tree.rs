//! The YAML of a scenario file as a tree of nodes that know where they stand.
//!
//! The tree is built from the parser's events without recursion and within limits, so that a hostile file
//! costs no more than its own length. Anchors, aliases, merge keys and tags are not part of the scenario
//! language: a drill is read at three in the morning, and should say what it does where it does it.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, StructureStyle};

use super::mistake::{Lines, MOST, Note, Span, quote};
use super::syntax;

/// The most bytes that a scenario file may have.
const LONGEST: usize = 1 << 20;
/// How deep collections may be nested; the language needs four.
const DEEPEST: usize = 32;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// A text; whether it is a number is for the reader of the key to say.
    Scalar(String),
    List(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// The key of an entry: a node that is a text.
#[derive(Clone, Debug)]
pub(super) struct Key(Node);

impl Key {
    pub(super) fn node(&self) -> &Node {
        &self.0
    }

    pub(super) fn span(&self) -> Span {
        self.0.span
    }

    pub(super) fn text(&self) -> &str {
        match &self.0.kind {
            Kind::Scalar(text) => text,
            _ => "",
        }
    }
}

impl Node {
    /// What the node is, in plain words.
    pub(super) fn found(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Scalar(text) => found_text(text),
            Kind::List(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// What a text is, in plain words: people who write `012` think of a number.
pub(super) fn found_text(text: &str) -> String {
    let digits = text.trim_start_matches(['-', '+']);
    if text.is_empty() {
        "an empty text".to_owned()
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        quote(text)
    } else {
        format!("text {}", quote(text))
    }
}

/// A collection that is still open.
enum Open {
    List {
        span: Span,
        flow: bool,
        items: Vec<Node>,
    },
    Mapping {
        span: Span,
        flow: bool,
        entries: Vec<(Key, Node)>,
        key: Option<Node>,
        lines: HashMap<String, Span>,
    },
}

/// Reads the text of a file into a tree.
pub(super) fn read(text: &str) -> Result<Node, Vec<Note>> {
    if text.len() > LONGEST {
        let note = Note::new(
            Span::default(),
            format!("the file has {} bytes; a scenario has at most 1 MiB", text.len()),
        )
        .hint("this is probably not a scenario file");
        return Err(vec![note]);
    }
    let mut builder = Builder { lines: Lines::of(text), open: Vec::new(), root: None, notes: Vec::new() };
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.emit_anchor_events = true;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                builder.notes.push(syntax::note(text, &error, builder.bracket()));
                return Err(builder.notes);
            }
        };
        if builder.notes.len() >= MOST {
            return Err(builder.notes);
        }
        if let Err(note) = builder.take(event, place(&span), span.tag_span().map(|tag| place(&tag))) {
            builder.notes.push(note);
            return Err(builder.notes);
        }
    }
    if !builder.notes.is_empty() {
        return Err(builder.notes);
    }
    // A file may be empty.
    Ok(builder.root.unwrap_or(Node { span: Span::default(), kind: Kind::Null }))
}

fn place(span: &granit_parser::Span) -> Span {
    let range = span.byte_range().unwrap_or_default();
    Span { start: range.start, end: range.end }
}

/// The mistake of a file in which nothing stands.
pub(super) fn empty() -> Note {
    Note::new(Span::default(), "the file holds no scenario: nothing stands in it but blanks and comments")
        .hint("a scenario needs at least `title:` and `steps:`")
}

struct Builder {
    lines: Lines,
    open: Vec<Open>,
    root: Option<Node>,
    notes: Vec<Note>,
}

impl Builder {
    /// The bracket that is open, and its line.
    fn bracket(&self) -> Option<(char, usize)> {
        match self.open.last() {
            Some(Open::Mapping { span, flow: true, .. }) => Some(('{', self.lines.line(span.start))),
            Some(Open::List { span, flow: true, .. }) => Some(('[', self.lines.line(span.start))),
            _ => None,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span, tag: Option<Span>) -> Result<(), Note> {
        if let Some(tag) = tag {
            return Err(Note::new(tag, "YAML tags are not part of the scenario language")
                .hint("leave the tag out; a value in quotes is text"));
        }
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err(Note::new(span, "a second YAML document starts here; a file holds one scenario")
                    .hint("put it into a file of its own, or remove the '---'"));
            }
            Event::Scalar(text, style, ..) => {
                let null = style == ScalarStyle::Plain
                    && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let kind = if null { Kind::Null } else { Kind::Scalar(text.into_owned()) };
                self.put(Node { span, kind });
            }
            Event::Anchor(..) | Event::Alias(_) => {
                return Err(Note::new(
                    span,
                    "YAML anchors and aliases are not part of the scenario language",
                )
                .hint("write the value out where it is used"));
            }
            Event::SequenceStart(style, ..) => {
                let flow = style == StructureStyle::Flow;
                self.enter(Open::List { span, flow, items: Vec::new() }, span)?;
            }
            Event::MappingStart(style, ..) => {
                let flow = style == StructureStyle::Flow;
                self.enter(
                    Open::Mapping { span, flow, entries: Vec::new(), key: None, lines: HashMap::new() },
                    span,
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, open: Open, span: Span) -> Result<(), Note> {
        if self.open.len() >= DEEPEST {
            return Err(Note::new(span, format!("nested more than {DEEPEST} deep"))
                .hint("a scenario needs four levels; look for a bracket that is never closed"));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self, end: Span) {
        let node = match self.open.pop() {
            Some(Open::List { span, items, .. }) => {
                Node { span: Span { start: span.start, end: end.end.max(span.end) }, kind: Kind::List(items) }
            }
            Some(Open::Mapping { span, flow, entries, .. }) => {
                let span = match entries.first() {
                    Some((key, _)) if !flow => key.span(),
                    _ => Span { start: span.start, end: end.end.max(span.end) },
                };
                Node { span, kind: Kind::Mapping(entries) }
            }
            None => return,
        };
        self.put(node);
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Mapping { entries, key, lines, .. }) => match key.take() {
                None => *key = Some(node),
                Some(Node { span, kind: Kind::Scalar(text) }) if text == "<<" => {
                    self.notes.push(
                        Note::new(span, "YAML merge keys are not part of the scenario language")
                            .hint("write the values out where they are used"),
                    );
                }
                Some(Node { span, kind: Kind::Scalar(text) }) => {
                    if let Some(first) = lines.get(&text) {
                        let first = self.lines.line(first.start);
                        self.notes.push(
                            Note::new(span, format!("key {} stands twice in the same mapping", quote(&text)))
                                .hint(format!("it was first written on line {first}; keep one of the two")),
                        );
                    } else {
                        lines.insert(text.clone(), span);
                        entries.push((Key(Node { span, kind: Kind::Scalar(text) }), node));
                    }
                }
                Some(other) => {
                    let found = other.found();
                    let span = if other.span.end > other.span.start { other.span } else { node.span };
                    self.notes.push(
                        Note::new(span, format!("a key must be a word; found {found}"))
                            .hint("an entry is written as `key: value`"),
                    );
                }
            },
        }
    }
}
