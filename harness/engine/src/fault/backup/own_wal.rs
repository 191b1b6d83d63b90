//! The WAL that came with a backup.

use pgdrill_model::units::Lsn;
use pgdrill_ondisk::segment;

use super::super::stored::{Stored, Trouble};

/// Paths of the segments from the backup's beginning to its end, each with what of it the backup needs.
pub(super) fn needed(stored: &Stored) -> Result<Vec<(String, std::ops::Range<usize>)>, Trouble> {
    let size = stored.segment_size;
    let (Lsn(begin), Lsn(end)) = (stored.begin, stored.end);
    let mut found = Vec::new();
    let listed = stored.backup.list()?;
    for number in begin / size..=end.saturating_sub(1) / size {
        let start = number * size;
        let path = format!("pg_wal/{}", segment::name(stored.timeline, start, size));
        if listed.contains_key(&path) {
            let within = |position: u64| (position.clamp(start, start + size) - start) as usize;
            found.push((path, within(begin)..within(end)));
        }
    }
    Ok(found)
}
