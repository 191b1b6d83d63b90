//! `backup_label` ([`pgdrill_ondisk::label`]), for which the history file of a backup must not be taken, which begins
//! with the same line; and `tablespace_map` ([`pgdrill_ondisk::tablespace`]).

use pgdrill_ondisk::label::Label;
use pgdrill_ondisk::tablespace;
use pgdrill_ondisk::wal::lsn;

use crate::again::again;
use crate::history::is_position;

/// The lines that must be there.
const FIRST: usize = 2;

/// A label or a map: bytes of any length. `read_backup_label` and `read_tablespace_map`,
/// `src/backend/access/transam/xlogrecovery.c`.
///
/// # Panics
///
/// Where a position or a timeline is not what the text says, a line that is refused is not there, or what was read
/// and is written again is read differently.
pub fn label(bytes: &[u8]) {
    match again(|| Label::read(bytes)) {
        Ok(label) => taken(&label, bytes),
        Err(invalid) => {
            let line = invalid.what.strip_prefix("line ").and_then(|what| what.split_once(':'));
            let number = line.map(|(number, _)| number.parse::<usize>().unwrap_or(usize::MAX));
            let lines = bytes.split_inclusive(|byte| *byte == b'\n').count().max(FIRST);
            assert!(number.is_none_or(|number| (1..=lines).contains(&number)), "{invalid}, of {lines}");
        }
    }
    map(&String::from_utf8_lossy(bytes));
}

fn taken(label: &Label, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut first = text.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value);
    let start = first.next().and_then(|value| value.split_once(' ')).unwrap_or_default().0;
    assert!(is_position(start, label.start), "{start} is not {}", lsn(label.start));
    let checkpoint = first.next().unwrap_or_default();
    assert!(is_position(checkpoint, label.checkpoint), "{checkpoint} is not {}", lsn(label.checkpoint));
    assert_eq!(label.segment.len(), 24);
    assert_eq!(label.segment[..8].to_uppercase(), format!("{:08X}", label.timeline));
    assert_eq!(Label::read(&written(label)).as_ref(), Ok(label), "not what was written");
}

/// A label that says the same, as a server writes it (`build_backup_content`,
/// `src/backend/access/transam/xlogbackup.c`).
fn written(label: &Label) -> Vec<u8> {
    let (start, checkpoint) = (lsn(label.start), lsn(label.checkpoint));
    let segment = &label.segment;
    let mut text =
        format!("START WAL LOCATION: {start} (file {segment})\nCHECKPOINT LOCATION: {checkpoint}\n");
    let rest =
        [("BACKUP METHOD", &label.method), ("BACKUP FROM", &label.from), ("START TIME", &label.start_time)];
    for (name, value) in rest {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text.push_str(&format!("START TIMELINE: {}\n", label.timeline));
    if let Some(origin) = label.incremental {
        let (start, timeline) = (lsn(origin.start), origin.timeline);
        text.push_str(&format!("INCREMENTAL FROM LSN: {start}\nINCREMENTAL FROM TLI: {timeline}\n"));
    }
    let mut bytes = text.into_bytes();
    if let Some(name) = &label.name {
        bytes.extend([b"LABEL: ", name.as_slice(), b"\n"].concat());
    }
    bytes
}

fn map(text: &str) {
    let Ok(mappings) = again(|| tablespace::read(text)) else { return };
    for mapping in &mappings {
        assert!(
            !mapping.oid.is_empty() && mapping.oid.bytes().all(|byte| byte.is_ascii_digit()),
            "{mapping:?}"
        );
        assert!(!mapping.path.is_empty(), "{mapping:?}");
    }
    assert!(mappings.iter().map(|of| of.oid.len() + of.path.len()).sum::<usize>() <= text.len());
    let escaped = tablespace::write(&mappings, true);
    assert_eq!(tablespace::read(&escaped).as_ref(), Ok(&mappings), "not what was written");
    if !mappings.iter().any(|mapping| mapping.path.contains('\\')) {
        assert_eq!(tablespace::write(&mappings, false), escaped);
    }
}
