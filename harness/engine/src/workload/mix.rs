//! What the writers do, decided by chance before it is done: the same seed and writer always want the same.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::workload::identity::Tag;

/// Orders of one transaction, at most.
pub const MOST_ORDERS: u16 = 8;

/// Open orders that a writer remembers, to fill or cancel them later.
const REMEMBERED: usize = 256;

/// Bytes of a large detail: more than a page holds, so that it is stored out of line, and of a kind that cannot be
/// compressed (`src/backend/access/common/toast_internals.c`).
const LARGE: usize = 12_000;

/// What is traded.
pub const SYMBOLS: [&str; 4] = ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"];

/// How often the writers do what: weights, which need not add up to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Place 1 to 8 orders.
    pub place: u32,
    /// Fill or cancel up to three own open orders.
    pub amend: u32,
    /// Place orders and roll back.
    pub roll_back: u32,
    /// Place orders in two parts, the second in a subtransaction that is kept or rolled back.
    pub savepoint: u32,
    /// Place an order whose row in the audit log is large.
    pub large: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { place: 58, amend: 25, roll_back: 5, savepoint: 8, large: 4 }
    }
}

/// A strategy with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Primary key.
    pub id: String,
    /// The user's.
    pub owner: String,
}

/// An order to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its `"clientOrderId"`.
    pub id: String,
    /// Index of its strategy.
    pub strategy: usize,
    /// Its symbol.
    pub symbol: &'static str,
    /// Whether it buys.
    pub buys: bool,
    /// In thousandths; written with a scale of its own.
    pub quantity: u64,
    /// In hundredths.
    pub price: u64,
    /// Whether it is filled at once. If not, it stays open.
    pub filled: bool,
    /// The row in the audit log.
    pub detail: String,
}

/// A change of an open order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// Its `"clientOrderId"`.
    pub id: String,
    /// The transaction that placed it.
    pub placed_by: u64,
    /// Its status from now on.
    pub status: &'static str,
    /// What is filled from now on, in thousandths; none cancels it.
    pub filled: Option<u64>,
    /// In hundredths.
    pub price: u64,
    /// The row in the audit log.
    pub detail: String,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Orders.
    Place(Vec<Order>),
    /// Changes of own open orders.
    Amend(Vec<Amendment>),
    /// Orders, and a rollback.
    RollBack(Vec<Order>),
    /// Orders, then more in a subtransaction, which is kept or not.
    Savepoint { outer: Vec<Order>, inner: Vec<Order>, keep: bool },
    /// One order with a large row in the audit log.
    Large(Vec<Order>),
}

/// An own order that is not filled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    id: String,
    placed_by: u64,
    quantity: u64,
    filled: u64,
    price: u64,
}

/// One writer's wishes.
pub struct Chooser {
    chance: ChaCha8Rng,
    mix: Mix,
    tag: Tag,
    writer: u16,
    strategies: Arc<[Strategy]>,
    open: VecDeque<Open>,
    /// Open orders that the last plan took, and what becomes of them if it is committed.
    pending: Vec<Open>,
    taken: Vec<Open>,
}

impl Chooser {
    /// The wishes of `writer`; `strategies` must not be empty.
    pub fn new(seed: u64, mix: Mix, tag: Tag, writer: u16, strategies: Arc<[Strategy]>) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        // The blocks of the fixture have the lower streams.
        chance.set_stream(1 << 63 | u64::from(writer));
        Self {
            chance,
            mix,
            tag,
            writer,
            strategies,
            open: VecDeque::new(),
            pending: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// The next transaction.
    pub fn next(&mut self, seq: u64) -> Plan {
        let Mix { place, amend, roll_back, savepoint, large } = self.mix;
        let all = (place + amend + roll_back + savepoint + large).max(1);
        let mut at = self.chance.random_range(0..all);
        let mut within = |weight: u32| {
            let hit = at < weight;
            at = at.wrapping_sub(weight);
            hit
        };
        if within(amend) {
            if let Some(amendments) = self.amend(seq) {
                return Plan::Amend(amendments);
            }
        } else if within(roll_back) {
            let orders = self.some(MOST_ORDERS);
            let plan = Plan::RollBack(self.orders(seq, 0, orders));
            self.pending.clear();
            return plan;
        } else if within(savepoint) {
            return self.savepoint(seq);
        } else if within(large) {
            return Plan::Large(self.large(seq));
        }
        let orders = self.some(MOST_ORDERS);
        Plan::Place(self.orders(seq, 0, orders))
    }

    /// Orders that stay open, so that no position is touched: for a transaction that lasts.
    pub fn lasting(&mut self, seq: u64) -> Vec<Order> {
        let mut orders = self.orders(seq, 0, 3);
        orders.iter_mut().for_each(|order| order.filled = false);
        self.pending.clear();
        orders
    }

    /// Orders that open positions: one filled order for each pair of strategy and symbol.
    pub fn opening(&mut self, seq: u64, pairs: &[(usize, &'static str)]) -> Vec<Order> {
        let orders =
            pairs.iter().zip(0..).map(|(pair, index)| self.order(seq, index, *pair, Some(true))).collect();
        self.pending.clear();
        orders
    }

    /// The last plan is committed.
    pub fn committed(&mut self) {
        self.taken.clear();
        self.open.extend(self.pending.drain(..));
        while self.open.len() > REMEMBERED {
            self.open.pop_front();
        }
    }

    /// The last plan is not committed.
    pub fn not_committed(&mut self) {
        self.pending.clear();
        self.open.extend(self.taken.drain(..));
    }

    fn some(&mut self, most: u16) -> u16 {
        self.chance.random_range(1..=most)
    }

    fn pair(&mut self) -> (usize, &'static str) {
        let strategy = self.chance.random_range(0..self.strategies.len().max(1));
        let symbol = self.chance.random_range(0..SYMBOLS.len());
        (strategy, SYMBOLS.get(symbol).copied().unwrap_or(SYMBOLS[0]))
    }

    /// Orders for one pair, or now and then for two: writers meet in their positions.
    fn orders(&mut self, seq: u64, first: u16, count: u16) -> Vec<Order> {
        let pairs = [self.pair(), self.pair()];
        let both = self.chance.random_ratio(1, 4);
        let pair = |index: u16| pairs[usize::from(both && index % 2 == 1)];
        (first..first + count).map(|index| self.order(seq, index, pair(index), None)).collect()
    }

    fn order(&mut self, seq: u64, index: u16, pair: (usize, &'static str), filled: Option<bool>) -> Order {
        let (strategy, symbol) = pair;
        let filled = filled.unwrap_or_else(|| self.chance.random_ratio(2, 3));
        let id = self.tag.client_order_id(self.writer, seq, index);
        let (quantity, price) =
            (self.chance.random_range(1..90_000), self.chance.random_range(100..7_000_000));
        if !filled {
            self.pending.push(Open { id: id.clone(), placed_by: seq, quantity, filled: 0, price });
        }
        let detail = self.tag.detail(self.writer, seq, index, "placed");
        Order { id, strategy, symbol, buys: self.chance.random(), quantity, price, filled, detail }
    }

    /// Both parts trade one pair: the order in which positions are locked stays the same.
    fn savepoint(&mut self, seq: u64) -> Plan {
        let pair = self.pair();
        let (outer, inner) = (self.some(3), self.some(3));
        let outer = (0..outer).map(|index| self.order(seq, index, pair, None)).collect();
        let kept = self.pending.len();
        let inner = (8..8 + inner).map(|index| self.order(seq, index, pair, None)).collect();
        let keep: bool = self.chance.random();
        if !keep {
            self.pending.truncate(kept);
        }
        Plan::Savepoint { outer, inner, keep }
    }

    fn large(&mut self, seq: u64) -> Vec<Order> {
        let mut orders = self.orders(seq, 0, 1);
        let note: String = (0..LARGE / 16).map(|_| format!("{:016x}", self.chance.random::<u64>())).collect();
        for order in &mut orders {
            order.detail = self.tag.detail(self.writer, seq, 0, &note);
        }
        orders
    }

    /// Changes of up to three open orders, if there are any.
    fn amend(&mut self, seq: u64) -> Option<Vec<Amendment>> {
        let count = usize::from(self.some(3)).min(self.open.len());
        let mut amendments = Vec::new();
        for index in 0..count as u16 {
            let at = self.chance.random_range(0..self.open.len());
            let Some(open) = self.open.remove(at) else { continue };
            let left = open.quantity - open.filled;
            let detail = self.tag.detail(self.writer, seq, index, "amended");
            let (status, filled) = match self.chance.random_range(0..4_u8) {
                0 => ("CANCELED", None),
                1 if left > 1 => ("PARTIALLY_FILLED", Some(open.filled + left / 2)),
                _ => ("FILLED", Some(open.quantity)),
            };
            if let ("PARTIALLY_FILLED", Some(filled)) = (status, filled) {
                self.pending.push(Open { filled, ..open.clone() });
            }
            let (id, placed_by, price) = (open.id.clone(), open.placed_by, open.price);
            amendments.push(Amendment { id, placed_by, status, filled, price, detail });
            self.taken.push(open);
        }
        (!amendments.is_empty()).then_some(amendments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooser(seed: u64, writer: u16) -> Chooser {
        let strategies = (0..4).map(|n| Strategy { id: format!("s{n}"), owner: format!("u{n}") }).collect();
        Chooser::new(seed, Mix::default(), Tag::of("run"), writer, strategies)
    }

    fn plans(seed: u64, writer: u16) -> Vec<Plan> {
        let mut chooser = chooser(seed, writer);
        let plan = |seq| {
            let plan = chooser.next(seq);
            if matches!(plan, Plan::RollBack(_)) {
                chooser.not_committed();
            } else {
                chooser.committed();
            }
            plan
        };
        (1..500).map(plan).collect()
    }

    #[test]
    fn the_same_seed_and_writer_want_the_same() {
        assert_eq!(plans(7, 3), plans(7, 3));
        assert_ne!(plans(7, 3), plans(7, 4));
        assert_ne!(plans(7, 3), plans(8, 3));
    }

    #[test]
    fn every_kind_of_transaction_occurs_and_an_order_is_amended_only_while_it_is_open() {
        let plans = plans(1, 1);
        let mut closed = std::collections::BTreeSet::new();
        for plan in &plans {
            if let Plan::Amend(amendments) = plan {
                for one in amendments {
                    assert!(!closed.contains(&one.id), "{}", one.id);
                    if one.status != "PARTIALLY_FILLED" {
                        closed.insert(one.id.clone());
                    }
                }
            }
        }
        let count = |is: fn(&Plan) -> bool| plans.iter().filter(|plan| is(plan)).count();
        assert!(count(|plan| matches!(plan, Plan::Place(_))) > 200);
        assert!(count(|plan| matches!(plan, Plan::Amend(_))) > 80);
        assert!(count(|plan| matches!(plan, Plan::RollBack(_))) > 5);
        assert!(count(|plan| matches!(plan, Plan::Savepoint { keep: true, .. })) > 5);
        assert!(count(|plan| matches!(plan, Plan::Savepoint { keep: false, .. })) > 5);
        assert!(count(|plan| matches!(plan, Plan::Large(_))) > 5);
    }

    #[test]
    fn what_is_not_committed_leaves_the_open_orders_as_they_were() {
        let mut chooser = chooser(1, 1);
        for seq in 1..50 {
            chooser.next(seq);
            chooser.committed();
        }
        let before: std::collections::BTreeSet<String> =
            chooser.open.iter().map(|open| open.id.clone()).collect();
        for seq in 50..100 {
            chooser.next(seq);
            chooser.not_committed();
        }
        let after: std::collections::BTreeSet<String> =
            chooser.open.iter().map(|open| open.id.clone()).collect();
        assert_eq!(before, after);
    }
}
