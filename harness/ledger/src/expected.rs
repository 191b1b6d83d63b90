//! What the tables must hold, as sums over the changes of the transactions that must be there. The ledger is read a
//! second time for that, one record after the other: the changes of all transactions together would not fit into memory.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use crate::damage::Damage;
use crate::judge::{Class, Judgement};
use crate::read::Reader;
use crate::record::Record;
use crate::sums::{Change, Sums, Table};

/// What the expected transactions did to each table. The content that a table must have is what it had before the first
/// of them, and this.
pub type Tables = BTreeMap<Table, Sums>;

/// Groups of rows, each with the transaction or the run of transactions that made them: writer, first sequence number.
pub type Groups = BTreeMap<(u16, u64), Sums>;

/// Which groups to look at, and how finely. With ten million transactions nobody looks at every one at once: first at
/// runs of some thousands, then into those that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// One writer, or all.
    pub writer: Option<u16>,
    /// Sequence numbers.
    pub seqs: Range<u64>,
    /// How many sequence numbers are added up to one group; at least 1.
    pub width: u64,
}

impl Window {
    /// Every transaction, in runs of `width`.
    pub fn all(width: u64) -> Self {
        Self { writer: None, seqs: 0..u64::MAX, width: width.max(1) }
    }

    /// One run of a coarser window, transaction by transaction.
    pub fn into_run(&self, (writer, first): (u16, u64)) -> Self {
        Self { writer: Some(writer), seqs: first..first.saturating_add(self.width), width: 1 }
    }

    /// The group that a transaction's rows belong to; none if they lie outside.
    pub fn group(&self, writer: u16, seq: u64) -> Option<(u16, u64)> {
        let inside = self.seqs.contains(&seq) && self.writer.is_none_or(|one| one == writer);
        inside.then(|| (writer, seq - seq % self.width.max(1)))
    }
}

/// Adds up what all expected transactions did.
///
/// # Errors
///
/// A ledger that is damaged.
pub fn tables<R: Read>(reader: Reader<R>, judgement: &Judgement) -> Result<Tables, Damage> {
    weighed(
        reader,
        |writer, seq| if is_expected(judgement, writer, seq) { Weight::Add } else { Weight::Leave },
    )
}

/// What a transaction counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Its changes are added.
    Add,
    /// They are not looked at.
    Leave,
    /// They are taken away again.
    Remove,
}

/// Adds up what transactions did to each table, those that `weigh` says, by writer and sequence number.
///
/// # Errors
///
/// A ledger that is damaged.
pub fn weighed<R: Read>(reader: Reader<R>, weigh: impl Fn(u16, u64) -> Weight) -> Result<Tables, Damage> {
    let mut sums = [Sums::default(); Table::ALL.len()];
    each_change(reader, |writer, seq, change| {
        let Some(sum) = sums.get_mut(usize::from(change.table.number())) else { return };
        match weigh(writer, seq) {
            Weight::Add => *sum += change.sums,
            Weight::Remove => *sum -= change.sums,
            Weight::Leave => {}
        }
    })?;
    Ok(Table::ALL.into_iter().zip(sums).collect())
}

/// Adds up what transactions did to each table, sorted into `slots` slots: `slot` says the number of a transaction's, by
/// writer and sequence number, and none for one that is left out. So many recovery points cost one reading.
///
/// # Errors
///
/// A ledger that is damaged.
pub fn sorted<R: Read>(
    reader: Reader<R>,
    slots: usize,
    slot: impl Fn(u16, u64) -> Option<usize>,
) -> Result<Vec<Tables>, Damage> {
    let mut sums = vec![[Sums::default(); Table::ALL.len()]; slots];
    each_change(reader, |writer, seq, change| {
        let of = slot(writer, seq).and_then(|slot| sums.get_mut(slot));
        if let Some(sum) = of.and_then(|sums| sums.get_mut(usize::from(change.table.number()))) {
            *sum += change.sums;
        }
    })?;
    Ok(sums.into_iter().map(|sums| Table::ALL.into_iter().zip(sums).collect()).collect())
}

/// Adds up what all expected transactions did to one table, by the transactions that made the rows.
///
/// # Errors
///
/// A ledger that is damaged.
pub fn groups<R: Read>(
    reader: Reader<R>,
    judgement: &Judgement,
    table: Table,
    window: &Window,
) -> Result<Groups, Damage> {
    groups_of(reader, |writer, seq| is_expected(judgement, writer, seq), table, window)
}

/// The same for the transactions that `counts` says, by writer and sequence number.
///
/// # Errors
///
/// A ledger that is damaged.
pub fn groups_of<R: Read>(
    reader: Reader<R>,
    counts: impl Fn(u16, u64) -> bool,
    table: Table,
    window: &Window,
) -> Result<Groups, Damage> {
    let mut groups = Groups::new();
    each_change(reader, |writer, seq, change| {
        if !counts(writer, seq) {
            return;
        }
        let group = change.group.and_then(|seq| window.group(writer, seq));
        if let (Some(group), true) = (group, change.table == table) {
            *groups.entry(group).or_default() += change.sums;
        }
    })?;
    groups.retain(|_, sums| !sums.is_zero());
    Ok(groups)
}

/// The groups that are not what they must be: with what was expected and what is there, either of them zero where there
/// is nothing.
pub fn differences(expected: &Groups, there: &Groups) -> BTreeMap<(u16, u64), (Sums, Sums)> {
    let all = expected.keys().chain(there.keys());
    let both = |group: &(u16, u64)| {
        let of = |groups: &Groups| groups.get(group).copied().unwrap_or_default();
        (*group, (of(expected), of(there)))
    };
    all.map(both).filter(|(_, (expected, there))| expected != there).collect()
}

fn is_expected(judgement: &Judgement, writer: u16, seq: u64) -> bool {
    judgement.class(writer, seq).is_some_and(Class::is_expected)
}

fn each_change<R: Read>(
    mut reader: Reader<R>,
    mut take: impl FnMut(u16, u64, &Change),
) -> Result<(), Damage> {
    while let Some(record) = reader.next()? {
        if let Record::Sent { writer, seq, changes, .. } = record {
            changes.iter().for_each(|change| take(writer, seq, change));
        }
    }
    Ok(())
}
