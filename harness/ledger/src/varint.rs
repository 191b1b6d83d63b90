//! Numbers of varying length: seven bits per byte, the lowest first, as in LEB128; signed ones folded so that small
//! ones of either sign are short.

/// Appends `value`.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Reads what [`put`] wrote. Every reading gives `None` when the bytes end too early or say too much.
pub struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Reads from the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was not read yet.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number that fits into a smaller type.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    /// A signed number.
    pub fn signed(&mut self) -> Option<i64> {
        let folded = self.number()?;
        Some((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    /// A number of `width` bytes, the lowest first, the highest bit its sign.
    pub fn wide(&mut self, width: usize) -> Option<i128> {
        let bytes = self.take(width)?;
        let sign = if bytes.last()? & 0x80 == 0 { 0 } else { 0xff };
        let mut whole = [sign; 16];
        whole.get_mut(..width)?.copy_from_slice(bytes);
        Some(i128::from_le_bytes(whole))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_is_read_as_it_was_written(value: u64, signed: i64) {
            let mut out = Vec::new();
            put(&mut out, value);
            put_signed(&mut out, signed);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!((cursor.number(), cursor.signed()), (Some(value), Some(signed)));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn any_bytes_give_a_number_or_none(bytes: Vec<u8>) {
            let mut cursor = Cursor::new(&bytes);
            while cursor.number().is_some() {}
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        let mut bytes = vec![0xff; 9];
        bytes.push(0x01);
        assert_eq!(Cursor::new(&bytes).number(), Some(u64::MAX));
        bytes[9] = 0x02;
        assert_eq!(Cursor::new(&bytes).number(), None);
    }

    #[test]
    fn a_negative_number_keeps_its_sign_in_nine_bytes() {
        let value = -(1_i128 << 66);
        let bytes = value.to_le_bytes();
        assert_eq!(Cursor::new(&bytes[..9]).wide(9), Some(value));
        assert_eq!(Cursor::new(&bytes[..9]).wide(10), None);
    }
}
