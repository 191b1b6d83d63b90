//! `global/pg_control` (`src/include/catalog/pg_control.h`, struct `ControlFileData`), control versions 1300 (13 to
//! 16), 1700 and 1800. Little-endian, 8-byte alignment.

use crate::Malformed;

const FORMAT: &str = "global/pg_control";

/// The size of the file, whatever the major (`PG_CONTROL_FILE_SIZE`).
pub const SIZE: usize = 8192;

/// The least that must be there: the file is padded to [`SIZE`], the struct is shorter.
const SMALLEST: usize = 300;

/// The states by their numbers, as `pg_controldata` prints them (`dbState`).
const STATES: [&str; 7] = [
    "starting up",
    "shut down",
    "shut down in recovery",
    "shutting down",
    "in crash recovery",
    "in archive recovery",
    "in production",
];

/// The settings of `wal_level` by their numbers, as `pg_controldata` prints them (`wal_level_str`).
const WAL_LEVELS: [&str; 3] = ["minimal", "replica", "logical"];

/// A number by which a file tells how it stores those with a fraction (`FLOATFORMAT_VALUE`).
const FLOAT_FORMAT: f64 = 1_234_567.0;

/// What a control file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Unique number of the cluster.
    pub system_identifier: u64,
    /// 1300, 1700 or 1800.
    pub control_version: u32,
    /// Version of the catalogs, which another build of the same major may not share.
    pub catalog_version: u32,
    /// The state (`DBState`), by PostgreSQL's own numbers: 1 is shut down, 6 is in production.
    pub state: u32,
    /// When the file was last written, in seconds since 1970.
    pub modified: i64,
    /// Position of the latest checkpoint's record.
    pub checkpoint: u64,
    /// Position from which its replay begins.
    pub redo: u64,
    /// Timeline of the latest checkpoint.
    pub timeline: u32,
    /// The timeline before that, where the checkpoint begins one; otherwise the same.
    pub previous_timeline: u32,
    /// When the latest checkpoint began, in seconds since 1970.
    pub checkpoint_time: i64,
    /// The next transaction at the latest checkpoint; its epoch is the upper half.
    pub next_xid: u64,
    /// Whether the WAL from the latest checkpoint on holds whole pages.
    pub full_page_writes: bool,
    /// How far a server must recover before its data is consistent; 0 unless it was recovering.
    pub min_recovery_point: u64,
    /// The timeline of that position.
    pub min_recovery_timeline: u32,
    /// Where the backup began from which a server is recovering; 0 once it is consistent.
    pub backup_start: u64,
    /// Where a backup that was taken from a standby ends.
    pub backup_end: u64,
    /// Whether the record that ends the backup must be found in the WAL.
    pub backup_end_required: bool,
    /// The setting `wal_level`, by PostgreSQL's own numbers: 0 is minimal.
    pub wal_level: u32,
    /// Settings of the primary that a server recovering from its WAL must at least have.
    pub minima: Minima,
    /// Bytes per data page.
    pub block_size: u32,
    /// Bytes per page of WAL.
    pub wal_block_size: u32,
    /// Blocks per file of a large relation.
    pub blocks_per_file: u32,
    /// Bytes per WAL segment.
    pub wal_segment_size: u32,
    /// 0 when the cluster has no page checksums.
    pub checksum_version: u32,
    /// To what a row is aligned.
    pub alignment: u32,
    /// Whether numbers with a fraction are stored as they are on every machine of today.
    pub float_format: bool,
}

/// Settings that must not be smaller on a recovering server (`CheckRequiredParameterValues`, `xlogrecovery.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minima {
    /// `max_connections`
    pub max_connections: u32,
    /// `max_worker_processes`
    pub max_worker_processes: u32,
    /// `max_wal_senders`
    pub max_wal_senders: u32,
    /// `max_prepared_transactions`
    pub max_prepared_transactions: u32,
    /// `max_locks_per_transaction`
    pub max_locks_per_transaction: u32,
}

/// Where the CRC is, which is over all before it.
fn crc_at(control_version: u32) -> Option<usize> {
    match control_version {
        1300 | 1700 => Some(288),
        // 18 has `default_char_signedness` before the nonce, which moves the CRC by its alignment.
        1800 => Some(292),
        _ => None,
    }
}

impl Control {
    /// Which bytes of a control file its CRC is over, behind the numbers of cluster and version. Nothing of what is none.
    pub fn checked(bytes: &[u8]) -> std::ops::Range<usize> {
        let version = bytes.get(8..12).map(|_| u32_at(bytes, 8));
        version.and_then(crc_at).filter(|at| *at <= bytes.len()).map_or(0..0, |at| 16..at)
    }

    /// Reads a control file and verifies its CRC.
    ///
    /// # Errors
    ///
    /// A file that is too short, of an unknown version, or whose CRC does not match.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() < SMALLEST {
            return Err(Malformed::new(
                FORMAT,
                format!("{} bytes, at least {SMALLEST} are needed", bytes.len()),
            ));
        }
        let control_version = u32_at(bytes, 8);
        let unknown = || Malformed::new(FORMAT, format!("unknown control version {control_version}"));
        let crc_at = crc_at(control_version).ok_or_else(unknown)?;
        let (stored, computed) = (u32_at(bytes, crc_at), crc32c::crc32c(&bytes[..crc_at]));
        if stored != computed {
            let what = format!("its CRC is {stored:08x}, and its content gives {computed:08x}");
            return Err(Malformed::new(FORMAT, what));
        }
        Ok(Self {
            system_identifier: u64_at(bytes, 0),
            control_version,
            catalog_version: u32_at(bytes, 12),
            state: u32_at(bytes, 16),
            modified: u64_at(bytes, 24).cast_signed(),
            checkpoint: u64_at(bytes, 32),
            redo: u64_at(bytes, 40),
            timeline: u32_at(bytes, 48),
            previous_timeline: u32_at(bytes, 52),
            full_page_writes: bytes[56] != 0,
            next_xid: u64_at(bytes, 64),
            checkpoint_time: u64_at(bytes, 104).cast_signed(),
            min_recovery_point: u64_at(bytes, 136),
            min_recovery_timeline: u32_at(bytes, 144),
            backup_start: u64_at(bytes, 152),
            backup_end: u64_at(bytes, 160),
            backup_end_required: bytes[168] != 0,
            wal_level: u32_at(bytes, 172),
            minima: Minima {
                max_connections: u32_at(bytes, 180),
                max_worker_processes: u32_at(bytes, 184),
                max_wal_senders: u32_at(bytes, 188),
                max_prepared_transactions: u32_at(bytes, 192),
                max_locks_per_transaction: u32_at(bytes, 196),
            },
            alignment: u32_at(bytes, 204),
            float_format: u64_at(bytes, 208) == FLOAT_FORMAT.to_bits(),
            block_size: u32_at(bytes, 216),
            blocks_per_file: u32_at(bytes, 220),
            wal_block_size: u32_at(bytes, 224),
            wal_segment_size: u32_at(bytes, 228),
            checksum_version: u32_at(bytes, 252),
        })
    }
}

impl Control {
    /// Reads a control file as [`Control::read`] does, and refuses what no server would start on, too: another size,
    /// a state that does not exist, another machine's format, sizes that cannot be (`ReadControlFile`,
    /// `src/backend/access/transam/xlog.c`).
    ///
    /// The size is ours: a server does not miss the padding, but it writes all of it.
    ///
    /// # Errors
    ///
    /// As [`Control::read`], and those.
    pub fn verify(bytes: &[u8]) -> Result<Self, Malformed> {
        let control = Self::read(bytes)?;
        let wrong = |what: String| Err(Malformed::new(FORMAT, what));
        let is_power_within =
            |size: u32, least: u32, most: u32| size.is_power_of_two() && (least..=most).contains(&size);
        if bytes.len() != SIZE {
            return wrong(format!("{} bytes instead of {SIZE}", bytes.len()));
        }
        if control.state_name().is_none() {
            return wrong(format!("there is no state {}", control.state));
        }
        if !control.float_format || control.alignment != 8 {
            return wrong("it was written on a machine of another kind".to_owned());
        }
        for (size, name) in [(control.block_size, "data"), (control.wal_block_size, "WAL")] {
            if !is_power_within(size, 1 << 10, 64 << 10) {
                return wrong(format!("pages of {name} cannot have {size} bytes"));
            }
        }
        if !is_power_within(control.wal_segment_size, 1 << 20, 1 << 30) {
            return wrong(format!("WAL segments cannot have {} bytes", control.wal_segment_size));
        }
        if control.blocks_per_file == 0 {
            return wrong("files of a relation cannot have 0 blocks".to_owned());
        }
        Ok(control)
    }

    /// Whether servers of this major version have control files of this version.
    pub fn is_of(&self, major: u32) -> bool {
        match major {
            13..=16 => self.control_version == 1300,
            17 => self.control_version == 1700,
            18 => self.control_version == 1800,
            _ => false,
        }
    }

    /// Whether its server was shut down in good order, so that nothing has to be replayed before it can be used.
    pub fn is_shut_down(&self) -> bool {
        matches!(self.state, 1 | 2)
    }

    /// The state, as `pg_controldata` prints it; none where it has no name for it.
    pub fn state_name(&self) -> Option<&'static str> {
        STATES.get(self.state as usize).copied()
    }

    /// The setting `wal_level`; none where it does not exist.
    pub fn wal_level_name(&self) -> Option<&'static str> {
        WAL_LEVELS.get(self.wal_level as usize).copied()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sample(version: u32, crc_at: usize) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        bytes[..8].copy_from_slice(&7_000_000_000_000_000_001_u64.to_le_bytes());
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[180..184].copy_from_slice(&100_u32.to_le_bytes());
        bytes[204..208].copy_from_slice(&8_u32.to_le_bytes());
        bytes[208..216].copy_from_slice(&1_234_567_f64.to_le_bytes());
        bytes[216..220].copy_from_slice(&8192_u32.to_le_bytes());
        bytes[220..224].copy_from_slice(&131_072_u32.to_le_bytes());
        bytes[224..228].copy_from_slice(&8192_u32.to_le_bytes());
        bytes[228..232].copy_from_slice(&(16_u32 << 20).to_le_bytes());
        bytes[252..256].copy_from_slice(&1_u32.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..crc_at]);
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[rstest]
    #[case(1300, 288)]
    #[case(1700, 288)]
    #[case(1800, 292)]
    fn all_versions_are_read(#[case] version: u32, #[case] crc_at: usize) {
        let control = Control::read(&sample(version, crc_at)).unwrap();
        assert_eq!(control.system_identifier, 7_000_000_000_000_000_001);
        assert_eq!(control.minima.max_connections, 100);
        assert_eq!(control.wal_segment_size, 16 << 20);
        assert_eq!(control.checksum_version, 1);
    }

    #[test]
    fn damage_is_told_and_never_read_past() {
        let mut flipped = sample(1300, 288);
        flipped[40] ^= 1;
        assert!(Control::read(&flipped).unwrap_err().to_string().contains("its CRC is"));
        assert!(
            Control::read(&sample(900, 288)).unwrap_err().to_string().contains("unknown control version 900")
        );
        assert!(Control::read(&[0; 20]).unwrap_err().to_string().contains("20 bytes"));
    }

    /// A good file with a change, and the CRC that goes with it.
    fn changed(at: usize, instead: u32) -> Vec<u8> {
        let mut bytes = sample(1300, 288);
        bytes[at..at + 4].copy_from_slice(&instead.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..288]);
        bytes[288..292].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[rstest]
    #[case(16, 7, "there is no state 7")]
    #[case(204, 4, "another kind")]
    #[case(212, 1, "another kind")]
    #[case(216, 0, "pages of data cannot have 0 bytes")]
    #[case(216, 8191, "pages of data cannot have 8191 bytes")]
    #[case(224, 512, "pages of WAL cannot have 512 bytes")]
    #[case(228, 2 << 30, "WAL segments cannot have 2147483648 bytes")]
    #[case(220, 0, "cannot have 0 blocks")]
    fn what_no_server_starts_on_is_refused(#[case] at: usize, #[case] instead: u32, #[case] words: &str) {
        assert!(Control::read(&changed(at, instead)).is_ok());
        let error = Control::verify(&changed(at, instead)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn the_size_is_fixed() {
        let good = sample(1300, 288);
        assert!(Control::verify(&good).is_ok());
        let error = Control::verify(&good[..8191]).unwrap_err().to_string();
        assert_eq!(error, "global/pg_control: 8191 bytes instead of 8192");
    }

    #[test]
    fn states_have_names() {
        let control = Control::read(&changed(16, 5)).unwrap();
        assert_eq!(control.state_name(), Some("in archive recovery"));
        assert_eq!(Control::read(&changed(16, 9)).unwrap().state_name(), None);
        assert_eq!(control.wal_level_name(), Some("minimal"));
    }
}
