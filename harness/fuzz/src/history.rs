//! Timeline history files ([`pgdrill_ondisk::history`]), and the lineage that they tell
//! ([`pgdrill_ondisk::wal::Lineage`]).

use pgdrill_ondisk::history::{self, Ancestor};
use pgdrill_ondisk::wal::{Lineage, lsn};

use crate::again::again;
use crate::chance::Chance;

/// Bytes of the shortest line that names an ancestor: `1 0/0`.
const SHORTEST: usize = 5;

/// Bytes per WAL segment, where a lineage is asked for files.
const SEGMENT: u64 = 16 << 20;

/// A timeline history file: bytes of any length, of which what is no UTF-8 is replaced. `readTimeLineHistory`,
/// `src/backend/access/transam/timeline.c`.
///
/// # Panics
///
/// Where timelines do not ascend, a position is not what the text says, a line that is refused is not there, or what
/// was read and is written again is read differently.
pub fn history(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = again(|| history::read(&text));
    let ancestors = match read {
        Ok(ancestors) => ancestors,
        Err(error) => {
            let line = error.what.strip_prefix("line ").and_then(|what| what.split_once(':')?.0.parse().ok());
            let lines = text.lines().count();
            assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{error}, of {lines}");
            return;
        }
    };
    assert!(ancestors.is_sorted_by(|before, after| before.timeline < after.timeline), "{ancestors:?}");
    assert!(ancestors.len() * SHORTEST <= text.len(), "more ancestors than lines");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (line, ancestor) in lines.zip(&ancestors) {
        let word = line.split_whitespace().nth(1).unwrap_or_default();
        assert!(is_position(word, ancestor.switched_at), "{word} is not {}", lsn(ancestor.switched_at));
    }
    let written: String = ancestors
        .iter()
        .map(|of| format!("{}\t{}\tno recovery target specified\n", of.timeline, lsn(of.switched_at)))
        .collect();
    assert_eq!(history::read(&written).as_ref(), Ok(&ancestors), "not what was written");
    assert_eq!(history::read(&written.replace('\n', "\r\n\n# \n")).as_ref(), Ok(&ancestors));
    if let Some(newest) = ancestors.last().map_or(Some(1), |last| last.timeline.checked_add(1)) {
        lineage(newest, &ancestors, &mut Chance::of(bytes));
    }
}

/// Whether a text says a position, but for the case of its digits and for zeros before them.
pub fn is_position(text: &str, position: u64) -> bool {
    let plain = |half: &str| half.trim_start_matches('0').to_ascii_uppercase();
    let halves = text.split_once('/').map(|(high, low)| (plain(high), plain(low)));
    let shown = lsn(position);
    halves == shown.split_once('/').map(|(high, low)| (plain(high), plain(low)))
}

fn lineage(newest: u32, ancestors: &[Ancestor], chance: &mut Chance) {
    let Ok(lineage) = Lineage::of(newest, ancestors) else {
        assert!(ancestors.is_empty(), "timelines that ascend make a lineage");
        return;
    };
    assert_eq!(lineage.timeline(), newest);
    assert_eq!(lineage.stretches().len(), ancestors.len() + 1);
    assert!(!lineage.contains(newest.wrapping_add(1)));
    for ancestor in ancestors {
        assert!(lineage.contains(ancestor.timeline));
        let left = (ancestor.switched_at != u64::MAX).then_some(ancestor.switched_at);
        assert_eq!(lineage.left_at(ancestor.timeline), left);
        if let Some(before) = ancestor.switched_at.checked_sub(1) {
            assert!(lineage.timeline_at(before).is_none_or(|timeline| lineage.contains(timeline)));
        }
        let floor = chance.below(newest as usize + 1) as u32;
        let candidates: Vec<u32> =
            lineage.candidates(ancestor.switched_at / SEGMENT, SEGMENT, floor).collect();
        assert!(candidates.is_sorted_by(|newer, older| newer > older), "{candidates:?}");
        assert!(candidates.iter().all(|timeline| *timeline >= floor && lineage.contains(*timeline)));
    }
}
