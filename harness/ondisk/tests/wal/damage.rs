//! Whatever is done to the bytes: reading ends, in good time, and tells where and why.

use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::{End, Lineage, Reason, Record, Walker};
use proptest::prelude::{ProptestConfig, any, proptest};

use crate::archive::{Archive, SIZE, archive, walk};

/// The archive of one timeline with something done to its bytes: where reading ends, and how many records come before.
fn damaged(major: u32, change: impl FnOnce(&mut Archive)) -> (End, usize) {
    let mut archive = archive(major);
    let (lineage, begin) = (Lineage::single(1), archive.begin(1));
    change(&mut archive);
    let mut count = 0;
    match Walker::find(archive, lineage, begin) {
        Err(end) => (end, 0),
        Ok(mut walker) => {
            let end = walk(&mut walker, |_| count += 1);
            (end, count)
        }
    }
}

/// The second segment that begins with a record of its own.
fn fresh(archive: &Archive) -> (u32, u64) {
    let mut fresh = archive.segments.iter().filter(|(key, bytes)| key.0 == 1 && bytes[2] & 1 == 0);
    *fresh.nth(1).unwrap().0
}

fn second(archive: &mut Archive) -> &mut Vec<u8> {
    let key = fresh(archive);
    archive.segments.get_mut(&key).unwrap()
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let number = fresh(&archive(15));
    let name = segment::name(1, number.1 * u64::from(SIZE), SIZE.into());
    let case = |change: &dyn Fn(&mut Archive)| {
        let (end, count) = damaged(15, change);
        assert!(count > 0, "{end}");
        assert_eq!(end.segment, name, "{end}");
        assert!(!end.is_clean(), "{end}");
        end
    };
    let missing = damaged(15, |archive| {
        archive.segments.remove(&number);
    });
    assert_eq!(
        (missing.0.segment.as_str(), missing.0.reason),
        (name.as_str(), Reason::Missing { instead: None })
    );
    let short = case(&|archive| second(archive).truncate(1 << 19));
    assert_eq!(short.reason, Reason::FileSize { bytes: 1 << 19, expected: 1 << 20 });
    let said = short.postgres_says().unwrap();
    assert_eq!(said, format!("archive file \"{name}\" has wrong size: 524288 instead of 1048576"));
    let end = case(&|archive| second(archive)[0] ^= 1);
    assert_eq!((end.reason, end.offset), (Reason::Magic { found: 0xD111 }, 0));
    let end = case(&|archive| second(archive)[8192] = 0);
    assert_eq!((end.reason, end.offset), (Reason::Magic { found: 0xD100 }, 8192));
    let end = case(&|archive| second(archive)[2] = 0x45);
    assert!(matches!(end.reason, Reason::PageFlags { .. }), "{end}");
    let end = case(&|archive| second(archive)[2] = 0);
    assert!(matches!(end.reason, Reason::PageFlags { .. }), "{end}");
    let end = case(&|archive| second(archive)[10] ^= 1);
    assert!(matches!(end.reason, Reason::PageAddress { .. }), "{end}");
    let end = case(&|archive| second(archive)[24] ^= 1);
    assert!(matches!(end.reason, Reason::System { .. }), "{end}");
    let end = case(&|archive| second(archive)[34] ^= 1);
    assert!(matches!(end.reason, Reason::Layout { .. }), "{end}");
    let end = case(&|archive| second(archive)[4] = 7);
    assert_eq!(end.reason, Reason::TimelineForeign { found: 7 });
    let end = case(&|archive| second(archive)[4] = 0);
    assert_eq!(end.reason, Reason::TimelineBackwards { found: 0, after: 1 });
    let end = case(&|archive| second(archive).fill(0));
    assert_eq!(end.reason, Reason::Zeros { to_the_end: true });
    assert!(!end.cuts_a_record);
    // The first record of the segment, behind the long header.
    let end = case(&|archive| second(archive)[40..44].copy_from_slice(&23_u32.to_le_bytes()));
    assert_eq!((end.reason, end.offset), (Reason::Length { found: 23 }, 40));
    let end = case(&|archive| second(archive)[40..64].fill(0));
    assert_eq!(end.reason, Reason::Zeros { to_the_end: false });
    let end = case(&|archive| second(archive)[57] = 99);
    assert_eq!(end.reason, Reason::ResourceManager { found: 99 });
    let end = case(&|archive| second(archive)[48] ^= 8);
    assert!(matches!(end.reason, Reason::PrevLink { expected: Some(_), .. }), "{end}");
    let end = case(&|archive| second(archive)[64] ^= 1);
    assert!(matches!(end.reason, Reason::Checksum { .. }), "{end}");
    assert!(end.to_string().contains("a record is damaged: its CRC is "), "{end}");
}

/// A segment that begins within a record.
#[test]
fn a_record_that_is_cut_off_is_told() {
    let mut segments: Vec<(u32, u64)> = archive(15).segments.into_keys().filter(|(of, _)| *of == 1).collect();
    let reader = archive(15);
    segments.retain(|key| reader.segments[key][2] & 1 == 1);
    let inside = segments[0];
    let of = |change: &dyn Fn(&mut Vec<u8>)| {
        let (end, count) = damaged(15, |archive| change(archive.segments.get_mut(&inside).unwrap()));
        assert!(count > 0 && end.cuts_a_record && !end.is_clean(), "{end}");
        assert!(end.lsn < end.at);
        end.reason
    };
    assert_eq!(of(&|bytes| bytes[2] &= !1), Reason::NoContinuation);
    assert!(matches!(of(&|bytes| bytes[16] ^= 1), Reason::ContinuationLength { .. }));
    assert_eq!(of(&|bytes| bytes.fill(0)), Reason::Zeros { to_the_end: true });
    let (end, _) = damaged(15, |archive| {
        archive.segments.remove(&inside);
    });
    assert!(end.cuts_a_record && !end.is_clean(), "{end}");
}

/// One segment with the records of real ones, in which each byte belongs to a record, a header or the padding.
#[test]
fn every_bit_of_a_record_counts() {
    let whole = archive(15);
    let mut spans = Vec::new();
    walk(&mut whole.clone().walker(1), |record| spans.push((record.start, record.length())));
    let (lineage, begin) = (Lineage::single(1), whole.begin(1));
    let mut bits = 0;
    // Those that do not cross pages: their bytes lie together.
    let records =
        spans.iter().enumerate().filter(|(_, (start, length))| start % 8192 + u64::from(*length) <= 8192);
    for (index, (start, length)) in records.step_by(11) {
        for at in (0..*length).step_by(7) {
            let mut changed = whole.clone();
            let position = start + u64::from(at);
            let segment = changed.segments.get_mut(&(1, position / u64::from(SIZE))).unwrap();
            segment[(position % u64::from(SIZE)) as usize] ^= 1 << (at % 8);
            let mut count = 0;
            match Walker::find(changed, lineage.clone(), begin) {
                Ok(mut walker) => {
                    let end = walk(&mut walker, |_| count += 1);
                    assert_eq!(count, index, "{end}");
                }
                Err(_) => assert_eq!(index, 0),
            }
            bits += 1;
        }
    }
    assert!(bits > 500, "{bits}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is done to the bytes: reading ends, and never by itself.
    #[test]
    fn no_damage_makes_it_loop_or_panic(
        changes in proptest::collection::vec((0..6_usize, any::<u32>(), any::<u64>(), 0..64_usize), 1..8),
        from in any::<u32>(),
    ) {
        thread_local! {
            static WHOLE: Archive = archive(17);
        }
        let mut archive = WHOLE.with(Clone::clone);
        let begin = archive.begin(1);
        for (segment, at, value, length) in changes {
            let bytes = archive.segments.values_mut().nth(segment).unwrap();
            // Half of it hits page headers, where the most depends on each byte.
            let at = if at % 2 == 0 { at as usize % 128 * 8192 + at as usize / 256 % 48 } else { at as usize % (bytes.len() - 64) };
            for byte in &mut bytes[at..at + length] {
                *byte = byte.wrapping_add(value as u8) ^ (value >> 8) as u8;
            }
        }
        let lineage = archive.lineage(2);
        let mut last = 0;
        let mut each = |record: &Record<'_>| {
            assert!(record.start >= last && record.end > record.start);
            last = record.end;
            let _ = (record.content().is_ok(), record.blocks().is_ok());
        };
        let _ = Walker::find(archive.clone(), lineage.clone(), begin).map(|mut walker| walk(&mut walker, &mut each));
        last = 0;
        let mut each = |record: &Record<'_>| {
            assert!(record.start >= last && record.end > record.start);
            last = record.end;
        };
        let _ = Walker::find(archive, lineage, begin + u64::from(from) % (5 << 20)).map(|mut walker| walk(&mut walker, &mut each));
    }
}
