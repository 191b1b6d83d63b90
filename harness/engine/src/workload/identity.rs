//! How the rows of a transaction can be told in the database: a tag of the run, the writer and the sequence number are
//! in every order's `"clientOrderId"` and in every `"AuditLog"."detail"`.

use sha2::{Digest, Sha256};

/// Bits of the sequence number that a UUID has room for, beside the two of its variant.
const SEQ_BITS: u64 = (1 << 62) - 1;

/// A run, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(u32);

impl Tag {
    /// The tag of a run: the beginning of the hash of its id.
    pub fn of(run: &str) -> Self {
        let hash = Sha256::digest(run.as_bytes());
        Self(hash.iter().take(4).fold(0, |tag, byte| tag << 8 | u32::from(*byte)))
    }

    /// As it stands in the database: eight hexadecimal digits.
    pub fn text(self) -> String {
        format!("{:08x}", self.0)
    }

    /// The `"clientOrderId"` of an order: a UUID of version 8, whose content is free (RFC 9562, 5.8). `index` is that of
    /// the order in its transaction, below 4096.
    pub fn client_order_id(self, writer: u16, seq: u64, index: u16) -> String {
        let last = 1 << 63 | seq & SEQ_BITS;
        format!(
            "{:08x}-{writer:04x}-8{:03x}-{:04x}-{:012x}",
            self.0,
            index & 0xfff,
            last >> 48,
            last & 0xffff_ffff_ffff
        )
    }

    /// The `"detail"` of a row in the audit log; `note` must need no escape in JSON.
    pub fn detail(self, writer: u16, seq: u64, index: u16, note: &str) -> String {
        format!(
            "{{\"run\": \"{:08x}\", \"writer\": {writer}, \"seq\": {seq}, \"index\": {index}, \"note\": \"{note}\"}}",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_says_who_placed_it() {
        let tag = Tag(0x0012_abcd);
        assert_eq!(tag.client_order_id(0xfe, 0x1_0000_0000_0007, 5), "0012abcd-00fe-8005-8001-000000000007");
        assert_eq!(tag.text(), "0012abcd");
        let detail: serde_json::Value = serde_json::from_str(&tag.detail(1, 2, 3, "x")).unwrap();
        assert_eq!(detail["seq"], 2);
        assert_ne!(Tag::of("a"), Tag::of("b"));
    }
}
