//! Barman's `backup.info`: a key and its value a line, values as Python writes them (`barman/infofile.py` of Barman).

use crate::Tablespace;

/// A description, as far as its lines go. The values are as they were written, without those that are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pairs: Vec<(String, String)>,
}

/// Why a description is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NotText,
    /// A line has no key.
    #[error("line {0} has no key and value")]
    Line(usize),
    /// It does not say how the backup ended.
    #[error("it does not say how the backup ended (status)")]
    NoStatus,
}

impl Info {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(bytes).map_err(|_| Invalid::NotText)?;
        let mut info = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(Invalid::Line(number))?;
            if value.trim() != "None" {
                info.pairs.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        // Every version writes it, and the file is written as a whole.
        if info.text("status").is_none() { Err(Invalid::NoStatus) } else { Ok(info) }
    }

    /// The value of a key; that of the last line, where several have it.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The number that a key has.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    /// The tablespaces, `[('name', OID, 'path'), ...]`. None where that is not what is written.
    pub fn tablespaces(&self) -> Option<Vec<Tablespace>> {
        match self.text("tablespaces") {
            None => Some(Vec::new()),
            Some(text) => Literal { rest: text }.tablespaces(),
        }
    }
}

/// What is left to read of a literal of Python's.
struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn take(&mut self, what: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(what)?;
        Some(())
    }

    fn next_is(&self, what: char) -> bool {
        self.rest.trim_start().starts_with(what)
    }

    fn tablespaces(mut self) -> Option<Vec<Tablespace>> {
        let mut found = Vec::new();
        self.take('[')?;
        while !self.next_is(']') {
            self.take('(')?;
            let name = self.string()?;
            self.take(',')?;
            let oid = self.number()?;
            self.take(',')?;
            let path = self.string()?;
            self.take(')')?;
            found.push(Tablespace { oid, name: Some(name), path: Some(path) });
            if !self.next_is(']') {
                self.take(',')?;
            }
        }
        self.take(']')?;
        self.rest.trim().is_empty().then_some(found)
    }

    fn number(&mut self) -> Option<u32> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..end].parse().ok()?;
        self.rest = &rest[end..];
        Some(number)
    }

    fn string(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        // Python 2 wrote its text with a letter before it.
        let rest = rest.strip_prefix('u').unwrap_or(rest);
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.rest = &rest[at + c.len_utf8()..];
                    return Some(text);
                }
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    // An escape of what cannot be shown: no path of a tablespace that anybody wants to guess.
                    _ => return None,
                },
                c => text.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn read(tablespaces: &str) -> Option<Vec<(String, u32, String)>> {
        let info = Info::read(format!("status=DONE\ntablespaces={tablespaces}\n").as_bytes()).unwrap();
        let found = info.tablespaces()?;
        Some(found.into_iter().map(|of| (of.name.unwrap(), of.oid, of.path.unwrap())).collect())
    }

    #[rstest]
    #[case("None", Some(vec![]))]
    #[case("[]", Some(vec![]))]
    #[case("[('one', 16384, '/ts/one')]", Some(vec![("one", 16384, "/ts/one")]))]
    #[case("[(u'a', 1, \"/it's\"), ('b\\'c', 2, '/x\\\\y'),]", Some(vec![("a", 1, "/it's"), ("b'c", 2, "/x\\y")]))]
    #[case("[('one', 16384, '/ts/one')", None)]
    #[case("[('one', 16384, '/ts/one')] x", None)]
    #[case("[('one', 99999999999, '/ts/one')]", None)]
    #[case("[('one', 1, '/ts/\\x41')]", None)]
    #[case("__import__('os')", None)]
    fn tablespaces(#[case] text: &str, #[case] expected: Option<Vec<(&str, u32, &str)>>) {
        let own = |list: Vec<(&str, u32, &str)>| {
            list.into_iter().map(|(name, oid, path)| (name.to_owned(), oid, path.to_owned())).collect()
        };
        assert_eq!(read(text), expected.map(own));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let read = |text: &[u8]| Info::read(text).unwrap_err();
        assert_eq!(read(b"status\n"), Invalid::Line(1));
        assert_eq!(read(b"# none\n\nmode=rsync\n"), Invalid::NoStatus);
        assert_eq!(read(b""), Invalid::NoStatus);
        assert_eq!(read(b"status=\xFF\n"), Invalid::NotText);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(bytes: Vec<u8>, literal in "[\\[\\](),'u0-9a\\\\ ]{0,40}") {
            drop(Info::read(&bytes));
            drop(read(&literal));
        }

        #[test]
        fn what_python_writes_is_read_as_it_was(name in "[a-z \"]{0,9}", oid: u32, path in "/[a-z/\u{e9} ]{0,20}") {
            let text = format!("[('{name}', {oid}, '{path}')]");
            prop_assert_eq!(read(&text), Some(vec![(name, oid, path)]));
        }
    }
}
