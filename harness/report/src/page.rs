//! A page of plain text: wrapped paragraphs, aligned tables, a little colour. Every text that is put on it is
//! cleaned of what a terminal would obey, here and not by the callers, so that none can be forgotten.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

mod block;

pub(crate) use block::{Block, Title};

/// How text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours may be used; nothing is said by colour alone.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 100 }
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Doubt,
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Doubt => "33",
            Self::Bad => "1;31",
        }
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'t> {
    title: &'t str,
    right: bool,
    flexible: bool,
    clipped: bool,
}

impl<'t> Column<'t> {
    const PLAIN: Self = Self { title: "", right: false, flexible: false, clipped: false };

    /// Words, as wide as the widest.
    pub(crate) fn left(title: &'t str) -> Self {
        Self { title, ..Self::PLAIN }
    }

    /// Quantities, which end below each other.
    pub(crate) fn right(title: &'t str) -> Self {
        Self { title, right: true, ..Self::PLAIN }
    }

    /// The column that takes the width that is left, and is wrapped; at most one per table.
    pub(crate) fn flexible(title: &'t str) -> Self {
        Self { title, flexible: true, ..Self::PLAIN }
    }

    /// A flexible column whose texts are cut at the end of the line instead of wrapped.
    pub(crate) fn clipped(title: &'t str) -> Self {
        Self { title, flexible: true, clipped: true, ..Self::PLAIN }
    }

    /// The lines of a text in this column.
    fn lines(self, text: &str, width: usize) -> Vec<String> {
        if self.clipped { vec![clip(text, width)] } else { wrap(text, width) }
    }

    /// Narrower than this, a flexible column goes below its row.
    fn narrowest(self) -> usize {
        if self.clipped { 40 } else { 24 }
    }
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(crate) fn new(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// Narrower than this, a page is not made narrower: it would be all line breaks.
const NARROWEST: usize = 40;

const INDENT: usize = 2;
const GAP: usize = 2;

/// Keeps what belongs together on one line; shown as a space.
pub(crate) const TIE: char = '\u{a0}';

/// Text in the making.
pub(crate) struct Page {
    style: Style,
    width: usize,
    out: String,
    /// What was put on it, where another face lays it out.
    blocks: Option<Vec<Block>>,
}

impl Page {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, width: style.width.max(NARROWEST), out: String::new(), blocks: None }
    }

    /// What `write` puts on a page, before it is laid out for a terminal.
    pub(crate) fn blocks(write: impl FnOnce(&mut Self)) -> Vec<Block> {
        let mut page = Self { blocks: Some(Vec::new()), ..Self::new(Style::default()) };
        write(&mut page);
        page.blocks.unwrap_or_default()
    }

    /// Keeps a block where blocks are kept.
    fn keeps(&mut self, block: impl FnOnce() -> Block) -> bool {
        let kept = self.blocks.as_mut().map(|blocks| blocks.push(block()));
        kept.is_some()
    }

    /// Columns of the page.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// What is on it.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    pub(crate) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A heading, with a blank line before it.
    pub(crate) fn heading(&mut self, title: &str) {
        if self.keeps(|| Block::Heading(clean(title))) {
            return;
        }
        self.blank();
        let title = self.paint(Tone::Strong, &clean(title));
        self.put(&title);
    }

    /// A label and a text that is wrapped beside it, with its further lines below its first one.
    pub(crate) fn labelled(&mut self, indent: usize, label: (Tone, &str), text: (Tone, &str)) {
        if self.keeps(|| Block::Labelled(Cell::new(label.0, label.1), Cell::new(text.0, text.1))) {
            return;
        }
        self.hanging(indent, (label.0, &clean(label.1)), 0, (text.0, &clean(text.1)));
    }

    /// A named fact: the name in a column of its own, unless it is too long for that.
    pub(crate) fn fact(&mut self, name: &str, text: &str) {
        if self.keeps(|| Block::Fact(clean(name), clean(text))) {
            return;
        }
        const NAMES: usize = 12;
        self.hanging(INDENT, (Tone::Faint, &clean(name)), NAMES - 1, (Tone::Plain, &clean(text)));
    }

    /// A wrapped paragraph.
    pub(crate) fn paragraph(&mut self, indent: usize, tone: Tone, text: &str) {
        if self.keeps(|| Block::Paragraph(indent, Cell::new(tone, text))) {
            return;
        }
        for line in wrap(&clean(text), self.width.saturating_sub(indent)) {
            let painted = self.paint(tone, &line);
            self.put(&format!("{}{painted}", " ".repeat(indent)));
        }
    }

    /// A text of several lines, each of which is wrapped.
    pub(crate) fn lines(&mut self, indent: usize, tone: Tone, text: &str) {
        for line in text.lines() {
            self.paragraph(indent, tone, line);
        }
    }

    /// A label that takes `least` columns at the least, and a text beside it.
    fn hanging(&mut self, indent: usize, label: (Tone, &str), least: usize, text: (Tone, &str)) {
        let (name, taken) = (label.1, columns(label.1));
        let hang = indent + taken.max(least) + 1;
        // A label that leaves no room beside it stands on lines of its own.
        if hang + NARROWEST / 4 > self.width {
            self.paragraph(indent, label.0, name);
            return self.paragraph(indent + INDENT, text.0, text.1);
        }
        let name = format!("{}{}", self.paint(label.0, name), " ".repeat(least.saturating_sub(taken)));
        let lines = wrap(text.1, self.width - hang);
        let mut lines = lines.iter().map(|line| self.paint(text.0, line)).collect::<Vec<_>>().into_iter();
        let first = lines.next().unwrap_or_default();
        self.put(&format!("{}{name} {first}", " ".repeat(indent)));
        for line in lines {
            self.put(&format!("{}{line}", " ".repeat(hang)));
        }
    }

    /// A table with a line of titles. When its flexible column gets too narrow, that column goes below each row.
    pub(crate) fn table(&mut self, columns: &[Column<'_>], rows: &[Vec<Cell>]) {
        let title = |column: &Column<'_>| Title {
            name: clean(column.title),
            right: column.right,
            flexible: column.flexible,
        };
        if self.keeps(|| Block::Table(columns.iter().map(title).collect(), rows.to_vec())) {
            return;
        }
        let titles: Vec<Cell> = columns.iter().map(|column| Cell::new(Tone::Faint, column.title)).collect();
        let mut widths: Vec<usize> = titles.iter().map(|title| title.text.width()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let flexible = columns.iter().position(|column| column.flexible);
        let rigid: usize = INDENT
            + GAP * widths.len().saturating_sub(1)
            + widths
                .iter()
                .enumerate()
                .filter(|(index, _)| Some(*index) != flexible)
                .map(|(_, w)| w)
                .sum::<usize>();
        let left = self.width.saturating_sub(rigid);
        let beside = match flexible {
            Some(index) if widths[index] > left && left < columns[index].narrowest() => false,
            Some(index) => {
                widths[index] = widths[index].min(left);
                true
            }
            None => true,
        };
        let shown: Vec<usize> =
            (0..columns.len()).filter(|index| beside || Some(*index) != flexible).collect();
        let fits = rigid <= self.width + if beside { 0 } else { GAP };
        // Where the columns do not fit beside each other, each row is a list.
        let list = |row: &[Cell]| {
            let cells = shown.iter().filter_map(|index| row.get(*index)).map(|cell| cell.text.trim());
            cells.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
        };
        if fits {
            self.row(columns, &widths, &shown, &titles);
        } else {
            self.paragraph(INDENT, Tone::Faint, &list(&titles));
        }
        for row in rows {
            if fits {
                self.row(columns, &widths, &shown, row);
            } else {
                self.paragraph(INDENT, Tone::Plain, &list(row));
            }
            if !beside
                && let Some((column, cell)) =
                    flexible.and_then(|index| Some((columns[index], row.get(index)?)))
            {
                for line in column.lines(&cell.text, self.width.saturating_sub(INDENT * 3)) {
                    self.paragraph(INDENT * 3, cell.tone, &line);
                }
            }
        }
    }

    fn row(&mut self, columns: &[Column<'_>], widths: &[usize], shown: &[usize], row: &[Cell]) {
        let cells: Vec<Vec<String>> = shown
            .iter()
            .map(|index| match row.get(*index) {
                Some(cell) if columns[*index].flexible => columns[*index].lines(&cell.text, widths[*index]),
                Some(cell) => vec![cell.text.clone()],
                None => Vec::new(),
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            let mut out = " ".repeat(INDENT);
            let mut pending = 0;
            for (place, index) in shown.iter().enumerate() {
                let text = cells[place].get(line).map_or("", String::as_str);
                let pad = widths[*index].saturating_sub(text.width());
                let (before, after) = if columns[*index].right { (pad, 0) } else { (0, pad) };
                pending += before;
                if !text.is_empty() {
                    out.push_str(&" ".repeat(pending));
                    out.push_str(&self.paint(row[*index].tone, text));
                    pending = 0;
                }
                pending += after + GAP;
            }
            self.put(&out);
        }
    }

    /// A text in the colour of its tone. The only place where an escape sequence is made.
    fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.style.color || tone == Tone::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", tone.code())
    }

    /// Pieces of different tones on lines of their own width: a piece is never broken.
    pub(crate) fn pieces(&mut self, pieces: &[(Tone, String)]) {
        let mut line = String::new();
        let mut taken = 0;
        for (tone, text) in pieces {
            let text = clean(text);
            if taken > 0 && taken + text.width() > self.width {
                self.put(&std::mem::take(&mut line));
                line.push_str("  ");
                taken = INDENT;
            }
            taken += text.width() + 1;
            line.push_str(&self.paint(*tone, &text));
            line.push(' ');
        }
        self.put(&line);
    }

    fn put(&mut self, line: &str) {
        self.out.push_str(&line.trim_end_matches(' ').replace(TIE, " "));
        self.out.push('\n');
    }
}

/// Columns that a text takes.
fn columns(text: &str) -> usize {
    text.width()
}

/// Text from elsewhere on one line, with nothing in it that a terminal obeys: line breaks and tabs become spaces;
/// control characters, which begin escape sequences, and characters that hide or reorder text are written out.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => out.push(' '),
            c if c.is_control() && c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() || hides_or_reorders(c) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// Zero-width and bidirectional formatting characters, and tags.
fn hides_or_reorders(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text in lines of at most `width` columns, broken at spaces; a word that is too long is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let room = if line.is_empty() { width } else { width.saturating_sub(line.width() + 1) };
        if word.width() <= room {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut taken = 0;
        for c in word.chars() {
            let columns = c.width().unwrap_or(0);
            if taken + columns > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                taken = 0;
            }
            line.push(c);
            taken += columns;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The first `width` columns of a text, with an ellipsis where something was left out.
fn clip(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.width() <= width {
        return text;
    }
    let mut out = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            break;
        }
        out.push(c);
    }
    format!("{}…", out.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("one two three", 7, &["one two", "three"])]
    #[case("abcdefgh", 3, &["abc", "def", "gh"])]
    #[case("漢字漢字", 4, &["漢字", "漢字"])]
    #[case("", 10, &[])]
    #[case("  a   b  ", 10, &["a b"])]
    #[case("200\u{a0}000 rows", 8, &["200\u{a0}000", "rows"])]
    #[case("漢", 1, &["漢"])]
    fn words_are_wrapped_at_spaces(#[case] text: &str, #[case] width: usize, #[case] lines: &[&str]) {
        assert_eq!(wrap(text, width), lines);
    }

    #[rstest]
    #[case("a\u{1b}[31mred", "a\\x1b[31mred")]
    #[case("nul\0 bell\u{7} c1\u{9b}", "nul\\x00 bell\\x07 c1\\u{9b}")]
    #[case("two\r\nlines\tand a tab", "two  lines and a tab")]
    #[case("right\u{202e}to left\u{200b}", "right\\u{202e}to left\\u{200b}")]
    #[case("naïve 漢字 🙂", "naïve 漢字 🙂")]
    fn nothing_that_a_terminal_obeys_is_left(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(clean(text), shown);
    }

    #[test]
    fn a_clipped_text_says_so() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdef", 5), "abcd…");
        assert_eq!(clip("ab cdef", 4), "ab…");
    }

    #[test]
    fn a_table_that_is_too_wide_puts_its_flexible_column_below() {
        let columns = [Column::left("step"), Column::flexible("what"), Column::right("time")];
        let rows = vec![vec![
            Cell::from("first of all"),
            Cell::from("some words that are longer"),
            Cell::from("1.0 s"),
        ]];
        let mut wide = Page::new(Style { color: false, width: 60 });
        wide.table(&columns, &rows);
        assert_eq!(
            wide.finish(),
            "  step          what                         time\n  first of all  some words that are longer  1.0 s\n"
        );
        let mut narrow = Page::new(Style { color: false, width: 10 });
        narrow.table(&columns, &rows);
        assert_eq!(
            narrow.finish(),
            "  step           time\n  first of all  1.0 s\n      some words that are longer\n"
        );
    }
}
