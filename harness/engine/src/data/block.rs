//! One block of the trading data: a thousand orders with their users, strategies and positions.
//!
//! A block depends on the seed and its own number alone. Its positions are the sums of the fills of its own orders,
//! because a strategy belongs to one block; so `"Position"` equals the sum of fills of `"Order"` at every size, and
//! no size needs more memory than one block.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Orders in a full block.
pub const ORDERS_PER_BLOCK: u64 = 1_000;

const USERS_PER_BLOCK: usize = 5;
const STRATEGIES_PER_BLOCK: usize = 10;

/// What is traded, and about what it costs in units of 1e-8.
const SYMBOLS: [(&str, i64); 8] = [
    ("BTC-USD", 6_850_000_000_000),
    ("ETH-USD", 355_000_000_000),
    ("SOL-USD", 14_800_000_000),
    ("LTC-USD", 8_400_000_000),
    ("AVAX-USD", 3_650_000_000),
    ("XRP-USD", 52_000_000),
    ("ADA-USD", 46_000_000),
    ("DOGE-USD", 12_500_000),
];

/// 2026-01-01T00:00:00Z in milliseconds since 1970.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// Average time between two orders.
const ORDER_EVERY_MS: i64 = 137;

/// A decimal number: `mantissa` times ten to the power of minus `scale`; the scale is what PostgreSQL displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// All digits, as one whole number.
    pub mantissa: i128,
    /// Digits after the point.
    pub scale: u16,
}

/// A row of `"User"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Primary key.
    pub id: String,
    /// Unique.
    pub email: String,
    /// Display name; some have none.
    pub name: Option<String>,
    /// Whether the account is in use.
    pub active: bool,
    /// Milliseconds since 1970.
    pub created_ms: i64,
}

/// A row of `"Strategy"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Primary key.
    pub id: String,
    /// Index of its user within the block.
    pub user: usize,
    /// Display name.
    pub name: String,
    /// JSON; now and then too long for a page, so that it is stored out of line.
    pub config: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
}

/// A row of `"Order"`, with what its row of `"AuditLog"` needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Primary key, from 1 without gaps.
    pub id: u64,
    /// Unique.
    pub client_order_id: [u8; 16],
    /// Index of its strategy within the block.
    pub strategy: usize,
    /// Index into the symbols.
    pub symbol: usize,
    /// Whether it buys or sells.
    pub buys: bool,
    /// `MARKET`, `LIMIT` or `STOP`.
    pub kind: &'static str,
    /// `NEW`, `PARTIALLY_FILLED`, `FILLED`, `CANCELED` or `REJECTED`.
    pub status: &'static str,
    /// What was ordered.
    pub quantity: Decimal,
    /// The limit; market orders have none.
    pub price: Option<Decimal>,
    /// What was traded.
    pub filled: Decimal,
    /// At which price; none where nothing was traded.
    pub fill_price: Option<Decimal>,
    /// What it cost.
    pub fee: Decimal,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970.
    pub updated_ms: i64,
}

/// A row of `"Position"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Primary key.
    pub id: u64,
    /// Index of its strategy within the block.
    pub strategy: usize,
    /// Index into the symbols.
    pub symbol: usize,
    /// Sum of fills, sells negative.
    pub quantity: Decimal,
    /// Sum of fills times fill prices, sells negative.
    pub notional: Decimal,
    /// Milliseconds since 1970.
    pub updated_ms: i64,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Users.
    pub users: Vec<User>,
    /// Strategies.
    pub strategies: Vec<Strategy>,
    /// Orders, by id.
    pub orders: Vec<Order>,
    /// Positions, by strategy and symbol.
    pub positions: Vec<Position>,
}

/// How many blocks hold `orders` orders.
pub fn blocks(orders: u64) -> u64 {
    orders.div_ceil(ORDERS_PER_BLOCK)
}

/// The symbol's text by its index.
pub fn symbol(index: usize) -> &'static str {
    SYMBOLS[index].0
}

/// How much of a block is needed; each holds what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Users and strategies.
    Owners,
    /// Their orders.
    Orders,
    /// The positions that follow from the orders.
    Positions,
}

/// Makes block `number` (from 0) of data with `orders` orders in all, as far as `part` goes.
pub fn make(seed: u64, number: u64, orders: u64, part: Part) -> Block {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    // Streams of one seed are independent of each other: one for each block.
    chance.set_stream(number + 1);
    let first_order = number * ORDERS_PER_BLOCK;
    let count =
        if part < Part::Orders { 0 } else { ORDERS_PER_BLOCK.min(orders.saturating_sub(first_order)) };
    let block_ms = EPOCH_MS + (first_order as i64) * ORDER_EVERY_MS;
    let users: Vec<User> =
        (0..USERS_PER_BLOCK).map(|i| make_user(&mut chance, number, i, block_ms)).collect();
    let strategies: Vec<Strategy> =
        (0..STRATEGIES_PER_BLOCK).map(|i| make_strategy(&mut chance, number, i, block_ms)).collect();
    let orders: Vec<Order> = (0..count).map(|i| make_order(&mut chance, first_order + i)).collect();
    let positions = if part < Part::Positions { Vec::new() } else { positions_of(&orders, number) };
    Block { users, strategies, orders, positions }
}

/// A random text id such as Prisma's `cuid()` makes.
fn text_id(chance: &mut ChaCha8Rng) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut id = String::with_capacity(25);
    id.push('c');
    let mut bits = 0_u64;
    for place in 0..24 {
        if place % 12 == 0 {
            bits = chance.next_u64();
        }
        id.push(char::from(DIGITS[(bits % 36) as usize]));
        bits /= 36;
    }
    id
}

fn make_user(chance: &mut ChaCha8Rng, block: u64, index: usize, block_ms: i64) -> User {
    let number = block * USERS_PER_BLOCK as u64 + index as u64 + 1;
    User {
        id: text_id(chance),
        email: format!("trader{number}@example.com"),
        name: chance.random_ratio(7, 8).then(|| format!("Trader Nº {number}")),
        active: chance.random_ratio(31, 32),
        created_ms: block_ms - chance.random_range(86_400_000..864_000_000_i64),
    }
}

fn make_strategy(chance: &mut ChaCha8Rng, block: u64, index: usize, block_ms: i64) -> Strategy {
    let number = block * STRATEGIES_PER_BLOCK as u64 + index as u64 + 1;
    let mut config = format!(
        "{{\"leverage\": {}.0, \"maxDrawdown\": 0.{:02}0, \"window\": {}",
        chance.random_range(1..=5_u8),
        chance.random_range(5..50_u8),
        chance.random_range(10..500_u16)
    );
    if number.is_multiple_of(50) {
        // A model that does not compress: stored out of line.
        config.push_str(", \"model\": \"");
        for _ in 0..400 {
            config.push_str(&format!("{:016x}", chance.next_u64()));
        }
        config.push('"');
    }
    config.push('}');
    Strategy {
        id: text_id(chance),
        user: index % USERS_PER_BLOCK,
        name: format!("strategy {number}"),
        config,
        created_ms: block_ms - chance.random_range(0..86_400_000_i64),
    }
}

fn make_order(chance: &mut ChaCha8Rng, index: u64) -> Order {
    let symbol = chance.random_range(0..SYMBOLS.len());
    let around = SYMBOLS[symbol].1;
    let price = |chance: &mut ChaCha8Rng| Decimal {
        mantissa: i128::from(around + around / 1_000 * chance.random_range(-40..=40_i64) / 10),
        scale: 8,
    };
    let scale = chance.random_range(0..=4_u16);
    let quantity = Decimal { mantissa: i128::from(chance.random_range(1..=20_000_u32)), scale };
    let kind = ["MARKET", "LIMIT", "LIMIT", "LIMIT", "STOP"][chance.random_range(0..5_usize)];
    let status = match chance.random_range(0..20_u8) {
        0 => "NEW",
        1..=2 => "PARTIALLY_FILLED",
        3..=4 => "CANCELED",
        5 => "REJECTED",
        _ => "FILLED",
    };
    let filled = match status {
        "FILLED" => quantity,
        "PARTIALLY_FILLED" => Decimal { mantissa: quantity.mantissa / 2, scale },
        _ => Decimal { mantissa: 0, scale: 0 },
    };
    let traded = filled.mantissa > 0;
    let limit = (kind != "MARKET").then(|| price(chance));
    let fill_price = traded.then(|| price(chance));
    let mut client_order_id = [0; 16];
    chance.fill_bytes(&mut client_order_id);
    // The bits that make it a version 4 UUID (RFC 9562, section 5.4).
    client_order_id[6] = client_order_id[6] & 0x0F | 0x40;
    client_order_id[8] = client_order_id[8] & 0x3F | 0x80;
    let created_ms = EPOCH_MS + (index as i64) * ORDER_EVERY_MS + chance.random_range(0..ORDER_EVERY_MS);
    Order {
        id: index + 1,
        client_order_id,
        strategy: chance.random_range(0..STRATEGIES_PER_BLOCK),
        symbol,
        buys: chance.random_ratio(11, 20),
        kind,
        status,
        quantity,
        price: limit,
        filled,
        fill_price,
        fee: Decimal {
            mantissa: if traded { i128::from(chance.random_range(1..5_000_000_u32)) } else { 0 },
            scale: 8,
        },
        created_ms,
        updated_ms: created_ms + if traded { chance.random_range(1..5_000_i64) } else { 0 },
    }
}

fn positions_of(orders: &[Order], block: u64) -> Vec<Position> {
    // Fills have at most 4 digits after the point, prices 8.
    const QUANTITY_SCALE: u16 = 4;
    const NOTIONAL_SCALE: u16 = 12;
    let mut sums = vec![(0_i128, 0_i128, 0_i64); STRATEGIES_PER_BLOCK * SYMBOLS.len()];
    for order in orders {
        let Some(price) = order.fill_price else { continue };
        let widened = order.filled.mantissa * 10_i128.pow(u32::from(QUANTITY_SCALE - order.filled.scale));
        let signed = if order.buys { widened } else { -widened };
        let sum = &mut sums[order.strategy * SYMBOLS.len() + order.symbol];
        sum.0 += signed;
        sum.1 += signed * price.mantissa;
        sum.2 = sum.2.max(order.updated_ms);
    }
    let slots = sums.len() as u64;
    sums.into_iter()
        .enumerate()
        .filter(|(_, sum)| sum.2 > 0)
        .map(|(slot, (quantity, notional, updated_ms))| Position {
            id: block * slots + slot as u64 + 1,
            strategy: slot / SYMBOLS.len(),
            symbol: slot % SYMBOLS.len(),
            quantity: Decimal { mantissa: quantity, scale: QUANTITY_SCALE },
            notional: Decimal { mantissa: notional, scale: NOTIONAL_SCALE },
            updated_ms,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_depends_on_seed_and_number_alone() {
        assert_eq!(make(42, 3, 10_000, Part::Positions), make(42, 3, 4_000, Part::Positions));
        assert_ne!(make(42, 3, 10_000, Part::Positions), make(43, 3, 10_000, Part::Positions));
        assert_ne!(
            make(42, 3, 10_000, Part::Positions).orders[0].client_order_id,
            make(42, 4, 10_000, Part::Positions).orders[0].client_order_id
        );
    }

    #[test]
    fn a_part_of_a_block_is_the_same_as_in_the_whole() {
        let whole = make(42, 3, 10_000, Part::Positions);
        assert_eq!(make(42, 3, 10_000, Part::Owners).strategies, whole.strategies);
        assert_eq!(make(42, 3, 10_000, Part::Orders).orders, whole.orders);
    }

    #[test]
    fn the_last_block_is_cut_to_the_size_that_was_asked_for() {
        assert_eq!(blocks(2_500), 3);
        assert_eq!(make(42, 2, 2_500, Part::Positions).orders.len(), 500);
        assert_eq!(make(42, 2, 2_500, Part::Positions).orders.last().unwrap().id, 2_500);
    }

    #[test]
    fn positions_are_the_sums_of_their_fills() {
        let block = make(42, 0, 1_000, Part::Positions);
        for position in &block.positions {
            let fills: i128 = block
                .orders
                .iter()
                .filter(|order| (order.strategy, order.symbol) == (position.strategy, position.symbol))
                .map(|order| {
                    let scaled = order.filled.mantissa * 10_i128.pow(u32::from(4 - order.filled.scale));
                    if order.buys { scaled } else { -scaled }
                })
                .sum();
            assert_eq!(fills, position.quantity.mantissa);
        }
        assert!(block.positions.len() > 40);
    }

    #[test]
    fn text_ids_do_not_repeat() {
        let mut ids: Vec<String> = (0..200)
            .flat_map(|n| make(42, n, 200_000, Part::Positions).strategies.into_iter().map(|s| s.id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2_000);
    }
}
