//! Timeline history files (`readTimeLineHistory`, `src/backend/access/transam/timeline.c`): one line per ancestor,
//! oldest first, with the position at which it was left.

use crate::{Malformed, position};

const FORMAT: &str = "timeline history";

/// One ancestor of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// The ancestor's timeline.
    pub timeline: u32,
    /// Where it was left.
    pub switched_at: u64,
}

/// Reads a history file.
///
/// # Errors
///
/// A line that is neither empty, a comment, nor `timeline position reason`; timelines that do not ascend.
pub fn read(text: &str) -> Result<Vec<Ancestor>, Malformed> {
    let mut ancestors: Vec<Ancestor> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| Malformed::new(FORMAT, format!("line {}: {what}", index + 1));
        let mut words = line.split_whitespace();
        let timeline =
            words.next().and_then(|word| word.parse().ok()).ok_or_else(|| wrong("no timeline number"))?;
        let switched_at = words.next().and_then(position).ok_or_else(|| wrong("no position"))?;
        if ancestors.last().is_some_and(|last| last.timeline >= timeline) {
            return Err(wrong("timelines must ascend"));
        }
        ancestors.push(Ancestor { timeline, switched_at });
    }
    Ok(ancestors)
}

/// A history file of these ancestors, each left for `reason`.
pub fn write(ancestors: &[Ancestor], reason: &str) -> String {
    let line = |ancestor: &Ancestor| {
        format!("{}\t{}\t{reason}\n", ancestor.timeline, crate::wal::lsn(ancestor.switched_at))
    };
    ancestors.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_oldest_first() {
        let text = "1\t0/5000110\tno recovery target specified\n\n2\t1/0\tbefore 2026-01-01\n";
        let expected = [
            Ancestor { timeline: 1, switched_at: 0x500_0110 },
            Ancestor { timeline: 2, switched_at: 0x1_0000_0000 },
        ];
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read(&write(&expected, "no recovery target specified")).unwrap(), expected);
    }

    #[test]
    fn garbage_is_told_with_its_line() {
        assert_eq!(
            read("1 0/1 x\nnonsense").unwrap_err().to_string(),
            "timeline history: line 2: no timeline number"
        );
        assert_eq!(
            read("2 0/1\n1 0/2").unwrap_err().to_string(),
            "timeline history: line 2: timelines must ascend"
        );
        assert_eq!(read("1 zzz").unwrap_err().to_string(), "timeline history: line 1: no position");
    }

    /// Read as it stands, each of them would be another position.
    #[test]
    fn a_position_of_more_than_64_bits_is_none() {
        for text in ["1 0/5000110110", "1 100000000/0", "1 +5/0", "1 5/-0"] {
            assert_eq!(
                read(text).unwrap_err().to_string(),
                "timeline history: line 1: no position",
                "{text}"
            );
        }
        assert_eq!(read("1 00000000/FFFFFFFF").unwrap()[0].switched_at, 0xFFFF_FFFF);
    }
}
