//! What a record says: its blocks, its main data, what it means for recovery, what it changes.

use pgdrill_ondisk::wal::{Change, Content, Record, Xids, rmgr};

/// Asks a record whose CRC is good for all that it can say.
///
/// # Panics
///
/// Where it says more than its bytes hold.
pub fn check(record: &Record<'_>) {
    let length = record.length() as usize;
    assert_eq!(record.bytes().len(), length);
    let known = rmgr::name(record.rmgr()).is_some();
    assert_eq!(known, record.rmgr() <= rmgr::LAST_BUILTIN);
    let (body, blocks) = (record.body(), record.blocks());
    assert_eq!(body.as_ref().err(), blocks.as_ref().err(), "read in two ways");
    if let (Ok(body), Ok(blocks)) = (&body, &blocks) {
        assert_eq!(body.blocks as usize, blocks.len());
        let of_blocks: usize = blocks
            .iter()
            .map(|block| usize::from(block.data) + block.image.map_or(0, |image| image.length.into()))
            .sum();
        assert!(24 + body.main.len() + of_blocks <= length, "more data than there is");
        assert!(record.bytes().ends_with(body.main), "the main data comes last");
    }
    if let Ok(content) = record.content() {
        content_fits(&content, length);
    }
    if let Ok(change) = record.change() {
        change_fits(&change, length);
    }
}

fn content_fits(content: &Content<'_>, length: usize) {
    let fits = |xids: &Xids<'_>| {
        assert_eq!(xids.iter().count(), xids.len());
        assert_eq!(xids.is_empty(), xids.iter().next().is_none());
        xids.len() * 4
    };
    let told = match content {
        Content::Commit(finish) | Content::Abort(finish) => {
            assert_eq!(finish.dropped.iter().count(), finish.dropped_files as usize);
            fits(&finish.subxids) + 12 * finish.dropped_files as usize + finish.gid.len()
        }
        Content::Prepare(prepare) => fits(&prepare.subxids) + prepare.gid.len(),
        Content::RestorePoint { name, .. } => {
            assert!(!name.contains(&0));
            name.len()
        }
        Content::CreateTablespace { path, .. } => {
            assert!(!path.contains(&0));
            path.len()
        }
        _ => 0,
    };
    assert!(24 + told <= length, "{content:?} of {length} bytes");
}

fn change_fits(change: &Change<'_>, length: usize) {
    match change {
        Change::Truncate { tables, .. } => assert!(24 + 4 * tables.iter().count() <= length),
        Change::Insert { rows, .. } => assert!(*rows <= u16::MAX.into()),
        _ => {}
    }
}
