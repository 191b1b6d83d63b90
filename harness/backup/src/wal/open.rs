//! Transactions that are open while WAL is read, and what each has done until it is committed. Subtransactions are counted
//! to their parent once the commit says whose they were.

use std::collections::HashMap;

use pgdrill_model::units::{Lsn, show_time};
use pgdrill_ondisk::Malformed;
use pgdrill_ondisk::wal::{Change, Content, Finish, Record, Relation, Row, rmgr};

use super::tally::Commit;
use super::transaction::{Deed, Rows, Transaction};

/// How many transactions are followed at the same time. No server has so many; WAL that is made up can.
const MOST_OPEN: usize = 1 << 18;

/// How many relations are told apart in one transaction, and how many new files are followed in all.
const MOST_RELATIONS: usize = 64;
const MOST_FILES: usize = 1 << 16;

/// The first number of a relation that is not PostgreSQL's own (`FirstNormalObjectId`, `src/include/access/transam.h`).
pub(super) const FIRST_USER: u32 = 16_384;

/// File of `pg_database`, as `initdb` makes it (`src/include/catalog/pg_database.h`).
const PG_DATABASE: u32 = 1262;

/// How far before the removal of a database's row the mark can be that it is being dropped. It comes right before, but
/// others may write between the two.
const MARKED_BEFORE: u64 = 1 << 20;

/// File of `pg_class`, as `initdb` makes it (`src/include/catalog/pg_class.h`).
const PG_CLASS: u32 = 1259;

/// The transactions that are open.
#[derive(Debug, Default)]
pub(super) struct Open {
    by_xid: HashMap<u32, Doing>,
    /// Files of relations that open transactions have made, and whether anything was put into them.
    made: HashMap<Relation, bool>,
    /// The last row of `pg_database` that was changed where it is, and the record that did it.
    marked: Option<(Row, u64)>,
}

/// What a transaction has done so far.
#[derive(Debug, Default)]
struct Doing {
    records: u64,
    bytes: u64,
    first: Option<u64>,
    relations: Vec<Rows>,
    /// Rows of relations that are not told apart any more.
    others: u64,
    catalog: u64,
    /// Rows of `pg_class` that were added, and removed.
    classes: (u64, u64),
    made: Vec<Relation>,
    truncated: Vec<(u32, u32)>,
    deeds: Vec<Deed>,
    /// The first record that takes effect without the commit.
    at_once: Option<u64>,
    /// The record that marked the database whose row the transaction removes.
    marked: Option<u64>,
    subtransactions: u64,
    gid: Option<String>,
}

impl Open {
    /// Takes a record; gives the transaction that it commits.
    pub fn take(
        &mut self,
        record: &Record<'_>,
        content: &Content<'_>,
    ) -> Result<Option<Transaction>, Malformed> {
        let xid = record.xid();
        if xid != 0 && (self.by_xid.len() < MOST_OPEN || self.by_xid.contains_key(&xid)) {
            let doing = self.by_xid.entry(xid).or_default();
            doing.records += 1;
            doing.bytes += u64::from(record.length());
            doing.first.get_or_insert(record.start);
            doing.hear(record, content, &mut self.made, self.marked)?;
        }
        // A database is marked as being dropped by a transaction that has no number yet (`dropdb`,
        // `src/backend/commands/dbcommands.c`, since 15.4 and its like): it cannot be used any more.
        if record.rmgr() == rmgr::HEAP
            && xid == 0
            && let Change::InPlace { relation: Relation { database: 0, number: PG_DATABASE, .. }, row } =
                record.change()?
        {
            self.marked = Some((row, record.start));
        }
        if !self.made.is_empty() && record.rmgr() != rmgr::STORAGE {
            let made = &mut self.made;
            record.each_block(|block| {
                if let Some(filled) = made.get_mut(&block.relation) {
                    *filled = true;
                }
            })?;
        }
        Ok(match content {
            Content::Commit(finish) => Some(self.commit(record, finish)),
            Content::Abort(finish) => {
                self.end(record.xid(), finish);
                None
            }
            _ => None,
        })
    }

    /// Ends a transaction with its subtransactions: what they did, together.
    fn end(&mut self, command: u32, finish: &Finish<'_>) -> Doing {
        let mut all = self.by_xid.remove(&finish.xid).unwrap_or_default();
        if command != finish.xid
            && let Some(doing) = self.by_xid.remove(&command)
        {
            // `COMMIT PREPARED` itself.
            all.add(doing);
        }
        for subxid in finish.subxids.iter() {
            all.subtransactions += 1;
            if let Some(doing) = self.by_xid.remove(&subxid) {
                all.add(doing);
            }
        }
        all
    }

    fn commit(&mut self, record: &Record<'_>, finish: &Finish<'_>) -> Transaction {
        let mut doing = self.end(record.xid(), finish);
        // What was made and dropped again leaves nothing.
        let mut dropped: Vec<Relation> = Vec::new();
        for relation in finish.dropped.iter() {
            match doing.made.iter().position(|made| *made == relation) {
                Some(at) => {
                    doing.made.swap_remove(at);
                    self.made.remove(&relation);
                }
                None => dropped.push(relation),
            }
        }
        let filled = doing.made.iter().map(|relation| self.made.remove(relation).unwrap_or(true));
        let empty = filled.filter(|filled| !filled).count();
        doing.about_files(&dropped, empty);
        let commit = Commit {
            lsn: Lsn(record.start),
            end: Lsn(record.end),
            xid: finish.xid,
            time_us: finish.time,
            time: show_time(finish.time),
        };
        let gid = finish.prepared.then(|| doing.gid.unwrap_or_default());
        Transaction {
            first: Lsn(doing.first.unwrap_or(record.start)),
            stop_before: Lsn(doing.at_once.unwrap_or(record.start)),
            before_commit: doing.at_once.is_some(),
            commit,
            subtransactions: doing.subtransactions,
            records: doing.records,
            bytes: doing.bytes,
            gid,
            deeds: doing.deeds,
            relations: doing.relations,
            other_rows: doing.others,
            catalog_rows: doing.catalog,
        }
    }
}

impl Doing {
    fn hear(
        &mut self,
        record: &Record<'_>,
        content: &Content<'_>,
        made: &mut HashMap<Relation, bool>,
        marked: Option<(Row, u64)>,
    ) -> Result<(), Malformed> {
        match content {
            Content::Prepare(prepare) => self.gid = Some(String::from_utf8_lossy(prepare.gid).into_owned()),
            Content::CreateTablespace { oid, path } => {
                let path = String::from_utf8_lossy(path).into_owned();
                self.at_once(record, Deed::CreateTablespace { tablespace: *oid, path });
            }
            Content::DropTablespace { oid } => {
                self.at_once(record, Deed::DropTablespace { tablespace: *oid });
            }
            Content::Other => match record.change()? {
                Change::Insert { relation, rows } => self.rows(relation, |of| of.inserts += u64::from(rows)),
                Change::Update { relation } => self.rows(relation, |of| of.updates += 1),
                Change::Delete { relation, row } => {
                    self.rows(relation, |of| of.deletes += 1);
                    let of_databases = relation.database == 0 && relation.number == PG_DATABASE;
                    if let Some((_, start)) = marked.filter(|(of, _)| of_databases && *of == row)
                        && record.start - start <= MARKED_BEFORE
                    {
                        self.marked = Some(start);
                    }
                }
                // Elsewhere only statistics are kept so.
                Change::InPlace { relation, .. } if relation.database == 0 => {
                    self.catalog += 1;
                    self.at_once.get_or_insert(record.start);
                }
                Change::Truncate { database, tables } => {
                    let room = MOST_RELATIONS.saturating_sub(self.truncated.len());
                    self.truncated.extend(tables.iter().take(room).map(|table| (database, table)));
                }
                Change::CreateFile { relation, fork: 0 } if made.len() < MOST_FILES => {
                    made.insert(relation, false);
                    self.made.push(relation);
                }
                Change::CreateDatabase { oid } => {
                    self.at_once(record, Deed::CreateDatabase { database: oid });
                }
                Change::DropDatabase { oid } => {
                    self.at_once(record, Deed::DropDatabase { database: oid });
                    self.at_once = [self.at_once, self.marked].into_iter().flatten().min();
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn at_once(&mut self, record: &Record<'_>, deed: Deed) {
        self.at_once.get_or_insert(record.start);
        // The record comes once for each tablespace, before 16.
        if self.deeds.len() < MOST_RELATIONS && !self.deeds.contains(&deed) {
            self.deeds.push(deed);
        }
    }

    fn rows(&mut self, relation: Relation, count: impl Fn(&mut Rows)) {
        if relation.number < FIRST_USER {
            self.catalog += 1;
            if relation.number == PG_CLASS {
                let mut of = Rows::of(relation);
                count(&mut of);
                self.classes = (self.classes.0 + of.inserts, self.classes.1 + of.deletes);
            }
            return;
        }
        if let Some(of) = self.relations.iter_mut().find(|of| of.is_of(relation)) {
            count(of);
        } else if self.relations.len() < MOST_RELATIONS {
            let mut of = Rows::of(relation);
            count(&mut of);
            self.relations.push(of);
        } else {
            let mut of = Rows::of(relation);
            count(&mut of);
            self.others += of.inserts + of.updates + of.deletes;
        }
    }

    /// What the files that are removed with the commit, and those that were made before it, say together: `empty` of the
    /// latter have nothing in them. A table that is truncated gets an empty file in place of its own; one that is written
    /// anew (`VACUUM FULL`, `ALTER TABLE`) a full one, for which a row of `pg_class` is added and removed again.
    fn about_files(&mut self, dropped: &[Relation], empty: usize) {
        let files =
            |count: usize| dropped.iter().take(count.min(MOST_RELATIONS)).map(|of| Rows::of(*of).name());
        if dropped.is_empty() {
            return;
        }
        let rewritten = self.classes.0 > 0 && self.classes.1 > 0;
        let (count, replaced) = (dropped.len() as u64, self.made.len());
        if !self.truncated.is_empty() || (empty > 0 && !rewritten) {
            self.deeds.push(Deed::Truncate { files: count, of: files(dropped.len()).collect() });
        } else if replaced > 0 {
            self.deeds.push(Deed::Rewrite { files: count, of: files(dropped.len()).collect() });
        }
        // A row of pg_class goes only with its relation.
        if replaced == 0 || (self.classes.1 > 0 && dropped.len() > replaced) {
            self.deeds.push(Deed::Drop { files: count, of: files(dropped.len()).collect() });
        }
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.at_once = [self.at_once, other.at_once].into_iter().flatten().min();
        self.others += other.others;
        self.catalog += other.catalog;
        self.classes = (self.classes.0 + other.classes.0, self.classes.1 + other.classes.1);
        self.made.extend(other.made);
        self.truncated.extend(other.truncated);
        self.deeds.extend(other.deeds);
        self.gid = self.gid.take().or(other.gid);
        for rows in other.relations {
            match self.relations.iter().position(|of| of.is_same(&rows)) {
                Some(at) => self.relations[at].add(&rows),
                None if self.relations.len() < MOST_RELATIONS => self.relations.push(rows),
                None => self.others += rows.inserts + rows.updates + rows.deletes,
            }
        }
    }
}
