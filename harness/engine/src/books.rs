//! The books of a drill: the ledger that its writers keep, and what a recovered server must hold because of it.
//!
//! What must be there at a recovery point is the content of a quiet moment, and the sums of the transactions between
//! that moment and the recovery point. Which transactions those are is said by the WAL; that the server acknowledged
//! them, by the ledger; that they are there, by the server.

use std::path::{Path, PathBuf};

use pgdrill_ledger::expected::{self, Groups, Tables, Weight, Window};
use pgdrill_ledger::history::Fate;
use pgdrill_ledger::judge::{Class, Judgement, Question, Required, Witness, judge};
use pgdrill_ledger::{Commit, Damage, Found, History, Leg, Reader, Replayed, Sums, Table};
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{LossEvidence, TableContent, TallyEvidence};
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::Lineage;

use crate::content::Content;
use crate::data::DATABASE;
use crate::recovery::aim::Aim;
use crate::workload::{Book, Tag};
use crate::workspace::Workspace;

/// Where the ledger is, within the workspace: no server sees it.
pub const DIRECTORY: &str = "ledger";
const FILE: &str = "ledger/ledger";

/// The ledger of a drill. Writers append to it; it is closed before it is judged by, and goes on after that.
pub struct Ledger {
    path: PathBuf,
    /// The run that began it, by which its rows are known.
    run: String,
    book: Option<Book>,
}

impl Ledger {
    /// That of run `run` in `workspace`; nothing is written yet.
    pub fn of(workspace: &Workspace, run: &str) -> Self {
        Self { path: workspace.path(FILE), run: run.to_owned(), book: None }
    }

    /// Takes note that the file, which is closed, was begun by another run.
    pub fn goes_on(&mut self, run: &str) {
        run.clone_into(&mut self.run);
    }

    /// By what its rows are known in a database.
    pub fn tag(&self) -> Tag {
        Tag::of(&self.run)
    }

    /// Opens it for writers, or begins it.
    ///
    /// # Errors
    ///
    /// `LEDGER_DAMAGED`, `WORKSPACE_UNUSABLE`.
    pub fn open(&mut self, workspace: &Workspace, seed: u64) -> Result<Book, Unable> {
        if let Some(book) = &self.book {
            return Ok(book.clone());
        }
        let book = if self.is_kept() {
            Book::reopen(&self.path)
        } else {
            workspace.need_dir(Path::new(DIRECTORY))?;
            Book::create(&self.path, &self.run, seed)
        };
        let book = book.map_err(|trouble| {
            Unable::new(Code::LedgerDamaged, format!("the ledger cannot be written: {trouble}"))
        })?;
        Ok(self.book.insert(book).clone())
    }

    /// Whether there is one.
    pub fn is_kept(&self) -> bool {
        self.path.exists()
    }

    /// Closes it: nobody writes any more. One that is not open stays as it is.
    ///
    /// # Errors
    ///
    /// `LEDGER_DAMAGED`.
    pub fn close(&mut self, unix_us: i64) -> Result<(), Unable> {
        let Some(book) = self.book.take() else { return Ok(()) };
        book.close(unix_us).map(|_| ()).map_err(|trouble| {
            Unable::new(Code::LedgerDamaged, format!("the ledger could not be closed: {trouble}"))
        })
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&Path> {
        self.is_kept().then_some(self.path.as_path())
    }
}

/// A recovery point that is judged.
pub struct Recovered {
    /// The server.
    pub server: Name,
    /// How it came to what it holds.
    pub by: By,
    /// Timeline and position of what it is compared with.
    pub base: Option<(u32, Lsn)>,
    /// Whether what was acknowledged may be lost: then how much is for the objective to judge.
    pub may_lose: bool,
}

/// How a server came to what it holds.
pub enum By {
    /// By a replay.
    Replay {
        /// Where it was to go, and by which WAL.
        aim: Box<Aim>,
        /// Where it stopped.
        reached: Lsn,
    },
    /// By a dump that was taken of a quiet server, when this is where it was on its timeline. No WAL was read: what the ledger
    /// says is held against the database alone.
    Dump(u32, Lsn),
}

/// What the books say of a recovered server.
pub struct Books {
    file: PathBuf,
    /// The judgement of every transaction.
    pub judgement: Judgement,
    /// The same as evidence.
    pub tally: TallyEvidence,
    /// What lies between the base and what is there of what must be.
    there: Tables,
    /// What lies between the base and what must be there: where something is lost that may not be, it is more.
    wanted: Tables,
}

/// Reads the ledger and judges what was found on a recovered server. To be called on a thread: it reads files.
///
/// # Errors
///
/// `LEDGER_DAMAGED`: then nobody knows what was acknowledged.
pub fn read(file: &Path, recovered: &Recovered, found: &Found) -> Result<Books, Unable> {
    let damaged = |damage: Damage| Unable::new(Code::LedgerDamaged, damage.to_string());
    let history = History::read(file).map_err(damaged)?;
    let lineage = match &recovered.by {
        By::Replay { aim, .. } => aim.lineage.clone(),
        By::Dump(timeline, _) => Lineage::single(*timeline),
    };
    let legs = legs(&lineage);
    let mut wal_commits = None;
    let judgement = match &recovered.by {
        By::Replay { aim, reached } => {
            let commits = commits(aim, reached.0);
            wal_commits = Some(commits.len() as u64);
            let required =
                if aim.to_the_end { Required::Everything } else { Required::Before(aim.stop.replayed_to) };
            let from = aim.chronicle.begin().position;
            let replayed = Replayed { from, reached: reached.0, path: &legs, commits: &commits };
            judge(&Question { history: &history, line: &legs, required, replayed: Some(replayed), found })
        }
        // What was written after it is no fault of the dump; where an objective bounds what may be lost, all of it counts.
        By::Dump(_, at) => {
            let required = if recovered.may_lose { Required::Everything } else { Required::Before(at.0) };
            judge(&Question { history: &history, line: &legs, required, replayed: None, found })
        }
    };
    let since_base = |counts: &dyn Fn(Class) -> bool| -> Result<Tables, Unable> {
        let Some(base) = recovered.base else { return Ok(Tables::new()) };
        let reader = Reader::open(file).map_err(damaged)?;
        expected::weighed(reader, |writer, seq| {
            let there = judgement.class(writer, seq).is_some_and(counts);
            weigh(&history, &lineage, base, writer, seq, found.rows(writer, seq) > 0, there)
        })
        .map_err(damaged)
    };
    let there = since_base(&is_there)?;
    let wanted = if judgement.lost.count == 0 || recovered.may_lose {
        there.clone()
    } else {
        since_base(&|class| is_there(class) || class == Class::Lost)?
    };
    let tally = tally(recovered.server, &judgement, wal_commits);
    Ok(Books { file: file.to_owned(), judgement, tally, there, wanted })
}

/// Whether a transaction must be there, or may be, and is.
fn is_there(class: Class) -> bool {
    matches!(class, Class::Recovered | Class::IndeterminatePresent)
}

/// What a transaction counts for, beside a base that holds some of them already.
fn weigh(
    history: &History,
    lineage: &Lineage,
    (timeline, lsn): (u32, Lsn),
    writer: u16,
    seq: u64,
    found: bool,
    there: bool,
) -> Weight {
    let branch = history.writers.get(&writer).map_or(0, |writer| writer.branch);
    // What came along from a timeline before the base's own is in the base, and is there.
    if branch < timeline && lineage.contains(branch) && lineage.contains(timeline) {
        return Weight::Leave;
    }
    let in_base = branch == timeline
        && history.transaction(writer, seq).is_some_and(|transaction| match transaction.fate {
            Fate::Acknowledged(_) | Fate::CancelledWait => transaction.after <= lsn.0,
            // The server was quiet: what it had not answered by then was committed if it is there now.
            Fate::Unanswered => transaction.before < lsn.0 && found,
            Fate::Failed | Fate::RolledBack => false,
        });
    match (there, in_base) {
        (true, false) => Weight::Add,
        (false, true) => Weight::Remove,
        _ => Weight::Leave,
    }
}

/// The timelines that recovery follows, each up to where it is left.
fn legs(lineage: &Lineage) -> Vec<Leg> {
    lineage.stretches().iter().map(|stretch| Leg { branch: stretch.timeline, until: stretch.end }).collect()
}

/// Every commit of the WAL that was replayed.
fn commits(aim: &Aim, reached: u64) -> Vec<Commit> {
    aim.commits()
        .filter(|(_, event)| event.end <= reached)
        .map(|(xid, event)| Commit {
            branch: event.timeline,
            xid,
            lsn_start: event.start,
            lsn_end: event.end,
            time_us: event.time.unwrap_or_default(),
        })
        .collect()
}

fn tally(server: Name, judgement: &Judgement, wal_commits: Option<u64>) -> TallyEvidence {
    let loss = judgement.span.map_or_else(LossEvidence::default, |span| LossEvidence {
        transactions: span.transactions,
        rows: span.rows,
        time_us: span.micros,
        wal_bytes: span.wal_bytes,
    });
    TallyEvidence {
        server: server.name().to_owned(),
        acknowledged: judgement.acknowledged,
        required: judgement.recovered.count + judgement.lost.count,
        recovered: judgement.recovered.count,
        lost: judgement.lost.count,
        unexpected: judgement.unexpected.count,
        indeterminate: judgement.indeterminate(),
        indeterminate_found: judgement.indeterminate_present.count,
        after_target: judgement.after_target.count + judgement.given_up.count,
        not_promised: judgement.not_promised.count,
        rolled_back: judgement.not_committed.count,
        loss,
        wal_commits: wal_commits.unwrap_or(0),
        by_wal: wal_commits.is_some(),
    }
}

/// A transaction by name.
pub fn name(witness: &Witness) -> String {
    let committed = if witness.lsn == 0 { String::new() } else { format!(", {}", Lsn(witness.lsn)) };
    let xid = if witness.xid == 0 { String::new() } else { format!(" (xid {}{committed})", witness.xid) };
    format!("transaction {} of writer {}{xid}", witness.seq, witness.writer)
}

impl Books {
    /// What the tables of the base must hold now.
    pub fn wanted(&self, base: &Content) -> Content {
        Self::after(base, &self.wanted)
    }

    /// What they must hold as far as the transactions go that are there.
    pub fn there(&self, base: &Content) -> Content {
        Self::after(base, &self.there)
    }

    fn after(base: &Content, changes: &Tables) -> Content {
        let mut content = base.clone();
        for (table, change) in changes {
            let held = content
                .databases
                .get_mut(DATABASE)
                .and_then(|database| database.tables.get_mut(&format!("public.{}", table.name())));
            // A table that could not be read then is compared with nothing.
            let Some(Ok(held)) = held else { continue };
            if let Some(mut sums) = Sums::of_table(held.rows, &held.fingerprint) {
                sums += *change;
                *held = TableContent {
                    rows: u64::try_from(sums.rows).unwrap_or_default(),
                    fingerprint: sums.fingerprint(),
                };
            }
        }
        content
    }

    /// What the rows of the transactions that are there must be, by transaction, within a window. To be called on a thread.
    ///
    /// # Errors
    ///
    /// `LEDGER_DAMAGED`.
    pub fn groups(&self, table: Table, window: &Window) -> Result<Groups, Unable> {
        let damaged = |damage: Damage| Unable::new(Code::LedgerDamaged, damage.to_string());
        let counts = |writer, seq| self.judgement.class(writer, seq).is_some_and(is_there);
        let reader = Reader::open(&self.file).map_err(damaged)?;
        expected::groups_of(reader, counts, table, window).map_err(damaged)
    }
}
