//! `global/pg_control` (`src/include/catalog/pg_control.h`, struct `ControlFileData`), control versions 1300 (13 to
//! 16), 1700 and 1800. Little-endian, 8-byte alignment.

use crate::Malformed;

const FORMAT: &str = "global/pg_control";

/// The least that must be there: the file is padded to 8192 bytes, the struct is shorter.
const SMALLEST: usize = 300;

/// What a control file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Unique number of the cluster.
    pub system_identifier: u64,
    /// 1300, 1700 or 1800.
    pub control_version: u32,
    /// The state (`DBState`), by PostgreSQL's own numbers: 1 is shut down, 6 is in production.
    pub state: u32,
    /// Position of the latest checkpoint's record.
    pub checkpoint: u64,
    /// Position from which its replay begins.
    pub redo: u64,
    /// Timeline of the latest checkpoint.
    pub timeline: u32,
    /// Settings of the primary that a server recovering from its WAL must at least have.
    pub minima: Minima,
    /// Bytes per data page.
    pub block_size: u32,
    /// Blocks per file of a large relation.
    pub blocks_per_file: u32,
    /// Bytes per WAL segment.
    pub wal_segment_size: u32,
    /// 0 when the cluster has no page checksums.
    pub checksum_version: u32,
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

impl Control {
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
        let crc_at = match control_version {
            1300 | 1700 => 288,
            // 18 has `default_char_signedness` before the nonce, which moves the CRC by its alignment.
            1800 => 292,
            other => return Err(Malformed::new(FORMAT, format!("unknown control version {other}"))),
        };
        let (stored, computed) = (u32_at(bytes, crc_at), crc32c::crc32c(&bytes[..crc_at]));
        if stored != computed {
            let what = format!("its CRC is {stored:08x}, and its content gives {computed:08x}");
            return Err(Malformed::new(FORMAT, what));
        }
        Ok(Self {
            system_identifier: u64_at(bytes, 0),
            control_version,
            state: u32_at(bytes, 16),
            checkpoint: u64_at(bytes, 32),
            redo: u64_at(bytes, 40),
            timeline: u32_at(bytes, 48),
            minima: Minima {
                max_connections: u32_at(bytes, 180),
                max_worker_processes: u32_at(bytes, 184),
                max_wal_senders: u32_at(bytes, 188),
                max_prepared_transactions: u32_at(bytes, 192),
                max_locks_per_transaction: u32_at(bytes, 196),
            },
            block_size: u32_at(bytes, 216),
            blocks_per_file: u32_at(bytes, 220),
            wal_segment_size: u32_at(bytes, 228),
            checksum_version: u32_at(bytes, 252),
        })
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
}
