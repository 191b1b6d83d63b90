//! The grammar of JSON, told piece by piece to something that gives it a meaning (`pg_parse_json`,
//! `src/common/jsonapi.c`). Like there, a piece is told when the token after it has been read, so that of two mistakes
//! the same one comes first.

use std::borrow::Cow;

use super::Refused;
use super::json::{Kind, Lexer};

/// What gives a meaning to the pieces of a JSON text (`JsonSemAction`). It must refuse what is nested deeper than it
/// knows of, because each level is a call within a call here.
pub(super) trait Meaning<'a> {
    fn object_start(&mut self) -> Result<(), Refused>;
    fn object_end(&mut self) -> Result<(), Refused>;
    fn array_start(&mut self) -> Result<(), Refused>;
    fn array_end(&mut self) -> Result<(), Refused>;
    fn field(&mut self, name: &[u8]) -> Result<(), Refused>;
    fn scalar(&mut self, value: Cow<'a, [u8]>) -> Result<(), Refused>;
}

/// Reads a whole text. `in_pieces` is how PostgreSQL reads a large one, with a parser that has other words for one
/// mistake.
pub(super) fn parse<'a>(
    text: &'a [u8],
    in_pieces: bool,
    meaning: &mut impl Meaning<'a>,
) -> Result<(), Refused> {
    let mut grammar = Grammar { lexer: Lexer::new(text), in_pieces, meaning };
    grammar.lexer.advance()?;
    grammar.value()?;
    match grammar.lexer.kind() {
        Kind::End => Ok(()),
        _ => Err(grammar.lexer.unexpected("end of input").into()),
    }
}

struct Grammar<'a, 'm, M> {
    lexer: Lexer<'a>,
    in_pieces: bool,
    meaning: &'m mut M,
}

impl<'a, M: Meaning<'a>> Grammar<'a, '_, M> {
    fn value(&mut self) -> Result<(), Refused> {
        match self.lexer.kind() {
            Kind::ObjectStart => self.object(),
            Kind::ArrayStart => self.array(),
            Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Null => {
                let value = self.lexer.value();
                self.lexer.advance()?;
                self.meaning.scalar(value)
            }
            _ => Err(self.lexer.unexpected("JSON value").into()),
        }
    }

    fn object(&mut self) -> Result<(), Refused> {
        self.meaning.object_start()?;
        self.lexer.advance()?;
        match self.lexer.kind() {
            Kind::String => {
                self.field()?;
                while self.lexer.kind() == Kind::Comma {
                    self.lexer.advance()?;
                    self.field()?;
                }
            }
            Kind::ObjectEnd => (),
            _ => return Err(self.lexer.unexpected("string or \"}\"").into()),
        }
        self.end(Kind::ObjectEnd, "\",\" or \"}\"")?;
        self.meaning.object_end()
    }

    fn field(&mut self) -> Result<(), Refused> {
        if self.lexer.kind() != Kind::String {
            return Err(self.lexer.unexpected("string").into());
        }
        let name = self.lexer.value();
        self.lexer.advance()?;
        self.end(Kind::Colon, "\":\"")?;
        self.meaning.field(&name)?;
        self.value()
    }

    fn array(&mut self) -> Result<(), Refused> {
        self.meaning.array_start()?;
        self.lexer.advance()?;
        if self.lexer.kind() != Kind::ArrayEnd {
            let bad = matches!(self.lexer.kind(), Kind::Comma | Kind::Colon | Kind::ObjectEnd);
            if self.in_pieces && bad {
                return Err(self.lexer.unexpected("array element or \"]\"").into());
            }
            self.value()?;
            while self.lexer.kind() == Kind::Comma {
                self.lexer.advance()?;
                self.value()?;
            }
        }
        self.end(Kind::ArrayEnd, "\",\" or \"]\"")?;
        self.meaning.array_end()
    }

    /// Goes behind a token that must be there (`lex_expect`).
    fn end(&mut self, kind: Kind, expected: &'static str) -> Result<(), Refused> {
        if self.lexer.kind() != kind {
            return Err(self.lexer.unexpected(expected).into());
        }
        Ok(self.lexer.advance()?)
    }
}
