//! The commit log, `pg_xact`: two bits for each transaction (`src/backend/access/transam/clog.c`).

/// Transactions in a file: 32 pages (`SLRU_PAGES_PER_SEGMENT`) of 8192 bytes with four each.
const PER_FILE: u32 = 32 * 8192 * 4;

/// Where the end of a transaction is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, within `pg_xact`.
    pub file: String,
    /// The byte in it.
    pub byte: usize,
    /// The lower of the two bits.
    pub bit: u32,
}

impl Place {
    /// That of a transaction.
    pub fn of(xid: u32) -> Self {
        let within = xid % PER_FILE;
        Self { file: format!("{:04X}", xid / PER_FILE), byte: (within / 4) as usize, bit: within % 4 * 2 }
    }

    /// The byte without what it says of this transaction: one that was in progress when the server crashed.
    pub fn forgotten(&self, byte: u8) -> u8 {
        byte & !(0b11 << self.bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_transactions_are_in_a_byte() {
        assert_eq!(Place::of(3), Place { file: "0000".to_owned(), byte: 0, bit: 6 });
        assert_eq!(Place::of(PER_FILE + 5), Place { file: "0001".to_owned(), byte: 1, bit: 2 });
        assert_eq!(Place::of(5).forgotten(0b0101_0101), 0b0101_0001);
    }
}
