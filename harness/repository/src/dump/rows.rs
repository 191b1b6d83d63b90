//! Where in a file of a dump its rows lie, and not what describes them.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::Path;

use super::toc::{Data, MAGIC, Toc, integer};

/// With what a block of the rows of a table begins in an archive in one file (`pg_backup_custom.c`).
const BLOCK_OF_ROWS: u8 = 1;

/// The bytes of rows of which a bit can be another so that it means something.
pub struct Rows {
    /// Where they lie.
    pub places: Vec<usize>,
    /// Whether they are compressed. Of text only digits are changed: a letter in the other case may mean the same.
    pub packed: bool,
}

/// Where rows lie in a file of a dump.
pub fn rows(path: &Path, content: &[u8]) -> Rows {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    if content.starts_with(MAGIC) {
        let toc = Toc::read(content);
        return toc.map_or(Rows { places: Vec::new(), packed: false }, |toc| of_archive(&toc, content));
    }
    match ending.as_ref() {
        // Beside its ends, where a stream says what nobody minds.
        "gz" | "lz4" | "zst" => {
            Rows { places: (content.len() / 4..content.len() / 4 * 3).collect(), packed: true }
        }
        "sql" => text(content, of_sql(content)),
        "tar" => text(content, of_tar(content)),
        _ => text(content, Some(0..content.len())),
    }
}

/// The digits of text.
fn text(content: &[u8], ranges: impl IntoIterator<Item = Range<usize>>) -> Rows {
    let digit = |at: &usize| content.get(*at).is_some_and(u8::is_ascii_digit);
    Rows { places: ranges.into_iter().flatten().filter(digit).collect(), packed: false }
}

/// What stands between COPY and its end.
fn of_sql(content: &[u8]) -> Vec<Range<usize>> {
    let (mut ranges, mut at, mut data) = (Vec::new(), 0, false);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if data {
            data = text != b"\\.";
            if data {
                ranges.push(at..at + line.len());
            }
        } else {
            data = text.starts_with(b"COPY ") && text.ends_with(b" FROM stdin;");
        }
        at += line.len();
    }
    ranges
}

/// The members with the rows of a table.
fn of_tar(content: &[u8]) -> Vec<Range<usize>> {
    let mut archive = tar::Archive::new(Cursor::new(content));
    let Ok(entries) = archive.entries() else { return Vec::new() };
    let of_a_table = |entry: &tar::Entry<'_, Cursor<&[u8]>>| {
        let name = entry.path_bytes();
        name.ends_with(b".dat") && name.as_ref() != b"toc.dat"
    };
    let range = |entry: tar::Entry<'_, Cursor<&[u8]>>| {
        let from = entry.raw_file_position() as usize;
        from..from.saturating_add(entry.size() as usize).min(content.len())
    };
    entries.flatten().filter(of_a_table).map(range).collect()
}

/// The rows in an archive in one file: its table of contents says where each table's begin, and they come in pieces.
fn of_archive(toc: &Toc, content: &[u8]) -> Rows {
    let packed = toc.compression != "none";
    // A head that can be read has no integers of more than eight bytes.
    let size = usize::from(content.get(MAGIC.len() + 3).copied().unwrap_or(0));
    let mut ranges = Vec::new();
    for entry in &toc.entries {
        let Data::At(position) = entry.data else { continue };
        ranges.extend(pieces(content, position as usize, size).unwrap_or_default());
    }
    if packed {
        // The ends of a stream are left out: padding in its last byte says nothing.
        let inner = ranges.into_iter().filter(|range| range.len() > 32);
        return Rows { places: inner.flat_map(|range| range.start + 8..range.end - 12).collect(), packed };
    }
    text(content, ranges)
}

/// The pieces of the rows that begin at a position; none where no rows of a table do.
fn pieces(content: &[u8], position: usize, size: usize) -> Option<Vec<Range<usize>>> {
    let mut rest = Cursor::new(content.get(position..)?);
    let mut kind = [0];
    rest.read_exact(&mut kind).ok()?;
    if kind != [BLOCK_OF_ROWS] {
        return None;
    }
    // The entry whose rows they are.
    integer(&mut rest, size, true).ok()?;
    let mut pieces = Vec::new();
    loop {
        let length = usize::try_from(integer(&mut rest, size, true).ok()?).ok()?;
        if length == 0 {
            return Some(pieces);
        }
        let from = position + rest.position() as usize;
        let to = from.checked_add(length).filter(|to| *to <= content.len())?;
        pieces.push(from..to);
        rest.set_position((to - position) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_sql_are_what_is_copied() {
        let sql = b"SELECT 12;\nCOPY t FROM stdin;\n1\ta7\n\\.\nSELECT 3;\n";
        let rows = rows(Path::new("d.sql"), sql);
        let digits: Vec<u8> = rows.places.iter().map(|at| sql[*at]).collect();
        assert_eq!((digits.as_slice(), rows.packed), (b"17".as_slice(), false));
    }

    #[test]
    fn rows_of_an_archive_come_in_pieces() {
        let mut content = vec![0xFF; 4];
        content.extend([1, 0, 7, 0, 0, 0]);
        content.extend([0, 3, 0, 0, 0, b'a', b'b', b'c', 0, 1, 0, 0, 0, b'd', 0, 0, 0, 0, 0]);
        assert_eq!(pieces(&content, 4, 4), Some(vec![15..18, 23..24]));
        assert_eq!(pieces(&content[..20], 4, 4), None);
        assert_eq!(pieces(&content, 5, 4), None);
    }
}
