//! A serde `Deserializer` over the tree that notes mistakes and goes on.
//!
//! serde stops at the first mistake. Here every value of the file's types sits in a
//! [`Slot`](super::slot::Slot): a value that cannot be read is noted with its place and leaves its slot
//! empty, and the reading goes on behind it. A key that a struct does not know is noted and skipped. So one
//! pass tells everything; whoever calls must look at the notes before he takes an empty slot for an absent
//! key.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::value::{StrDeserializer, UsizeDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::mistake::{MOST, Note, Span, instead, list, nearest, quote};
use super::slot::{SLOT, TEXT_OR};
use super::tree::{Kind, Node};
use super::wrong::{Words, Wrong};

/// The name of the enum of steps: the only one whose variants hold something.
pub(super) const STEP: &str = "Step";

/// How messages name the list of steps.
const STEPS: &str = "`steps`";

/// The name of the struct of the whole file.
pub(super) const WHOLE: &str = "File";

/// What a value belongs to, for messages.
#[derive(Clone, Debug)]
struct Owner {
    /// How messages name it: "`orders`", "step 2", "the scenario".
    name: String,
    /// Its key, or the value itself where there is no key.
    span: Span,
}

/// A node to be read.
#[derive(Clone)]
pub(super) struct Walk<'de> {
    node: &'de Node,
    owner: Owner,
    /// Whether nothing stands for an empty mapping: true for the arguments of a step.
    lenient: bool,
    notes: Rc<RefCell<Vec<Note>>>,
}

impl<'de> Walk<'de> {
    /// Reads the whole tree. What is wrong is among the notes.
    pub(super) fn whole<T: Deserialize<'de>>(root: &'de Node) -> (Option<T>, Vec<Note>) {
        Self::named(root, "the scenario".to_owned())
    }

    /// Reads a file that holds what stands below `key` in a scenario.
    pub(super) fn part<T: Deserialize<'de>>(root: &'de Node, key: &str) -> (Option<T>, Vec<Note>) {
        Self::named(root, format!("`{key}`"))
    }

    fn named<T: Deserialize<'de>>(root: &'de Node, name: String) -> (Option<T>, Vec<Note>) {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let owner = Owner { name, span: root.span };
        let walk = Walk { node: root, owner, lenient: false, notes: Rc::clone(&notes) };
        let value = walk.read(PhantomData).ok();
        (value, notes.take())
    }

    fn at(&self, node: &'de Node, name: &str, key: Span) -> Self {
        let owner = Owner { name: format!("`{}`", quote(name).trim_matches('\'')), span: key };
        Self { node, owner, lenient: false, notes: Rc::clone(&self.notes) }
    }

    /// Where a mistake about this value is shown.
    fn span(&self) -> Span {
        match self.node.kind {
            Kind::Scalar(_) => self.node.span,
            Kind::Null | Kind::List(_) | Kind::Mapping(_) => self.owner.span,
        }
    }

    /// Whether so many mistakes are noted that no more are looked for: guessing what was meant costs most.
    fn full(&self) -> bool {
        self.notes.borrow().len() >= MOST
    }

    fn note(&self, span: Span, words: Words) {
        if !self.full() {
            self.notes.borrow_mut().push(words.note(span, &self.owner.name));
        }
    }

    /// Reads the node; what is wrong with it is noted here, where its place and its name are known.
    fn read<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Wrong> {
        seed.deserialize(self.clone()).map_err(|fault| {
            if let Wrong::Fresh(words) = fault {
                self.note(self.span(), words);
            }
            Wrong::Noted
        })
    }

    fn wanted(&self, wanted: &str) -> Wrong {
        Wrong::Fresh(Words::predicate(format!("must be {wanted}; found {}", self.node.found()), ""))
    }

    /// A unit variant of a plain enum.
    fn word<V: Visitor<'de>>(self, words: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        let wanted = match words {
            [only] => format!("'{only}', which is all there is so far"),
            _ => format!("one of {}", list(words.iter().copied())),
        };
        match &self.node.kind {
            Kind::Scalar(text) if words.contains(&text.as_str()) => {
                visitor.visit_enum(StrDeserializer::<Wrong>::new(text))
            }
            Kind::Scalar(text) => {
                let hint = nearest(text, words.iter().copied());
                let hint = hint.map(|word| format!("did you mean '{word}'?")).unwrap_or_default();
                Err(Wrong::Fresh(Words::predicate(
                    format!("must be {wanted}; found {}", self.node.found()),
                    hint,
                )))
            }
            _ => Err(self.wanted(&wanted)),
        }
    }

    /// A step: one property, or its bare name.
    fn step<V: Visitor<'de>>(self, steps: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        const NOTHING: &Node = &Node { span: Span { start: 0, end: 0 }, kind: Kind::Null };
        let (name, span, arguments) = match &self.node.kind {
            Kind::Scalar(text) => (text.as_str(), self.node.span, NOTHING),
            Kind::Mapping(entries) => match entries.as_slice() {
                [(key, arguments)] => (key.text(), key.span(), arguments),
                [] => return Err(Wrong::Fresh(Words::predicate("is empty", one_of(steps)))),
                [(first, arguments), (second, _), ..] => {
                    let hint = if matches!(arguments.kind, Kind::Null) && !steps.contains(&second.text()) {
                        format!("what belongs to `{}` is indented further than it", first.text())
                    } else {
                        "start each step with a '- ' of its own".to_owned()
                    };
                    let mut names = list(entries.iter().take(4).map(|(key, _)| key.text()));
                    if entries.len() > 4 {
                        names.push_str(", ...");
                    }
                    self.note(
                        second.span(),
                        Words::predicate(
                            format!("has {} properties ({names}); a step has one", entries.len()),
                            hint,
                        ),
                    );
                    return Err(Wrong::Noted);
                }
            },
            _ => {
                return Err(Wrong::Fresh(match self.node.kind {
                    Kind::Null => Words::predicate("is empty", one_of(steps)),
                    _ => Words::predicate(format!("is {}", self.node.found()), one_of(steps)),
                }));
            }
        };
        if !steps.contains(&name) && self.full() {
            return Err(Wrong::Noted);
        }
        if !steps.contains(&name) {
            let hint = instead(name, "the steps are", steps.iter().copied());
            self.note(span, Words::sentence(format!("unknown step {}", quote(name)), hint));
            return Err(Wrong::Noted);
        }
        visitor.visit_enum(Variant { name, walk: Walk { lenient: true, ..self.at(arguments, name, span) } })
    }
}

fn one_of(steps: &[&str]) -> String {
    format!("a step is one of {}", list(steps.iter().copied()))
}

impl<'de> Deserializer<'de> for Walk<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Scalar(text) => visitor.visit_str(text),
            Kind::List(items) => {
                visitor.visit_seq(Items { walk: self.clone(), rest: items.iter(), number: 0 })
            }
            Kind::Mapping(_) => visitor.visit_map(Entries { walk: self.clone(), next: 0, known: None }),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match (name, &self.node.kind) {
            (SLOT, _) => visitor.visit_seq(Parts { walk: self, part: 0 }),
            (TEXT_OR, Kind::Mapping(_)) => visitor.visit_newtype_struct(self),
            (TEXT_OR, _) => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.kind {
            Kind::List(_) => self.deserialize_any(visitor),
            _ => Err(self.wanted("a list, each entry of which starts with '- '")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.kind {
            Kind::Mapping(_) => self.deserialize_any(visitor),
            _ => Err(self.wanted("a mapping of names to values")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.node.kind {
            Kind::Mapping(_) => visitor.visit_map(Entries { walk: self, next: 0, known: Some(known) }),
            Kind::Null if self.lenient => {
                visitor.visit_map(de::value::MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
            }
            _ if name == WHOLE => Err(Wrong::Fresh(Words::sentence(
                format!(
                    "this is no scenario: entries such as `title: ...` are wanted; found {}",
                    self.node.found()
                ),
                format!(
                    "the keys of a scenario are {}, each at the start of a line",
                    list(known.iter().copied())
                ),
            ))),
            kind => {
                let keys = if known.len() > 1 { "the keys" } else { "the key" };
                let wanted = format!("a mapping with {keys} {}", list(known.iter().copied()));
                let leave = if matches!(kind, Kind::Null) { "leave it out, or write" } else { "write" };
                // An entry of a list has no key.
                let key = self.owner.name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
                let key = key.map_or_else(String::new, |key| format!("{key}: "));
                let hint = format!("{leave} `{key}{{ {}: ... }}`", known.first().unwrap_or(&""));
                Err(Wrong::Fresh(Words::predicate(
                    format!("must be {wanted}; found {}", self.node.found()),
                    hint,
                )))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if name == STEP { self.step(variants, visitor) } else { self.word(variants, visitor) }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The parts of a slot: start, end, value.
struct Parts<'de> {
    walk: Walk<'de>,
    part: usize,
}

impl<'de> de::SeqAccess<'de> for Parts<'de> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let span = self.walk.span();
        self.part += 1;
        let number = |number: usize| -> UsizeDeserializer<Wrong> { number.into_deserializer() };
        match self.part {
            1 => seed.deserialize(number(span.start)).map(Some),
            2 => seed.deserialize(number(span.end)).map(Some),
            3 => self.walk.clone().read(seed).map(Some),
            _ => Ok(None),
        }
    }
}

/// The entries of a list: the steps, or some other list.
struct Items<'de> {
    walk: Walk<'de>,
    rest: std::slice::Iter<'de, Node>,
    number: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(node) = self.rest.next() else {
            return Ok(None);
        };
        self.number += 1;
        let span = match &node.kind {
            Kind::Mapping(entries) => entries.first().map_or(node.span, |(key, _)| key.span()),
            // Nothing has no place of its own.
            Kind::Null if node.span.end == node.span.start => {
                Span { start: node.span.start.saturating_sub(1), ..node.span }
            }
            _ => node.span,
        };
        let (list, number) = (self.walk.owner.name.as_str(), self.number);
        let name = if list == STEPS { format!("step {number}") } else { format!("entry {number} of {list}") };
        let owner = Owner { name, span };
        Walk { node, owner, ..self.walk.clone() }.read(seed).map(Some)
    }
}

/// The entries of a mapping. `known` are the keys of a struct; none stands for any key.
struct Entries<'de> {
    walk: Walk<'de>,
    next: usize,
    known: Option<&'static [&'static str]>,
}

impl<'de> Entries<'de> {
    fn entries(&self) -> &'de [(super::tree::Key, Node)] {
        match &self.walk.node.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        while let Some((key, _)) = self.entries().get(self.next) {
            self.next += 1;
            match self.known {
                None => {
                    return self.walk.at(key.node(), key.text(), key.span()).read(seed).map(Some);
                }
                Some(known) if known.contains(&key.text()) => {
                    return seed.deserialize(StrDeserializer::<Wrong>::new(key.text())).map(Some);
                }
                Some(_) if self.walk.full() => {}
                Some(known) => {
                    let all = if known.len() > 1 { "the keys here are" } else { "the only key here is" };
                    let hint = instead(key.text(), all, known.iter().copied());
                    let message = format!(
                        "unknown key {} in {}",
                        quote(key.text()),
                        self.walk.owner.name.replace('`', "")
                    );
                    self.walk.note(key.span(), Words::sentence(message, hint));
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        match self.entries().get(self.next.saturating_sub(1)) {
            Some((key, node)) => self.walk.at(node, key.text(), key.span()).read(seed),
            None => Err(Wrong::Noted),
        }
    }
}

/// A step and its arguments.
struct Variant<'de> {
    name: &'de str,
    walk: Walk<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Wrong;
    type Variant = Walk<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Walk<'de>), Wrong> {
        let variant = seed.deserialize(StrDeserializer::<Wrong>::new(self.name))?;
        Ok((variant, self.walk))
    }
}

impl<'de> de::VariantAccess<'de> for Walk<'de> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Wrong> {
        self.read(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_struct("", fields, visitor)
    }
}
