//! What the types of the file are made of beside serde's own: places for values that may be wrong, and values
//! that are written either as a text or as a mapping.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::mistake::Span;
use super::wrong::Words;

/// The names by which the types of the file ask this deserializer for what serde has no word for.
pub(super) const SLOT: &str = "pgdrill slot";
pub(super) const TEXT_OR: &str = "pgdrill text or";
/// A value that may be absent, and where it stands: the value itself when it is a text, otherwise its key.
#[derive(Clone, Debug)]
pub(super) struct Slot<T>(pub(super) Option<At<T>>);

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) span: Span,
    pub(super) what: T,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Slot<T> {
    /// The value, if it is there.
    pub(super) fn what(self) -> Option<T> {
        self.0.map(|at| at.what)
    }

    /// Where the value stands, if it is there.
    pub(super) fn span(&self) -> Option<Span> {
        self.0.as_ref().map(|at| at.span)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Slot<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Filler<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Filler<T> {
            type Value = Slot<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<Slot<T>, A::Error> {
                let start = parts.next_element()?.unwrap_or(0);
                let end = parts.next_element()?.unwrap_or(0);
                // A value that failed has been noted.
                let what = parts.next_element::<T>().unwrap_or(None);
                Ok(Slot(what.map(|what| At { span: Span { start, end }, what })))
            }
        }

        deserializer.deserialize_newtype_struct(SLOT, Filler(PhantomData))
    }
}

/// What a type must know that is written either as a text or as a mapping of its arguments.
pub(super) trait TextOr<'de>: Sized {
    /// The mapping.
    type Arguments: Deserialize<'de>;
    /// What is wanted, as in "must be ...".
    const WANTED: &'static str;
    /// What to write, when something else stands there.
    const HINT: &'static str;
    /// Reads the text.
    fn text(text: &str) -> Result<Self, Words>;
    /// Takes the mapping.
    fn arguments(arguments: Self::Arguments) -> Self;
    /// What nothing stands for; by default it is a mistake.
    fn nothing() -> Result<Self, Words> {
        Err(Words::predicate(format!("must be {}; found nothing", Self::WANTED), Self::HINT))
    }
}

/// Reads types that are written either as a text or as a mapping by that.
macro_rules! read_text_or {
    ($value:ty) => {
        impl<'de> serde::Deserialize<'de> for $value {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::scenario::slot::text_or(deserializer)
            }
        }
    };
}

pub(super) use read_text_or;

/// Reads a value that is either a text or a mapping.
pub(super) fn text_or<'de, T: TextOr<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Either<T>(PhantomData<T>);

    impl<'de, T: TextOr<'de>> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::WANTED)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            T::text(text).map_err(E::custom)
        }

        fn visit_unit<E: de::Error>(self) -> Result<T, E> {
            T::nothing().map_err(E::custom)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
            Err(de::Error::custom(Words::predicate(format!("must be {}; found a list", T::WANTED), T::HINT)))
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            T::Arguments::deserialize(deserializer).map(T::arguments)
        }
    }

    deserializer.deserialize_newtype_struct(TEXT_OR, Either(PhantomData))
}
