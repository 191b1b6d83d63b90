//! What is wrong with a value, on its way from the reader of the value to where its place is known.

use std::fmt;

use serde::de::{self, Unexpected};

use super::mistake::{Note, Span};
use super::tree::found_text;

/// A value that was found to be wrong, on its way to where its place is known.
#[derive(Debug)]
pub(super) enum Wrong {
    /// Already among the notes.
    Noted,
    /// Not yet among the notes.
    Fresh(Words),
}

/// What is wrong with a value. Travels through serde, whose errors are texts, as its own `Display`.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// Whether `message` is a sentence of its own; otherwise the name of the value comes before it.
    whole: bool,
    message: String,
    hint: String,
}

impl Words {
    /// A message that goes on after the name of the value: "`orders` " + "must be a whole number".
    pub(super) fn predicate(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { whole: false, message: message.into(), hint: hint.into() }
    }

    /// A message that stands alone.
    pub(super) fn sentence(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { whole: true, message: message.into(), hint: hint.into() }
    }

    /// The mistake, about the value with this name.
    pub(super) fn note(self, span: Span, name: &str) -> Note {
        let Self { whole, message, hint } = self;
        let note = Note::new(span, if whole { message } else { format!("{name} {message}") });
        if hint.is_empty() { note } else { note.hint(hint) }
    }

    /// The mistake in one line, about the value with this name.
    pub(super) fn line(self, name: &str) -> String {
        let Self { whole, message, hint } = self;
        let message = if whole { message } else { format!("{name} {message}") };
        if hint.is_empty() { message } else { format!("{message}: {hint}") }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", if self.whole { "!" } else { "" }, self.message, self.hint)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noted => f.write_str("noted"),
            Self::Fresh(words) => f.write_str(&words.message),
        }
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let mut lines = text.splitn(3, '\n');
        Self::Fresh(match (lines.next(), lines.next(), lines.next()) {
            (Some("!"), Some(message), Some(hint)) => Words::sentence(message, hint),
            (Some(""), Some(message), Some(hint)) => Words::predicate(message, hint),
            _ => Words::predicate(format!("cannot be read: {text}"), ""),
        })
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match unexpected {
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Str(text) => found_text(text),
            other => other.to_string(),
        };
        Self::Fresh(Words::predicate(format!("must be {expected}; found {found}"), ""))
    }
}
