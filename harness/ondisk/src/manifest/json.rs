//! JSON as PostgreSQL's own programs read it (`src/common/jsonapi.c`): the tokens of a text in UTF-8, with the words
//! that they have for each mistake.

use std::borrow::Cow;
use std::fmt;

/// The longest token that is repeated in a message. PostgreSQL repeats all of it.
const LONGEST_QUOTED: usize = 1000;

/// What a token is (`JsonTokenType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Comma,
    Colon,
    String,
    Number,
    True,
    False,
    Null,
    End,
}

/// What is wrong with a JSON text (`JsonParseErrorType`), in PostgreSQL's words (`json_errdetail`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It ends where more must come.
    #[error("The input string ended unexpectedly.")]
    Ended,
    /// No token of JSON, or one that does not end.
    #[error("Token \"{0}\" is invalid.")]
    Token(Quoted),
    /// Something else stands there than what must.
    #[error("Expected {expected}, but found \"{found}\".")]
    Expected {
        /// What must stand there.
        expected: &'static str,
        /// What does.
        found: Quoted,
    },
    /// A backslash before something that is not escaped so.
    #[error("Escape sequence \"\\{0}\" is invalid.")]
    Escape(Quoted),
    /// A control character in a string.
    #[error("Character with value 0x{0:02x} must be escaped.")]
    Control(u8),
    /// `\u` without four hexadecimal digits.
    #[error("\"\\u\" must be followed by four hexadecimal digits.")]
    Unicode,
    /// `\u0000`
    #[error("\\u0000 cannot be converted to text.")]
    Zero,
    /// Two first halves of a surrogate pair.
    #[error("Unicode high surrogate must not follow a high surrogate.")]
    HighSurrogate,
    /// One half of a surrogate pair.
    #[error("Unicode low surrogate must follow a high surrogate.")]
    LowSurrogate,
}

/// A piece of a text, in a message about it: as C prints it, so up to its first zero byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        if end <= LONGEST_QUOTED {
            return Self(String::from_utf8_lossy(&bytes[..end]).into_owned());
        }
        Self(format!("{}...", String::from_utf8_lossy(&bytes[..LONGEST_QUOTED])))
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads tokens, one ahead of those who use them (`json_lex`).
pub(super) struct Lexer<'a> {
    input: &'a [u8],
    /// The token begins and ends here.
    start: usize,
    end: usize,
    kind: Kind,
    /// What a string says, without its quotes and escapes.
    string: Cow<'a, [u8]>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, start: 0, end: 0, kind: Kind::End, string: Cow::Borrowed(&[]) }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The token as it is written.
    fn token(&self) -> &'a [u8] {
        &self.input[self.start..self.end]
    }

    /// What a string says; of anything else, the token itself.
    pub(super) fn value(&mut self) -> Cow<'a, [u8]> {
        match self.kind {
            Kind::String => std::mem::take(&mut self.string),
            _ => Cow::Borrowed(self.token()),
        }
    }

    /// That something else must stand where the token does (`report_parse_error`).
    pub(super) fn unexpected(&self, expected: &'static str) -> Mistake {
        match self.kind {
            Kind::End => Mistake::Ended,
            _ => Mistake::Expected { expected, found: Quoted::new(self.token()) },
        }
    }

    /// Goes on to the next token.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<(), Mistake> {
        let rest = &self.input[self.end..];
        let first = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let Some((blanks, first)) = first.and_then(|blanks| Some((blanks, rest.get(blanks)?))) else {
            self.start = self.input.len();
            self.end = self.start;
            self.kind = Kind::End;
            return Ok(());
        };
        self.start = self.end + blanks;
        self.kind = match first {
            b'{' => Kind::ObjectStart,
            b'}' => Kind::ObjectEnd,
            b'[' => Kind::ArrayStart,
            b']' => Kind::ArrayEnd,
            b',' => Kind::Comma,
            b':' => Kind::Colon,
            b'"' => {
                self.kind = Kind::String;
                return self.string();
            }
            b'-' | b'0'..=b'9' => {
                self.kind = Kind::Number;
                return self.number();
            }
            _ => return self.word(),
        };
        self.end = self.start + 1;
        Ok(())
    }

    /// `true`, `false`, `null`, and what is none of them.
    fn word(&mut self) -> Result<(), Mistake> {
        let rest = &self.input[self.start..];
        let length = rest.iter().position(|byte| !is_of_word(*byte)).unwrap_or(rest.len());
        self.end = self.start + length.max(1);
        self.kind = match self.token() {
            b"true" => Kind::True,
            b"false" => Kind::False,
            b"null" => Kind::Null,
            other => return Err(Mistake::Token(Quoted::new(other))),
        };
        Ok(())
    }

    /// A number (`json_lex_number`).
    fn number(&mut self) -> Result<(), Mistake> {
        let digits = |from: usize| {
            let rest = &self.input[from..];
            from + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
        };
        let byte = |at: usize| self.input.get(at).copied().unwrap_or(0);
        let mut good = true;
        let mut at = self.start + usize::from(byte(self.start) == b'-');
        let whole = if byte(at) == b'0' { at + 1 } else { digits(at) };
        good &= whole > at;
        at = whole;
        if byte(at) == b'.' {
            let fraction = digits(at + 1);
            good &= fraction > at + 1;
            at = fraction;
        }
        if matches!(byte(at), b'e' | b'E') {
            at += 1 + usize::from(matches!(byte(at + 1), b'+' | b'-'));
            let exponent = digits(at);
            good &= exponent > at;
            at = exponent;
        }
        let rest = &self.input[at..];
        let trailing = rest.iter().position(|byte| !is_of_word(*byte)).unwrap_or(rest.len());
        self.end = at + trailing;
        if good && trailing == 0 { Ok(()) } else { Err(Mistake::Token(Quoted::new(self.token()))) }
    }

    /// A string (`json_lex_string`). What has no escapes is not copied.
    fn string(&mut self) -> Result<(), Mistake> {
        let from = self.start + 1;
        let length = plain(&self.input[from..]);
        if self.input.get(from + length) == Some(&b'"') {
            self.string = Cow::Borrowed(&self.input[from..from + length]);
            self.end = from + length + 1;
            return Ok(());
        }
        let mut text = Vec::new();
        let mut at = from;
        // The first half of a surrogate pair, until its second half is read.
        let mut first = None;
        loop {
            let length = plain(&self.input[at..]);
            if length > 0 && first.is_some() {
                return Err(Mistake::LowSurrogate);
            }
            text.extend_from_slice(&self.input[at..at + length]);
            at += length;
            match self.input.get(at) {
                None => return Err(self.without_end()),
                Some(b'"') => break,
                Some(b'\\') => at = self.escape(at + 1, &mut first, &mut text)?,
                Some(_) if first.is_some() => return Err(Mistake::LowSurrogate),
                Some(control) => return Err(Mistake::Control(*control)),
            }
        }
        if first.is_some() {
            return Err(Mistake::LowSurrogate);
        }
        self.string = Cow::Owned(text);
        self.end = at + 1;
        Ok(())
    }

    /// What follows a backslash; gives where it ends.
    fn escape(&self, at: usize, first: &mut Option<u32>, text: &mut Vec<u8>) -> Result<usize, Mistake> {
        let Some(letter) = self.input.get(at) else { return Err(self.without_end()) };
        if *letter == b'u' {
            self.unicode(at + 1, first, text)?;
            return Ok(at + 5);
        }
        if first.is_some() {
            return Err(Mistake::LowSurrogate);
        }
        text.push(match letter {
            b'"' | b'\\' | b'/' => *letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => {
                let end = self.input.len().min(at + character_length(*letter));
                return Err(Mistake::Escape(Quoted::new(&self.input[at..end])));
            }
        });
        Ok(at + 1)
    }

    /// The four digits after `\u`.
    fn unicode(&self, at: usize, first: &mut Option<u32>, text: &mut Vec<u8>) -> Result<(), Mistake> {
        let mut code = 0;
        for digit in at..at + 4 {
            let Some(digit) = self.input.get(digit) else { return Err(self.without_end()) };
            code = code * 16 + char::from(*digit).to_digit(16).ok_or(Mistake::Unicode)?;
        }
        let code = match (code, *first) {
            (0xD800..=0xDBFF, Some(_)) => return Err(Mistake::HighSurrogate),
            (0xD800..=0xDBFF, None) => {
                *first = Some(code);
                return Ok(());
            }
            (0xDC00..=0xDFFF, Some(high)) => 0x1_0000 + ((high & 0x3FF) << 10) + (code & 0x3FF),
            (0xDC00..=0xDFFF, None) | (_, Some(_)) => return Err(Mistake::LowSurrogate),
            (0, None) => return Err(Mistake::Zero),
            (_, None) => code,
        };
        *first = None;
        let character = char::from_u32(code).ok_or(Mistake::Unicode)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// That the string which begins at the token has no end.
    fn without_end(&self) -> Mistake {
        Mistake::Token(Quoted::new(&self.input[self.start..]))
    }
}

/// Whether a word or a number goes on (`JSON_ALPHANUMERIC_CHAR`).
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// How many bytes the character takes that begins with this one (`pg_utf_mblen`).
fn character_length(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    }
}

/// How many bytes from the first on are neither a quote, a backslash nor a control character; eight at a time, as
/// most of a manifest is in strings.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    /// Marks bytes that are below `limit`. The lowest mark is exact, those above it may be wrong.
    fn below(eight: u64, limit: u64) -> u64 {
        eight.wrapping_sub(ONES * limit) & !eight & HIGH
    }
    let (eights, rest) = bytes.as_chunks::<8>();
    for (index, eight) in eights.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let quote = below(eight ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(eight ^ (ONES * u64::from(b'\\')), 1);
        let marked = quote | backslash | below(eight, 0x20);
        if marked != 0 {
            return index * 8 + (marked.trailing_zeros() / 8) as usize;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    eights.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}
