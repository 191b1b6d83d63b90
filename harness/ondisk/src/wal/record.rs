//! A WAL record: its header (`src/include/access/xlogrecord.h`, `XLogRecord`), the blocks that it refers to, and its main
//! data (`DecodeXLogRecord`, `src/backend/access/transam/xlogreader.c`).

use super::fields::{Fields, u32_at, u64_at};
use crate::Malformed;

const FORMAT: &str = "WAL record";

/// Bytes of a record's header (`SizeOfXLogRecord`).
pub(super) const HEADER: usize = 24;

/// Where in the header the CRC is, which covers everything before it.
pub(super) const CRC_AT: usize = 20;

/// Numbers of resource managers (`src/include/access/rmgrlist.h`), the same in all majors from 13 to 18.
pub mod rmgr {
    /// Records about the WAL itself.
    pub const XLOG: u8 = 0;
    /// Transactions.
    pub const TRANSACTION: u8 = 1;
    /// Files of relations.
    pub const STORAGE: u8 = 2;
    /// Databases.
    pub const DATABASE: u8 = 4;
    /// Tablespaces.
    pub const TABLESPACE: u8 = 5;
    /// Heaps, where a record is about several rows, or none.
    pub const HEAP2: u8 = 9;
    /// Heaps.
    pub const HEAP: u8 = 10;
    /// The last of PostgreSQL's own (`RM_MAX_BUILTIN_ID`).
    pub const LAST_BUILTIN: u8 = 21;
    /// The first of an extension (`RM_MIN_CUSTOM_ID`, from 15 on).
    pub const FIRST_CUSTOM: u8 = 128;

    /// Its name, as `pg_waldump` prints it; none for one of an extension.
    pub fn name(number: u8) -> Option<&'static str> {
        const NAMES: [&str; 22] = [
            "XLOG",
            "Transaction",
            "Storage",
            "CLOG",
            "Database",
            "Tablespace",
            "MultiXact",
            "RelMap",
            "Standby",
            "Heap2",
            "Heap",
            "Btree",
            "Hash",
            "Gin",
            "Gist",
            "Sequence",
            "SPGist",
            "BRIN",
            "CommitTs",
            "ReplicationOrigin",
            "Generic",
            "LogicalMessage",
        ];
        NAMES.get(usize::from(number)).copied()
    }
}

/// A record whose header and CRC are good.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Position of its first byte.
    pub start: u64,
    /// Where PostgreSQL looks for the next one (`EndRecPtr`): behind its last byte, rounded up to 8; after a switch of
    /// segments the beginning of the next segment.
    pub end: u64,
    /// Timeline of the file that it was read from. The file of a new timeline begins with what it took over from its
    /// parent, so it can be newer than the record.
    pub file_timeline: u32,
    /// Major version of the server that wrote it.
    pub major: u8,
    /// All its bytes, page headers left out.
    pub(super) bytes: &'a [u8],
}

/// A relation, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    /// OID of its tablespace.
    pub tablespace: u32,
    /// OID of its database; 0 for one that all share.
    pub database: u32,
    /// Number of its file.
    pub number: u32,
}

/// A block that a record changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The record's own number for it.
    pub id: u8,
    /// Its relation.
    pub relation: Relation,
    /// Its fork: 0 is the main one.
    pub fork: u8,
    /// Its number.
    pub number: u32,
    /// Bytes of data about it.
    pub data: u16,
    /// The image of the whole page.
    pub image: Option<Image>,
    /// Whether the record begins the page afresh, whatever was on it (`BKPBLOCK_WILL_INIT`).
    pub initialises: bool,
}

/// The image of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Bytes that it takes in the record.
    pub length: u16,
    /// Where the zeros that are left out begin.
    pub hole_offset: u16,
    /// How many they are, where the record says it: a compressed image with a hole.
    pub hole_length: Option<u16>,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Whether replay puts it in place; otherwise it is only there to be compared.
    pub applied: bool,
}

/// What a record holds beside its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// The main data: what its resource manager has to say.
    pub main: &'a [u8],
    /// Number of the replication origin.
    pub origin: Option<u16>,
    /// The transaction of which the record's is a part.
    pub top_level: Option<u32>,
    /// Blocks that it refers to.
    pub blocks: u32,
}

impl<'a> Record<'a> {
    /// Bytes of the record, without page headers and padding (`xl_tot_len`).
    pub fn length(&self) -> u32 {
        u32_at(self.bytes, 0)
    }

    /// Its transaction; 0 when it has none.
    pub fn xid(&self) -> u32 {
        u32_at(self.bytes, 4)
    }

    /// Position of the record before it.
    pub fn previous(&self) -> u64 {
        u64_at(self.bytes, 8)
    }

    /// What kind of record of its resource manager it is, and flags.
    pub fn info(&self) -> u8 {
        self.bytes[16]
    }

    /// Its resource manager.
    pub fn rmgr(&self) -> u8 {
        self.bytes[17]
    }

    /// All its bytes, header first.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its main data, and how many blocks it refers to.
    ///
    /// # Errors
    ///
    /// Parts that do not fit together.
    pub fn body(&self) -> Result<Body<'a>, Malformed> {
        self.decode(|_| ())
    }

    /// The blocks that it refers to.
    ///
    /// # Errors
    ///
    /// Parts that do not fit together.
    pub fn blocks(&self) -> Result<Vec<Block>, Malformed> {
        let mut blocks = Vec::new();
        self.decode(|block| blocks.push(block))?;
        Ok(blocks)
    }

    /// Its main data; `each` is called with each block that it refers to.
    ///
    /// # Errors
    ///
    /// Parts that do not fit together.
    pub fn each_block(&self, each: impl FnMut(Block)) -> Result<Body<'a>, Malformed> {
        self.decode(each)
    }

    fn decode(&self, mut each: impl FnMut(Block)) -> Result<Body<'a>, Malformed> {
        let short = || Malformed::new(FORMAT, "a header of its parts goes beyond its end");
        let mut fields = Fields(&self.bytes[HEADER..]);
        let mut body = Body { main: &[], origin: None, top_level: None, blocks: 0 };
        let mut main_length = 0_usize;
        let mut data_length = 0_usize;
        let mut same: Option<Relation> = None;
        while fields.0.len() > data_length {
            match fields.u8().ok_or_else(short)? {
                // The main data's length is always last.
                255 => {
                    main_length = usize::from(fields.u8().ok_or_else(short)?);
                    data_length += main_length;
                    break;
                }
                254 => {
                    main_length = fields.u32().ok_or_else(short)? as usize;
                    data_length = data_length.saturating_add(main_length);
                    break;
                }
                253 => body.origin = Some(fields.u16().ok_or_else(short)?),
                252 => body.top_level = Some(fields.u32().ok_or_else(short)?),
                id if id <= 32 => {
                    let block = self.block(id, &mut fields, same)?;
                    same = Some(block.relation);
                    data_length +=
                        usize::from(block.data) + block.image.map_or(0, |image| image.length.into());
                    body.blocks += 1;
                    each(block);
                }
                id => return Err(Malformed::new(FORMAT, format!("invalid block_id {id}"))),
            }
        }
        if fields.0.len() != data_length {
            let what = format!("{} bytes of data instead of {data_length}", fields.0.len());
            return Err(Malformed::new(FORMAT, what));
        }
        body.main = &fields.0[data_length - main_length..];
        Ok(body)
    }

    fn block(&self, id: u8, fields: &mut Fields<'_>, same: Option<Relation>) -> Result<Block, Malformed> {
        let short = || Malformed::new(FORMAT, "a block's header goes beyond the record's end");
        let flags = fields.u8().ok_or_else(short)?;
        let data = fields.u16().ok_or_else(short)?;
        let image = if flags & 0x10 == 0 { None } else { Some(self.image(fields).ok_or_else(short)?) };
        let relation = if flags & 0x80 == 0 {
            let mut oid = || fields.u32().ok_or_else(short);
            Relation { tablespace: oid()?, database: oid()?, number: oid()? }
        } else {
            same.ok_or_else(|| Malformed::new(FORMAT, "BKPBLOCK_SAME_REL set but no previous rel"))?
        };
        let number = fields.u32().ok_or_else(short)?;
        Ok(Block { id, relation, fork: flags & 0x0F, number, data, image, initialises: flags & 0x40 != 0 })
    }

    /// `XLogRecordBlockImageHeader`: its flags changed with 15.
    fn image(&self, fields: &mut Fields<'_>) -> Option<Image> {
        let (length, hole_offset, flags) = (fields.u16()?, fields.u16()?, fields.u8()?);
        let (compressed, applied) =
            if self.major < 15 { (flags & 0x02, flags & 0x04) } else { (flags & 0x1C, flags & 0x02) };
        let with_hole_length = compressed != 0 && flags & 0x01 != 0;
        let hole_length = if with_hole_length { Some(fields.u16()?) } else { None };
        Some(Image { length, hole_offset, hole_length, compressed: compressed != 0, applied: applied != 0 })
    }
}
