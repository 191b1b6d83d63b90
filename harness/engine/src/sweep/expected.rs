//! What must be there at each target: by the ledger, the commits of the WAL, and what was captured at quiet moments. The
//! ledger is read twice in all, however many targets there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgdrill_backup::wal::Chronicle;
use pgdrill_backup::wal::chronicle::What;
use pgdrill_ledger::history::Fate;
use pgdrill_ledger::judge::Disagreement;
use pgdrill_ledger::points::{Difference, Place, Places};
use pgdrill_ledger::{Commit, Damage, Found, History, Leg, Reader, Replayed, Sums, Table, expected};
use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::units::show_count;
use pgdrill_ondisk::wal::Lineage;

use crate::baseline::Baseline;
use crate::books::name;
use crate::data::DATABASE;
use crate::sweep::known::Known;
use crate::sweep::look::Held;

/// The ledger, with every transaction placed in the WAL.
#[derive(Debug)]
pub struct Oracle {
    file: PathBuf,
    history: History,
    places: Places,
    lineage: Lineage,
}

/// A baseline, as far as the tables go that writers change.
#[derive(Clone, Debug)]
pub struct Base {
    timeline: u32,
    lsn: u64,
    tables: Held,
}

fn damaged(damage: &Damage) -> Unable {
    Unable::new(Code::LedgerDamaged, format!("the ledger is damaged: {damage}"))
}

impl Base {
    /// The tables of a baseline that could be read then.
    pub fn of(baseline: &Baseline) -> Self {
        let held = |table: Table| {
            let database = baseline.content.databases.get(DATABASE)?;
            let held = database.tables.get(&format!("public.{}", table.name()))?.as_ref().ok()?;
            Some((table, Sums::of_table(held.rows, &held.fingerprint)?))
        };
        Self {
            timeline: baseline.timeline,
            lsn: baseline.lsn.0,
            tables: Table::ALL.into_iter().filter_map(held).collect(),
        }
    }
}

impl Oracle {
    /// Reads the ledger, and places its transactions in the WAL that was read along `lineage`, up to `reached`. To be
    /// called on a thread.
    ///
    /// # Errors
    ///
    /// `LEDGER_DAMAGED`.
    pub fn read(file: &Path, lineage: &Lineage, chronicle: &Chronicle, reached: u64) -> Result<Self, Unable> {
        let history = History::read(file).map_err(|damage| damaged(&damage))?;
        let path: Vec<Leg> = lineage
            .stretches()
            .iter()
            .map(|stretch| Leg { branch: stretch.timeline, until: stretch.end })
            .collect();
        let commits: Vec<Commit> = chronicle
            .events()
            .take_while(|event| event.end <= reached)
            .filter_map(|event| match event.what {
                What::Commit(finished) => Some(Commit {
                    branch: event.timeline,
                    xid: finished.xid,
                    lsn_start: event.start,
                    lsn_end: event.end,
                    time_us: event.time.unwrap_or_default(),
                }),
                _ => None,
            })
            .collect();
        let from = chronicle.begin().position;
        let replayed = Replayed { from, reached, path: &path, commits: &commits };
        let places = Places::of(&history, &replayed);
        Ok(Self { file: file.to_owned(), history, places, lineage: lineage.clone() })
    }

    /// Where the ledger and the WAL contradict each other: then one of them is wrong, and with it what would be expected.
    pub fn contradiction(&self) -> Option<Finding> {
        let (kind, witness) = self.places.contradiction.as_ref()?;
        let words = match kind {
            Disagreement::AcknowledgedWithoutRecord => {
                "was acknowledged, and the WAL has no commit record of it"
            }
            Disagreement::RecordOfNotCommitted => {
                "was rolled back or refused, and the WAL has a commit record of it"
            }
            _ => "has its commit record where the ledger says that it cannot be",
        };
        let others = match self.places.contradictions {
            0 | 1 => String::new(),
            all => format!(" (and {} others)", show_count(all - 1)),
        };
        let message = format!("{} {words}{others}", name(witness));
        Some(Finding::new(Code::LedgerDisagrees, Stage::Recover, message))
    }

    /// Whether only a server can tell what some transactions became.
    pub fn is_undecided(&self) -> bool {
        self.places.undecided
    }

    /// Lets what is there at a target tell what became of transactions that were never answered, before the WAL begins.
    pub fn decide(&mut self, found: &Found) {
        self.places.decide(found);
    }

    /// How many transactions must be there at a point.
    pub fn count(&self, point: u64) -> u64 {
        self.places.count(point)
    }

    /// How many transactions are not as they must be at a point, and the first of them.
    pub fn differences(&self, point: u64, found: &Found) -> (u64, Option<Difference>) {
        self.places.differences(&self.history, point, found)
    }

    /// What must be there at each of ascending `points`, of which each lies within a stretch of `known`. To be called on
    /// a thread.
    ///
    /// # Errors
    ///
    /// `LEDGER_DAMAGED`.
    pub fn expected(&self, points: &[u64], bases: &[Base], known: &[Known]) -> Result<Vec<Held>, Unable> {
        // The stretches ascend, and what is in the base of one is in that of the next.
        let used: Vec<&Base> = known.iter().filter_map(|known| bases.get(known.base)).collect();
        let width = used.len() + 1;
        let slot = |writer: u16, seq: u64| {
            let first_point = self.places.first_point(writer, seq, points).unwrap_or(points.len());
            let first_base = used.iter().position(|base| self.is_in(base, writer, seq)).unwrap_or(used.len());
            let nowhere = first_point == points.len() && first_base == used.len();
            (!nowhere).then_some(first_point * width + first_base)
        };
        let reader = Reader::open(&self.file).map_err(|damage| damaged(&damage))?;
        let sorted =
            expected::sorted(reader, (points.len() + 1) * width, slot).map_err(|damage| damaged(&damage))?;
        let of = |point: usize, base: usize| sorted.get(point * width + base);
        let mut in_base = vec![BTreeMap::<Table, Sums>::new(); used.len()];
        let mut so_far = BTreeMap::new();
        for (number, sums) in in_base.iter_mut().enumerate() {
            for point in 0..=points.len() {
                add(&mut so_far, of(point, number));
            }
            sums.clone_from(&so_far);
        }
        let mut there = BTreeMap::new();
        let mut all = Vec::with_capacity(points.len());
        for (number, point) in points.iter().enumerate() {
            for base in 0..width {
                add(&mut there, of(number, base));
            }
            let known = known.iter().position(|known| known.range.contains(point));
            let tables = known.and_then(|known| Some((used.get(known)?, in_base.get(known)?)));
            all.push(tables.map_or_else(Held::new, |(base, in_base)| {
                let mut tables = base.tables.clone();
                for (table, sums) in &mut tables {
                    *sums += there.get(table).copied().unwrap_or_default();
                    *sums -= in_base.get(table).copied().unwrap_or_default();
                }
                tables
            }));
        }
        Ok(all)
    }

    /// Whether a transaction is in the content of a baseline. The server was quiet then, so no bracket straddles it.
    fn is_in(&self, base: &Base, writer: u16, seq: u64) -> bool {
        let (Some(of), Some(transaction), Some(place)) = (
            self.history.writers.get(&writer),
            self.history.transaction(writer, seq),
            self.places.place(writer, seq),
        ) else {
            return false;
        };
        if of.branch < base.timeline && self.lineage.contains(of.branch) {
            return matches!(place, Place::InBackup | Place::At(_));
        }
        of.branch == base.timeline
            && match place {
                Place::At(end) => end <= base.lsn,
                Place::InBackup if transaction.fate == Fate::Unanswered => transaction.before < base.lsn,
                Place::InBackup => transaction.after <= base.lsn,
                Place::Never | Place::Undecided => false,
            }
    }
}

/// What must be there at each of `points` where no writer kept a ledger: what was captured.
pub fn without_a_ledger(points: &[u64], bases: &[Base], known: &[Known]) -> Vec<Held> {
    let at = |point: &u64| {
        let known = known.iter().find(|known| known.range.contains(point))?;
        Some(bases.get(known.base)?.tables.clone())
    };
    points.iter().map(|point| at(point).unwrap_or_default()).collect()
}

fn add(sums: &mut BTreeMap<Table, Sums>, more: Option<&expected::Tables>) {
    for (table, more) in more.into_iter().flatten() {
        *sums.entry(*table).or_default() += *more;
    }
}

/// Whether there is nothing to compare some table with: then nothing is proven.
pub fn is_nothing(expected: &Held) -> bool {
    expected.len() < Table::ALL.len()
}

/// What of `held` is not as it must be, in words; none where all is.
pub fn differs(expected: &Held, held: &Held) -> Option<String> {
    expected.iter().find_map(|(table, expected)| {
        let held = held.get(table).copied().unwrap_or_default();
        if expected.rows != held.rows {
            return Some(format!(
                "\"{}\" holds {} rows instead of {}",
                table.name(),
                show_count(held.rows.unsigned_abs()),
                show_count(expected.rows.unsigned_abs())
            ));
        }
        (*expected != held).then(|| format!("the content of \"{}\" is not what it must be", table.name()))
    })
}

/// A transaction of which not as much is there as must be, in words.
pub fn transaction(difference: &Difference) -> String {
    let whose = name(&difference.witness);
    match (difference.expected, difference.found) {
        (_, 0) => format!("{whose} must be there, and is not"),
        (0, _) => format!("{whose} is there, and must not be"),
        (expected, found) => {
            format!("{whose} is there with {found} rows of \"AuditLog\" instead of {expected}")
        }
    }
}
