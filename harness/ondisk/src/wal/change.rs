//! What a record changes, as far as somebody asks who looks for an accident: rows of a heap
//! (`src/include/access/heapam_xlog.h`), files of relations (`src/include/catalog/storage_xlog.h`) and databases
//! (`src/include/commands/dbcommands_xlog.h`).

use super::fields::{Fields, u32_at};
use super::record::{Block, Record, Relation, rmgr};
use crate::Malformed;

/// What a record changes. Indexes, visibility and the like are nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a> {
    /// Rows were added.
    Insert {
        /// To which relation.
        relation: Relation,
        /// How many.
        rows: u32,
    },
    /// A row was replaced.
    Update {
        /// Of which relation.
        relation: Relation,
    },
    /// A row was removed.
    Delete {
        /// From which relation.
        relation: Relation,
        /// Where it was.
        row: Row,
    },
    /// A row was changed where it is: that holds whether or not the transaction is committed.
    InPlace {
        /// Of which relation.
        relation: Relation,
        /// Where it is.
        row: Row,
    },
    /// Tables were truncated. It is only written with `wal_level` logical.
    Truncate {
        /// OID of the database.
        database: u32,
        /// OIDs of the tables.
        tables: Oids<'a>,
    },
    /// A file of a relation was made.
    CreateFile {
        /// Of which relation.
        relation: Relation,
        /// Its fork: 0 is the main one.
        fork: u32,
    },
    /// A database was made.
    CreateDatabase {
        /// Its OID.
        oid: u32,
    },
    /// The files of a database were removed: that holds whether or not the transaction is committed.
    DropDatabase {
        /// Its OID.
        oid: u32,
    },
    /// Something else.
    Other,
}

/// Where a row is within its relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of the block.
    pub block: u32,
    /// Its place there.
    pub offset: u16,
}

/// OIDs, as they lie in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oids<'a>(&'a [u8]);

impl Oids<'_> {
    /// The OIDs.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.chunks_exact(4).map(|four| u32_at(four, 0))
    }
}

/// Kinds of records of heaps (`XLOG_HEAP_OPMASK`).
mod heap {
    pub(super) const KIND: u8 = 0x70;
    pub(super) const INSERT: u8 = 0x00;
    pub(super) const DELETE: u8 = 0x10;
    pub(super) const UPDATE: u8 = 0x20;
    pub(super) const TRUNCATE: u8 = 0x30;
    pub(super) const HOT_UPDATE: u8 = 0x40;
    pub(super) const IN_PLACE: u8 = 0x70;
    /// Of the second resource manager.
    pub(super) const MULTI_INSERT: u8 = 0x50;
}

impl<'a> Record<'a> {
    /// What the record changes.
    ///
    /// # Errors
    ///
    /// A record of a kind that is known, but whose parts do not fit together.
    pub fn change(&self) -> Result<Change<'a>, Malformed> {
        let change = match self.rmgr() {
            rmgr::HEAP => self.heap()?,
            rmgr::HEAP2 if self.info() & heap::KIND == heap::MULTI_INSERT => {
                let (block, main) = self.first_block()?;
                let mut fields = Fields(main);
                fields
                    .take(2)
                    .and_then(|_| fields.u16())
                    .zip(block)
                    .map(|(rows, block)| Change::Insert { relation: block.relation, rows: rows.into() })
            }
            rmgr::STORAGE if self.info() & 0xF0 == 0x10 => {
                let mut fields = Fields(self.body()?.main);
                relation(&mut fields)
                    .zip(fields.u32())
                    .map(|(relation, fork)| Change::CreateFile { relation, fork })
            }
            rmgr::DATABASE => {
                let oid = Fields(self.body()?.main).u32();
                // 15 put another way of making one between the two.
                match (self.info() & 0xF0, self.major) {
                    (0x00, _) | (0x10, 15..) => oid.map(|oid| Change::CreateDatabase { oid }),
                    (0x10, _) | (0x20, 15..) => oid.map(|oid| Change::DropDatabase { oid }),
                    _ => Some(Change::Other),
                }
            }
            _ => Some(Change::Other),
        };
        change.ok_or_else(|| {
            let (rmgr, info) = (rmgr::name(self.rmgr()).unwrap_or("?"), self.info());
            Malformed::new("WAL record", format!("{rmgr} {info:02X} is too short for what it should change"))
        })
    }

    fn heap(&self) -> Result<Option<Change<'a>>, Malformed> {
        let of = |block: Option<Block>, change: fn(Relation) -> Change<'a>| {
            block.map(|block| change(block.relation))
        };
        let kind = self.info() & heap::KIND;
        Ok(match kind {
            heap::INSERT => of(self.first_block()?.0, |relation| Change::Insert { relation, rows: 1 }),
            heap::DELETE => {
                // The number of the deleting transaction comes first.
                self.row(4)?.map(|(relation, row)| Change::Delete { relation, row })
            }
            heap::UPDATE | heap::HOT_UPDATE => {
                of(self.first_block()?.0, |relation| Change::Update { relation })
            }
            heap::IN_PLACE => self.row(0)?.map(|(relation, row)| Change::InPlace { relation, row }),
            heap::TRUNCATE => {
                let mut fields = Fields(self.body()?.main);
                let head = fields.u32().zip(fields.u32()).zip(fields.take(4));
                head.and_then(|((database, count), _)| {
                    let bytes = usize::try_from(count).ok()?.checked_mul(4)?;
                    Some(Change::Truncate { database, tables: Oids(fields.take(bytes)?) })
                })
            }
            _ => Some(Change::Other),
        })
    }

    /// The row that it is about; its place in the block is told `at` bytes from the beginning of the main data.
    fn row(&self, at: usize) -> Result<Option<(Relation, Row)>, Malformed> {
        let (block, main) = self.first_block()?;
        let mut fields = Fields(main);
        let offset = fields.take(at).and_then(|_| fields.u16());
        Ok(block.zip(offset).map(|(block, offset)| (block.relation, Row { block: block.number, offset })))
    }

    /// The first block that it refers to, and its main data.
    fn first_block(&self) -> Result<(Option<Block>, &'a [u8]), Malformed> {
        let mut first = None;
        let body = self.each_block(|block| _ = first.get_or_insert(block))?;
        Ok((first, body.main))
    }
}

/// A `RelFileLocator` (`RelFileNode` before 16).
pub(super) fn relation(fields: &mut Fields<'_>) -> Option<Relation> {
    Some(Relation { tablespace: fields.u32()?, database: fields.u32()?, number: fields.u32()? })
}
