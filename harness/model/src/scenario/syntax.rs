//! What the YAML parser complains about, in words for people who do not know its grammar.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::mistake::{Note, Span};

/// The mistake that stopped the parser. `bracket` is the one that was open then, and its line.
pub(super) fn note(text: &str, error: &ScanError, bracket: Option<(char, usize)>) -> Note {
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    // At the end of the file the last line that holds something says more than the empty one after it.
    let at =
        if text.get(at..).is_some_and(|rest| rest.trim().is_empty()) { text.trim_end().len() } else { at };
    if let Some(colon) = colon_without_blank(text, at) {
        return Note::new(Span { start: colon, end: colon + 1 }, "no blank after the ':'")
            .hint("an entry is written as `key: value`, with a blank between");
    }
    let (message, hint) = words(error.kind());
    let at = point(text, at, error.kind());
    let note = Note::new(Span { start: at, end: at + 1 }, message);
    match (bracket, hint) {
        (Some((bracket, line)), _) if separator(error.kind()) => {
            note.hint(format!("the '{bracket}' on line {line} is still open; {hint}"))
        }
        (_, "") => note,
        (_, hint) => note.hint(hint),
    }
}

/// Whether the parser wanted a comma or the closing bracket.
fn separator(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::ExpectedFlowSequenceSeparator
    )
}

/// Where the mistake is shown: the parser names the start of a quoted text, and the place after a tab.
fn point(text: &str, at: usize, kind: &ErrorKind) -> usize {
    let before = text.get(..at).unwrap_or("");
    let after = text.get(at..).unwrap_or("");
    match words(kind) {
        (message, _) if message == TAB && !after.starts_with('\t') && before.ends_with('\t') => {
            before.trim_end_matches('\t').len()
        }
        (message, _) if message == ESCAPE => escape(after).map_or(at, |offset| at + offset),
        _ => at,
    }
}

/// The first backslash that starts no escape of YAML, or one that is not finished.
fn escape(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        if character == '\\' {
            let (_, escaped) = characters.next()?;
            let digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ if "0abtnvfre \"/\\N_LP\t\r\n".contains(escaped) => 0,
                _ => return Some(offset),
            };
            if text.get(offset + 2..)?.chars().take(digits).any(|digit| !digit.is_ascii_hexdigit()) {
                return Some(offset);
            }
        }
    }
    None
}

/// `key:value` on the line of the byte `at` or the one above it, which YAML takes for a text that goes on:
/// the place of its colon.
fn colon_without_blank(text: &str, at: usize) -> Option<usize> {
    let line = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let above = text.get(..line.saturating_sub(1))?.rfind('\n').map_or(0, |end| end + 1);
    [line, above].into_iter().find_map(|start| {
        let rest = text.get(start..)?;
        let entry = rest.trim_start_matches([' ', '-']);
        let word = entry.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let value = word.strip_prefix(':')?;
        let colon = start + (rest.len() - word.len());
        let follows = value.chars().next().is_some_and(|c| !c.is_whitespace());
        (follows && word.len() < entry.len()).then_some(colon)
    })
}

const TAB: &str = "a tab stands where YAML wants spaces";
const ESCAPE: &str = "a backslash in a double-quoted text starts an escape that YAML does not know";

/// What is wrong, and what to do.
fn words(kind: &ErrorKind) -> (String, &'static str) {
    let (message, hint) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => (TAB, "indent with spaces; most editors can convert a file"),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => (
            "a quoted text is never closed",
            "add the closing quote; inside single quotes, a quote is written twice",
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "something follows a quoted text on its line",
            "put the whole value into quotes; inside single quotes, a quote is written twice",
        ),
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("the bracket '{open}' is never closed"), "add the closing bracket");
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("'{open}' is closed by '{close}'"), "close each bracket with its own kind");
        }
        ErrorKind::MisplacedFlowCollectionEnd => (
            "a closing bracket has no opening one",
            "remove it, or put a text that holds brackets into quotes",
        ),
        ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator => (
            "a ',' or '}' is missing",
            "entries in braces are separated by commas, as in { format: tar, compress: gzip }",
        ),
        ErrorKind::UnexpectedEofFlowSequence | ErrorKind::ExpectedFlowSequenceSeparator => {
            ("a ',' or ']' is missing", "entries in brackets are separated by commas")
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "this line does not go on from the ones above it: an entry as in `key: value` was expected",
            "look at its indentation first: the entries of one list or mapping start in the same column",
        ),
        ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed => (
            "this line is not indented like those that it belongs to",
            "entries of one list or mapping start in the same column",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a ':' stands where none can be",
            "put a text that holds ': ' into quotes; else look at the indentation here and in the line above",
        ),
        ErrorKind::InvalidBlockEntryWhitespace | ErrorKind::PlainScalarStartsWithDashFlowIndicator => {
            ("a '-' that starts a list entry needs a blank after it", "write '- ' before each entry")
        }
        ErrorKind::BlockEntryInFlowCollection => (
            "a '-' cannot start an entry inside brackets",
            "separate entries in brackets by commas, without dashes",
        ),
        ErrorKind::CommentNotSeparated | ErrorKind::CommentInterceptedScalar => (
            "a comment stands where none can be",
            "a comment starts with a blank and '#'; put a text that holds '#' into quotes",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            return (
                format!("a text cannot start with '{}'", character.escape_default()),
                "put the text into quotes",
            );
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate => {
            (ESCAPE, "use single quotes, in which a backslash is a backslash")
        }
        ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidFlowScalarIndent => (
            "a text that goes on over several lines is indented too little here",
            "indent each of its lines further than its key",
        ),
        ErrorKind::InvalidBlockScalarHeader | ErrorKind::ZeroBlockScalarIndent => (
            "after '|' or '>' the line must end",
            "start the text on the next line, indented further than its key",
        ),
        ErrorKind::RecursionLimitExceeded => (
            "brackets or lists are nested too deep",
            "a scenario needs four levels; look for a bracket that is never closed",
        ),
        ErrorKind::UnknownAnchor => (
            "a '*' starts a YAML alias, which is not part of the scenario language",
            "put a text that starts with '*' into quotes",
        ),
        ErrorKind::MissingAnchorOrAliasName => (
            "'*' and '&' have a meaning of their own at the start of a YAML value",
            "put a text that starts with them into quotes",
        ),
        ErrorKind::BomInsideDocument => {
            ("a byte order mark stands in the middle of the file", "remove the invisible character here")
        }
        ErrorKind::InvalidDocumentEnd | ErrorKind::ExpectedDocumentStart => (
            "the scenario has ended above, and something follows",
            "look at the indentation of this line; a file holds one scenario",
        ),
        ErrorKind::ExpectedNodeContent | ErrorKind::UnexpectedEof => {
            ("a value is missing here", "write it, or put a text that holds special characters into quotes")
        }
        other => return (format!("this is not YAML: {other}"), ""),
    };
    (message.to_owned(), hint)
}
