//! PostgreSQL's binary COPY format (`doc/src/sgml/ref/copy.sgml`, "Binary Format"), written row by row. Values are
//! in the types' binary send formats (`src/backend/utils/adt/{numeric,timestamp,jsonb}.c`).

use crate::data::block::{Block, Decimal, Part, blocks, make, symbol};

/// Signature, flags without OIDs, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The field count that ends a stream.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// PostgreSQL counts time from 2000-01-01, Unix from 1970-01-01.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;

/// The tables of the fixture, those that are referred to before those that refer.
pub const TABLES: [Table; 5] = [Table::User, Table::Strategy, Table::Order, Table::Position, Table::AuditLog];

/// A table of the fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `"User"`
    User,
    /// `"Strategy"`
    Strategy,
    /// `"Order"`
    Order,
    /// `"Position"`
    Position,
    /// `"AuditLog"`
    AuditLog,
}

impl Table {
    /// Its name, without quotes.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Strategy => "Strategy",
            Self::Order => "Order",
            Self::Position => "Position",
            Self::AuditLog => "AuditLog",
        }
    }
}

/// The binary COPY stream of one table, in chunks of a block each.
pub struct Stream {
    table: Table,
    seed: u64,
    orders: u64,
    next_block: u64,
    started: bool,
    ended: bool,
    /// Rows in the chunks that were given out so far.
    pub rows: u64,
}

impl Stream {
    /// The stream of `table` for data of `orders` orders.
    pub fn new(table: Table, seed: u64, orders: u64) -> Self {
        Self { table, seed, orders, next_block: 0, started: false, ended: false, rows: 0 }
    }

    /// Appends the next chunk to `out`; false when the stream has ended.
    pub fn next_chunk(&mut self, out: &mut Vec<u8>) -> bool {
        if self.ended {
            return false;
        }
        if !self.started {
            self.started = true;
            out.extend_from_slice(HEADER);
        }
        if self.next_block < blocks(self.orders) {
            let part = match self.table {
                Table::User | Table::Strategy => Part::Owners,
                Table::Order | Table::AuditLog => Part::Orders,
                Table::Position => Part::Positions,
            };
            let block = make(self.seed, self.next_block, self.orders, part);
            self.next_block += 1;
            self.rows += write_rows(self.table, &block, out);
        } else {
            self.ended = true;
            out.extend_from_slice(&TRAILER);
        }
        true
    }
}

/// Writes a block's rows of one table; gives their number.
fn write_rows(table: Table, block: &Block, out: &mut Vec<u8>) -> u64 {
    match table {
        Table::User => block.users.iter().for_each(|user| {
            let mut row = Row::begin(out, 6);
            row.text(&user.id);
            row.text(&user.email);
            row.optional(user.name.as_deref(), Row::text);
            row.field(&[u8::from(user.active)]);
            row.timestamp(user.created_ms);
            row.timestamp(user.created_ms);
        }),
        Table::Strategy => block.strategies.iter().for_each(|strategy| {
            let mut row = Row::begin(out, 6);
            row.text(&strategy.id);
            row.text(&block.users[strategy.user].id);
            row.text(&strategy.name);
            row.json(&strategy.config);
            row.timestamp(strategy.created_ms);
            row.timestamp(strategy.created_ms);
        }),
        Table::Order => block.orders.iter().for_each(|order| {
            let strategy = &block.strategies[order.strategy];
            let mut row = Row::begin(out, 15);
            row.bigint(order.id);
            row.field(&order.client_order_id);
            row.text(&block.users[strategy.user].id);
            row.text(&strategy.id);
            row.text(symbol(order.symbol));
            row.text(if order.buys { "BUY" } else { "SELL" });
            row.text(order.kind);
            row.text(order.status);
            row.numeric(order.quantity);
            row.optional(order.price, Row::numeric);
            row.numeric(order.filled);
            row.optional(order.fill_price, Row::numeric);
            row.numeric(order.fee);
            row.timestamp(order.created_ms);
            row.timestamp(order.updated_ms);
        }),
        Table::Position => block.positions.iter().for_each(|position| {
            let mut row = Row::begin(out, 6);
            row.bigint(position.id);
            row.text(&block.strategies[position.strategy].id);
            row.text(symbol(position.symbol));
            row.numeric(position.quantity);
            row.numeric(position.notional);
            row.timestamp(position.updated_ms);
        }),
        Table::AuditLog => block.orders.iter().for_each(|order| {
            let strategy = &block.strategies[order.strategy];
            let mut row = Row::begin(out, 6);
            row.bigint(order.id);
            row.bigint(order.id);
            row.text(&block.users[strategy.user].id);
            row.text("ORDER_PLACED");
            row.json(&format!(
                "{{\"symbol\": \"{}\", \"side\": \"{}\", \"status\": \"{}\", \"fee\": {}.{:08}}}",
                symbol(order.symbol),
                if order.buys { "BUY" } else { "SELL" },
                order.status,
                order.fee.mantissa / 100_000_000,
                order.fee.mantissa % 100_000_000,
            ));
            row.timestamp(order.created_ms);
        }),
    }
    let rows = match table {
        Table::User => block.users.len(),
        Table::Strategy => block.strategies.len(),
        Table::Order | Table::AuditLog => block.orders.len(),
        Table::Position => block.positions.len(),
    };
    rows as u64
}

/// One row that is being written.
struct Row<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Row<'a> {
    fn begin(out: &'a mut Vec<u8>, fields: i16) -> Self {
        out.extend_from_slice(&fields.to_be_bytes());
        Self { out }
    }

    fn field(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.out.extend_from_slice(bytes);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }

    fn text(&mut self, text: &str) {
        self.field(text.as_bytes());
    }

    fn bigint(&mut self, number: u64) {
        self.field(&(number as i64).to_be_bytes());
    }

    /// Milliseconds since 1970, sent as microseconds since 2000.
    fn timestamp(&mut self, unix_ms: i64) {
        self.field(&((unix_ms - POSTGRES_EPOCH_MS) * 1_000).to_be_bytes());
    }

    /// Version 1 of jsonb's binary form is its text.
    fn json(&mut self, text: &str) {
        self.out.extend_from_slice(&(text.len() as i32 + 1).to_be_bytes());
        self.out.push(1);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Digits to the base 10 000, aligned to the decimal point, without zeros at either end (`numeric_send`).
    fn numeric(&mut self, value: Decimal) {
        const BASE: u128 = 10_000;
        let places = value.scale.div_ceil(4);
        let mut rest = value.mantissa.unsigned_abs() * 10_u128.pow(u32::from(places * 4 - value.scale));
        // Least significant digit first; an i128 has at most 10 of them.
        let mut digits = [0_i16; 12];
        let mut count = 0;
        while rest > 0 {
            digits[count] = (rest % BASE) as i16;
            rest /= BASE;
            count += 1;
        }
        let zeros = digits[..count].iter().take_while(|digit| **digit == 0).count();
        let weight = if count == 0 { 0 } else { count as i16 - 1 - places as i16 };
        let sign: u16 = if value.mantissa < 0 { 0x4000 } else { 0 };
        self.out.extend_from_slice(&((8 + 2 * (count - zeros)) as i32).to_be_bytes());
        self.out.extend_from_slice(&((count - zeros) as i16).to_be_bytes());
        self.out.extend_from_slice(&weight.to_be_bytes());
        self.out.extend_from_slice(&sign.to_be_bytes());
        self.out.extend_from_slice(&value.scale.to_be_bytes());
        for digit in digits[zeros..count].iter().rev() {
            self.out.extend_from_slice(&digit.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use sha2::{Digest, Sha256};

    fn numeric(mantissa: i128, scale: u16) -> Vec<i16> {
        let mut out = Vec::new();
        Row { out: &mut out }.numeric(Decimal { mantissa, scale });
        out[4..].chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    // ndigits, weight, sign, dscale, digits: as numeric_send gives them for these values.
    #[rstest]
    #[case(0, 0, &[0, 0, 0, 0])]
    #[case(0, 8, &[0, 0, 0, 8])]
    #[case(15, 1, &[2, 0, 0, 1, 1, 5000])]
    #[case(-150, 2, &[2, 0, 0x4000, 2, 1, 5000])]
    #[case(20_000, 0, &[1, 1, 0, 0, 2])]
    #[case(1, 8, &[1, -2, 0, 8, 1])]
    #[case(6_850_012_345_678, 8, &[4, 1, 0, 8, 6, 8500, 1234, 5678])]
    fn numbers_are_sent_as_postgresql_sends_them(
        #[case] mantissa: i128,
        #[case] scale: u16,
        #[case] sent: &[i16],
    ) {
        assert_eq!(numeric(mantissa, scale), sent);
    }

    /// The streams are frozen: a change here changes every fingerprint that anybody has written down.
    #[test]
    fn seed_42_gives_the_same_streams_for_ever() {
        let mut hash = Sha256::new();
        let mut rows = Vec::new();
        for table in TABLES {
            let mut stream = Stream::new(table, 42, 2_500);
            let mut chunk = Vec::new();
            while stream.next_chunk(&mut chunk) {
                hash.update(&chunk);
                chunk.clear();
            }
            rows.push(stream.rows);
        }
        assert_eq!(rows, [15, 30, 2_500, 240, 2_500]);
        let hex = hex::encode(hash.finalize());
        assert_eq!(hex, "a77931831b051a109fcb60386edfc54b169fe13b7abf54b4b26442ec72922fcc");
    }
}
