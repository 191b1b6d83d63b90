//! The head and the table of contents of a dump, and the comments of one in SQL ([`pgdrill_repository::dump`]).

use std::cell::Cell;
use std::io::{self, Read};

use pgdrill_repository::dump::{Comments, Invalid, Toc};

use crate::again::again;
use crate::chance::Chance;
use crate::pieces::Pieces;

/// Bytes of the longest message.
const LONGEST_MESSAGE: usize = 300;

/// Bytes of the shortest entry: two numbers, twelve texts that are not there, and where its data lie, each of two bytes.
const SHORTEST_ENTRY: u64 = 30;

/// A dump: bytes of any length. `ReadHead` and `ReadToc`, `src/bin/pg_dump/pg_backup_archiver.c`.
///
/// # Panics
///
/// Where more is told than the bytes hold, reading in pieces gives something else, or what is cut off is taken for whole.
pub fn dump(bytes: &[u8]) {
    let read = again(|| Toc::read(bytes).map_err(|invalid| invalid.to_string()));
    let in_pieces = Toc::read(Pieces::of(bytes, 7)).map_err(|invalid| invalid.to_string());
    assert_eq!(in_pieces, read, "in pieces it is something else");
    match read {
        Ok(toc) => whole(&toc, bytes),
        Err(message) => assert!(message.len() <= LONGEST_MESSAGE, "{message}"),
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(comments) = again(|| Comments::read(&text)) {
        let told = [&comments.server_version, &comments.dump_version, &comments.started, &comments.encoding];
        assert!(told.into_iter().flatten().map(String::len).sum::<usize>() <= text.len(), "{comments:?}");
        comments.ends(&text);
    }
}

fn whole(toc: &Toc, bytes: &[u8]) {
    assert!(toc.entries.len() as u64 <= toc.count);
    assert!(
        toc.count * SHORTEST_ENTRY <= bytes.len() as u64,
        "{} entries in {} bytes",
        toc.count,
        bytes.len()
    );
    // A byte that is no text becomes a character of three.
    let texts = toc.entries.iter().map(|entry| entry.kind.len() + entry.tag.len());
    assert!(texts.sum::<usize>() <= 3 * bytes.len(), "more text than there is");
    let read = Cell::new(0);
    let counted = Counted { bytes, read: &read };
    assert!(Toc::read(counted).as_ref().is_ok_and(|again| again == toc));
    let cut = Chance::of(bytes).below(read.get());
    let short = Toc::read(&bytes[..cut]);
    assert!(
        matches!(short, Err(Invalid::CutOff)),
        "{cut} of the {} bytes that it takes: {short:?}",
        read.get()
    );
}

/// Bytes of which it is known how many were read.
struct Counted<'a> {
    bytes: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = (&self.bytes[self.read.get()..]).read(into)?;
        self.read.set(self.read.get() + read);
        Ok(read)
    }
}
