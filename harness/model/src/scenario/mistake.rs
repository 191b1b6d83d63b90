//! The mistakes of a scenario file and how they are shown: what, where, and what now.

use std::fmt;

/// How many columns of a source line are shown; a longer line is clipped around the caret.
const EXCERPT: usize = 100;
/// How many mistakes are shown in full; a file with more is hardly a scenario.
const SHOWN: usize = 50;
/// How many mistakes are looked for.
pub(super) const MOST: usize = 1000;
/// How many characters of the file a message quotes.
const QUOTED: usize = 40;

/// A range of bytes of the file's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A mistake before it is known on which line it stands.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Note {
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One mistake of a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1; 0 when the mistake is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 when the mistake is about the file as a whole.
    pub column: usize,
    /// How many characters of that line it is about.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
    excerpt: Option<Excerpt>,
}

/// Every mistake that could be told at once, up to a thousand. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    file: String,
    all: Vec<Mistake>,
}

impl Mistakes {
    /// The mistake of a file whose bytes are not UTF-8, so that there is no text to point into.
    pub fn not_utf8(file: &str) -> Self {
        let mistake = Mistake {
            line: 0,
            column: 0,
            length: 0,
            message: "the file is not UTF-8 text".to_owned(),
            hint: Some(
                "save it in UTF-8; it may be in another encoding, compressed, or no text at all".to_owned(),
            ),
            excerpt: None,
        };
        Self { file: file.to_owned(), all: vec![mistake] }
    }

    /// Places `notes` in `text`, in the order of the file.
    pub(super) fn place(file: &str, text: &str, mut notes: Vec<Note>) -> Self {
        notes.sort_by_key(|note| note.span);
        // Placing a mistake costs the length of its line: in a hostile file that adds up.
        notes.truncate(MOST);
        let lines = Lines::of(text);
        let all = notes.into_iter().map(|note| lines.place(text, note)).collect();
        Self { file: file.to_owned(), all }
    }

    /// The file's name as it is shown.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.all.iter()
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.all.len()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = tame(&self.file);
        for mistake in self.all.iter().take(SHOWN) {
            writeln!(f, "error: {}", tame(&mistake.message))?;
            let margin = " ".repeat(mistake.line.max(1).to_string().len() + 1);
            match &mistake.excerpt {
                Some(excerpt) => {
                    writeln!(f, "{margin}--> {file}:{}:{}", mistake.line, mistake.column)?;
                    writeln!(f, "{margin}|")?;
                    writeln!(f, "{}", format!("{} | {}", mistake.line, excerpt.line).trim_end())?;
                    let carets = "^".repeat(excerpt.carets);
                    writeln!(f, "{margin}| {}{carets}", " ".repeat(excerpt.indent))?;
                }
                None => writeln!(f, "{margin}--> {file}")?,
            }
            if let Some(hint) = &mistake.hint {
                writeln!(f, "{margin}= hint: {}", tame(hint))?;
            }
            writeln!(f)?;
        }
        match self.all.len() {
            1 => writeln!(f, "1 mistake in {file}"),
            MOST => writeln!(f, "{MOST} mistakes or more in {file}, of which {SHOWN} are shown"),
            count if count > SHOWN => writeln!(f, "{count} mistakes in {file}, of which {SHOWN} are shown"),
            count => writeln!(f, "{count} mistakes in {file}"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// Where the lines of a text start.
pub(super) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut starts = vec![0];
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            let pair = byte == b'\r' && bytes.peek().is_some_and(|(_, next)| *next == b'\n');
            if byte == b'\n' || (byte == b'\r' && !pair) {
                starts.push(at + 1);
            }
        }
        Self { starts }
    }

    /// The line, from 1, on which the byte `at` stands.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    fn place(&self, text: &str, note: Note) -> Mistake {
        let at = text.floor_char_boundary(note.span.start);
        let line = self.line(at);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let end = self.starts.get(line).copied().unwrap_or(text.len());
        let source = text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        let before = text.get(start..at).map_or(0, |part| part.chars().count());
        // A span over several lines is shown on its first one.
        let until = text.floor_char_boundary(note.span.end.max(at)).min(start + source.len());
        let length = text.get(at..until).map_or(0, |part| part.chars().count()).max(1);
        Mistake {
            line,
            column: before + 1,
            length,
            message: note.message,
            hint: note.hint,
            excerpt: Some(Excerpt::of(source, before, length)),
        }
    }
}

/// The part of a source line that is shown, and where under it the carets stand, in terminal columns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    indent: usize,
    carets: usize,
}

impl Excerpt {
    fn of(source: &str, before: usize, length: usize) -> Self {
        let total = source.chars().count();
        let (from, to) = if total <= EXCERPT {
            (0, total)
        } else {
            // Two fifths of the window before the caret, and never a half-empty window at the line's end.
            let from = before.saturating_sub(EXCERPT * 2 / 5).min(total - EXCERPT);
            (from, from + EXCERPT)
        };
        let mut excerpt = Self { line: String::new(), indent: 0, carets: 0 };
        let mut column = 0;
        let mut push = |shown: &str, width: usize, index: usize| {
            excerpt.line.push_str(shown);
            if index < before {
                excerpt.indent += width;
            } else if index < before + length {
                excerpt.carets += width;
            }
            column += width;
        };
        if from > 0 {
            push("…", 1, 0);
        }
        for (index, character) in source.chars().enumerate().skip(from).take(to - from) {
            if character == '\t' {
                push("    ", 4, index);
            } else {
                let (shown, width) = cell(character);
                push(shown.encode_utf8(&mut [0; 4]), width, index);
            }
        }
        if to < total {
            excerpt.line.push('…');
        }
        excerpt.carets = excerpt.carets.max(1);
        excerpt
    }
}

/// What a character of the file is shown as, and how many terminal columns that takes. What could move the
/// cursor or turn the direction of writing is replaced by a picture.
fn cell(character: char) -> (char, usize) {
    match character {
        '\0'..='\u{1f}' => (char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'), 1),
        '\u{7f}' => ('\u{2421}', 1),
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => ('\u{fffd}', 1),
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => (character, 0),
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => (character, 2),
        other => (other, 1),
    }
}

/// `text` without anything that a terminal would obey.
fn tame(text: &str) -> String {
    text.chars().map(|character| cell(character).0).collect()
}

/// What the file says, as a message quotes it: in quotes, on one line, clipped.
pub(super) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).map(|character| cell(character).0).collect();
    if text.chars().nth(QUOTED).is_some() {
        quoted.push('…');
    }
    format!("'{quoted}'")
}

/// The words as a sentence lists them: `a, b, c`.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// Words that people bring along from elsewhere, and what they mean here; nothing, where a near word would
/// mislead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("restore", "recover"),
    ("verify", "check"),
    ("checks", "check"),
    ("query", "sql"),
    ("statement", "run"),
    ("timeout", "within"),
    ("timeout", "time-limit"),
    ("name", "title"),
    ("description", "title"),
    ("versions", "postgres"),
    ("method", "by"),
    ("target", "to"),
    ("compression", "compress"),
    ("rpo", ""),
];

/// The word that was probably meant: the nearest one, when it is near enough.
pub(super) fn nearest<'a>(
    written: &str,
    words: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let plain = |word: &str| word.to_lowercase().replace(['_', ' '], "-");
    let written = plain(written);
    for (_, here) in ELSEWHERE.iter().filter(|(elsewhere, _)| *elsewhere == written) {
        match words.clone().into_iter().find(|word| word == here) {
            Some(word) => return Some(word),
            None if here.is_empty() => return None,
            None => {}
        }
    }
    let allowed = (written.chars().count() / 4).max(1);
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written, &plain(word)), word))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, word)| *distance <= allowed && *distance < word.len())
        .map(|(_, word)| word)
}

/// The hint for a word that is not one of `words`: the nearest one, or all of them after `all`.
pub(super) fn instead<'a>(
    written: &str,
    all: &str,
    words: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    if let Some((word, _)) = written.split_once(':')
        && words.clone().into_iter().any(|known| known == word)
    {
        return format!("write a blank after the ':' of `{word}:`");
    }
    match nearest(written, words.clone()) {
        Some(word) => format!("did you mean '{word}'?"),
        None => format!("{all} {}", list(words)),
    }
}
