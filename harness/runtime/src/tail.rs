//! The last part of what a program prints, in memory.

/// How much of a stream is kept.
const KEPT: usize = 64 * 1024;

/// The last part of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// How many bytes there were.
    pub(crate) total: u64,
}

impl Tail {
    pub(crate) fn push(&mut self, more: &[u8]) {
        self.total += more.len() as u64;
        self.bytes.extend_from_slice(more);
        // Twice the size before anything moves, so that each byte moves about once.
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
    }

    pub(crate) fn text(&self) -> String {
        let kept = &self.bytes[self.bytes.len().saturating_sub(KEPT)..];
        let text = String::from_utf8_lossy(kept).into_owned();
        // A byte that is no UTF-8 is three bytes long when replaced.
        let cut = text.ceil_char_boundary(text.len().saturating_sub(KEPT));
        text[cut..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tail_is_kept() {
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.push(format!("{number:09}\n").as_bytes());
            assert!(tail.bytes.len() <= 2 * KEPT);
        }
        let text = tail.text();
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("000099999\n"));
        assert_eq!(tail.total, 1_000_000);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_it() {
        let mut tail = Tail::default();
        tail.push(&[0xff; KEPT]);
        tail.push(b"end");
        let text = tail.text();
        assert!(text.len() <= KEPT && text.ends_with("\u{fffd}end"));
    }
}
