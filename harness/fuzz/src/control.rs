//! `global/pg_control` ([`pgdrill_ondisk::control`]).

use pgdrill_ondisk::control::{Control, SIZE};

use crate::again::again;
use crate::chance::Chance;

/// Bytes that are looked at, whatever comes behind them: `sizeof(ControlFileData)`, rounded up to hundreds.
const LOOKED_AT: usize = 300;

/// A control file: bytes of any length. `ControlFileData`, `src/include/catalog/pg_control.h`.
///
/// # Panics
///
/// Where what is read depends on more than the bytes that the CRC covers, a changed bit is not seen, or what was read
/// and is written again is read differently.
pub fn control(bytes: &[u8]) {
    check(bytes);
    let mut mended = bytes.to_vec();
    let guarded = mend(&mut mended);
    assert_eq!(Control::read(&mended).is_ok(), guarded, "only its version and its CRC are asked for");
    check(&mended);
}

fn check(bytes: &[u8]) {
    let read = again(|| Control::read(bytes));
    let verified = again(|| Control::verify(bytes));
    let Ok(control) = &read else {
        assert_eq!(read, verified, "what cannot be read cannot be good either");
        return;
    };
    assert_eq!(Control::read(&bytes[..LOOKED_AT]), read, "something behind it counts");
    assert_eq!(Control::read(&written(control)).as_ref(), Ok(control), "not what was written");
    let majors: Vec<u32> = (0..30).filter(|major| control.is_of(*major)).collect();
    let expected: &[u32] = match control.control_version {
        1300 => &[13, 14, 15, 16],
        1700 => &[17],
        1800 => &[18],
        _ => &[],
    };
    assert!(!expected.is_empty() && majors == expected, "{majors:?} of {}", control.control_version);
    if verified.is_ok() {
        assert_eq!(read, verified);
        assert_eq!(bytes.len(), SIZE);
        assert!(control.state_name().is_some() && control.blocks_per_file > 0);
        assert!(control.block_size.is_power_of_two() && control.wal_block_size.is_power_of_two());
        assert!(control.wal_segment_size >= 1 << 20 && control.wal_segment_size.is_power_of_two());
    }
    let mut flipped = bytes.to_vec();
    let mut chance = Chance::of(bytes);
    let at = chance.below(crc_at(bytes).unwrap_or_default());
    flipped[at] ^= 1 << chance.below(8);
    assert!(Control::read(&flipped).is_err(), "a changed bit in byte {at} is not seen");
}

/// Where the CRC is, by the version; none where there is no such version, or too little of it.
fn crc_at(bytes: &[u8]) -> Option<usize> {
    let version = bytes.get(8..12).filter(|_| bytes.len() >= LOOKED_AT)?;
    match u32::from_le_bytes([version[0], version[1], version[2], version[3]]) {
        1300 | 1700 => Some(288),
        1800 => Some(292),
        _ => None,
    }
}

/// Sets the CRC right; tells whether there is one.
pub fn mend(bytes: &mut [u8]) -> bool {
    let Some(at) = crc_at(bytes) else { return false };
    let crc = crc32c::crc32c(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    true
}

/// A control file that says the same, each thing at its place in the struct.
fn written(control: &Control) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    let minima = &control.minima;
    let float = if control.float_format { 1_234_567_f64.to_bits() } else { 0 };
    let eights = [
        (0, control.system_identifier),
        (24, control.modified.cast_unsigned()),
        (32, control.checkpoint),
        (40, control.redo),
        (64, control.next_xid),
        (104, control.checkpoint_time.cast_unsigned()),
        (136, control.min_recovery_point),
        (152, control.backup_start),
        (160, control.backup_end),
        (208, float),
    ];
    let fours = [
        (8, control.control_version),
        (12, control.catalog_version),
        (16, control.state),
        (48, control.timeline),
        (52, control.previous_timeline),
        (56, control.full_page_writes.into()),
        (144, control.min_recovery_timeline),
        (168, control.backup_end_required.into()),
        (172, control.wal_level),
        (180, minima.max_connections),
        (184, minima.max_worker_processes),
        (188, minima.max_wal_senders),
        (192, minima.max_prepared_transactions),
        (196, minima.max_locks_per_transaction),
        (204, control.alignment),
        (216, control.block_size),
        (220, control.blocks_per_file),
        (224, control.wal_block_size),
        (228, control.wal_segment_size),
        (252, control.checksum_version),
    ];
    for (at, number) in eights {
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    for (at, number) in fours {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    mend(&mut bytes);
    bytes
}
