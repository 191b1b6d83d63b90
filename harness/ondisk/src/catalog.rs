//! As much of the system catalogs as tells which relation a file belongs to: the map of the catalogs whose file numbers are
//! not in `pg_class` (`src/backend/utils/cache/relmapper.c`), and rows in heap pages (`src/include/storage/bufpage.h`,
//! `src/include/access/htup_details.h`), of which only the columns are read that stand first and are never null. Visibility is
//! not looked at but for rows that were taken back: whoever asks wants a name, and takes the newest.

use crate::{Malformed, items};

/// OID of `pg_class`, which never changes, as of the others.
pub const PG_CLASS: u32 = 1259;
/// OID of `pg_namespace`.
pub const PG_NAMESPACE: u32 = 2615;
/// OID of `pg_database`.
pub const PG_DATABASE: u32 = 1262;
/// OID of `pg_authid`.
pub const PG_AUTHID: u32 = 1260;

/// OID of the role that `initdb` makes, whatever it is called (`BOOTSTRAP_SUPERUSERID`, `src/include/catalog/pg_authid.dat`).
pub const BOOTSTRAP_SUPERUSER: u32 = 10;

const FORMAT: &str = "pg_filenode.map";

/// `RELMAPPER_FILEMAGIC`
const MAGIC: u32 = 0x0059_2717;

/// Where the checksum lies, by the size of the file: 62 mappings and 4 bytes of padding up to 15, 64 mappings from 16 on.
const CRC_AT: [(usize, usize); 2] = [(512, 504), (524, 520)];

/// Bytes of a name (`NAMEDATALEN`).
const NAME: usize = 64;

/// The file numbers of a database's mapped catalogs, or of those that all databases share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilenodeMap(Vec<(u32, u32)>);

impl FilenodeMap {
    /// Reads a `pg_filenode.map`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let wrong = |what: String| Malformed::new(FORMAT, what);
        let crc_at = CRC_AT.iter().find(|(size, _)| *size == bytes.len()).map(|(_, at)| *at);
        let crc_at = crc_at.ok_or_else(|| wrong(format!("it has {} bytes", bytes.len())))?;
        let word = |at: usize| u32_at(bytes, at).unwrap_or(0);
        if word(0) != MAGIC {
            return Err(wrong(format!("it begins with {:08X}", word(0))));
        }
        let (stored, computed) = (word(crc_at), crc32c::crc32c(&bytes[..crc_at]));
        if stored != computed {
            return Err(wrong(format!("its CRC is {stored:08X}, and its content gives {computed:08X}")));
        }
        let (count, most) = (word(4) as usize, (crc_at - 8) / 8);
        if count > most {
            return Err(wrong(format!("it has {count} mappings, of at most {most}")));
        }
        Ok(Self((0..count).map(|n| (word(8 + n * 8), word(12 + n * 8))).collect()))
    }

    /// Which bytes of a map its checksum is over, behind the number that tells the file from others. Nothing of what is no
    /// map.
    pub fn checked(bytes: &[u8]) -> std::ops::Range<usize> {
        let crc_at = CRC_AT.iter().find(|(size, _)| *size == bytes.len());
        crc_at.map_or(0..0, |(_, at)| 4..*at)
    }

    /// The file number of a catalog.
    pub fn file_of(&self, oid: u32) -> Option<u32> {
        self.0.iter().find(|(of, _)| *of == oid).map(|(_, number)| *number)
    }

    /// The catalog of a file number.
    pub fn catalog_of(&self, number: u32) -> Option<u32> {
        self.0.iter().find(|(_, of)| *of == number).map(|(oid, _)| *oid)
    }
}

/// What a row of `pg_class` says of its relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// OID of the relation.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// OID of its schema.
    pub namespace: u32,
    /// Its file number; 0 of one that the map has.
    pub file: u32,
    /// OID of its tablespace; 0 for its database's own.
    pub tablespace: u32,
    /// Whether nobody has changed or deleted the row.
    pub lives: bool,
}

/// The rows of `pg_class` in a page. What is no row of it is passed by.
pub fn classes(page: &[u8]) -> impl Iterator<Item = Class> + '_ {
    rows(page).filter_map(|(lives, row)| {
        Some(Class {
            lives,
            oid: u32_at(row, 0)?,
            name: name_at(row, 4)?,
            namespace: u32_at(row, 4 + NAME)?,
            file: u32_at(row, 88)?,
            tablespace: u32_at(row, 92)?,
        })
    })
}

/// The OIDs and names in a page of `pg_namespace` or `pg_database`, of which both begin with these; what lives comes last.
pub fn names(page: &[u8]) -> impl Iterator<Item = (u32, String)> + '_ {
    rows(page).filter_map(|(_, row)| Some((u32_at(row, 0)?, name_at(row, 4)?)))
}

/// What the role that `initdb` made is called, by these pages of `pg_authid`, of which a row begins with OID and name; none where
/// they do not tell.
pub fn bootstrap_superuser<'p>(pages: impl Iterator<Item = &'p [u8]>) -> Option<String> {
    let named = pages.flat_map(rows).filter(|(_, row)| u32_at(row, 0) == Some(BOOTSTRAP_SUPERUSER));
    // Of several as old as each other the last: where it lives on, it is the only one.
    let (_, row) = named.max_by_key(|(lives, _)| *lives)?;
    name_at(row, 4)
}

/// The rows in a heap page, without their headers, and whether they live; those that were changed or deleted come first.
fn rows(page: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    /// `HEAP_XMAX_INVALID`
    const NOT_DELETED: u16 = 0x0800;
    /// `HEAP_XMIN_INVALID`; together with `HEAP_XMIN_COMMITTED` it means frozen.
    const TAKEN_BACK: u16 = 0x0200;
    const COMMITTED: u16 = 0x0100;
    let mut rows: Vec<(bool, &[u8])> = items::pointers(page)
        .into_iter()
        .filter(|pointer| pointer.is_normal)
        .filter_map(|pointer| {
            let tuple = page.get(pointer.item)?;
            let (deleter, mask) = (u32_at(tuple, 4)?, u16_at(tuple, 20)?);
            let taken_back = mask & TAKEN_BACK != 0 && mask & COMMITTED == 0;
            let row = tuple.get(usize::from(*tuple.get(22)?)..).filter(|_| !taken_back)?;
            Some((deleter == 0 || mask & NOT_DELETED != 0, row))
        })
        .collect();
    rows.sort_by_key(|(lives, _)| *lives);
    rows.into_iter()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A name, which ends with the first zero.
fn name_at(bytes: &[u8], at: usize) -> Option<String> {
    let name = bytes.get(at..at.checked_add(NAME)?)?;
    let name = &name[..name.iter().position(|byte| *byte == 0)?];
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A map of these catalogs, as long as that of a major.
    fn map(size: usize, mappings: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend((mappings.len() as u32).to_le_bytes());
        bytes.extend(
            mappings.iter().flat_map(|(oid, number)| [oid.to_le_bytes(), number.to_le_bytes()]).flatten(),
        );
        let crc_at = CRC_AT.iter().find(|(of, _)| *of == size).unwrap().1;
        bytes.resize(crc_at, 0);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes.resize(size, 0);
        bytes
    }

    #[rstest]
    fn a_map_leads_both_ways(#[values(512, 524)] size: usize) {
        let map = FilenodeMap::read(&map(size, &[(PG_CLASS, 1259), (1249, 16_500)])).unwrap();
        assert_eq!(
            (map.file_of(PG_CLASS), map.file_of(1249), map.file_of(7)),
            (Some(1259), Some(16_500), None)
        );
        assert_eq!((map.catalog_of(16_500), map.catalog_of(1249)), (Some(1249), None));
    }

    #[test]
    fn a_damaged_map_is_refused() {
        let good = map(512, &[(PG_CLASS, 1259)]);
        let refused = |bytes: &[u8]| FilenodeMap::read(bytes).unwrap_err().to_string();
        assert_eq!(refused(&good[..511]), "pg_filenode.map: it has 511 bytes");
        let mut other = good.clone();
        other[0] = 0;
        assert_eq!(refused(&other), "pg_filenode.map: it begins with 00592700");
        let mut other = good.clone();
        other[9] ^= 1;
        assert!(refused(&other).contains("its CRC is "));
        let mut many = good;
        many[4] = 63;
        let crc = crc32c::crc32c(&many[..504]).to_le_bytes();
        many[504..508].copy_from_slice(&crc);
        assert_eq!(refused(&many), "pg_filenode.map: it has 63 mappings, of at most 62");
    }

    /// A heap page with these rows: what deleted each, its mask, and its data.
    fn page(rows: &[(u32, u16, &[u8])]) -> Vec<u8> {
        let mut page = vec![0; 8192];
        let mut upper = page.len();
        for (index, (deleter, mask, data)) in rows.iter().enumerate() {
            let mut tuple = vec![0; 24];
            tuple[4..8].copy_from_slice(&deleter.to_le_bytes());
            tuple[20..22].copy_from_slice(&mask.to_le_bytes());
            tuple[22] = 24;
            tuple.extend_from_slice(data);
            upper -= tuple.len();
            page[upper..upper + tuple.len()].copy_from_slice(&tuple);
            let item = upper as u32 | 1 << 15 | (tuple.len() as u32) << 17;
            page[24 + index * 4..28 + index * 4].copy_from_slice(&item.to_le_bytes());
        }
        page[12..14].copy_from_slice(&(24 + rows.len() as u16 * 4).to_le_bytes());
        page
    }

    fn class(oid: u32, name: &str, file: u32) -> Vec<u8> {
        let mut row = vec![0; 140];
        row[..4].copy_from_slice(&oid.to_le_bytes());
        row[4..4 + name.len()].copy_from_slice(name.as_bytes());
        row[68..72].copy_from_slice(&2200_u32.to_le_bytes());
        row[88..92].copy_from_slice(&file.to_le_bytes());
        row
    }

    #[test]
    fn what_lives_comes_last_and_what_was_taken_back_does_not_come() {
        let (now, before, never) = (class(7, "new", 9), class(7, "old", 9), class(8, "never", 9));
        let rows_page = page(&[(0, 0x0900, &now), (77, 0x0500, &before), (0, 0x0A00, &never)]);
        let rows: Vec<(String, bool)> = classes(&rows_page).map(|class| (class.name, class.lives)).collect();
        assert_eq!(rows, [("old".to_owned(), false), ("new".to_owned(), true)]);
        let frozen = page(&[(0, 0x0B00, &now)]);
        assert_eq!(
            classes(&frozen).collect::<Vec<_>>(),
            [Class { oid: 7, name: "new".to_owned(), namespace: 2200, file: 9, tablespace: 0, lives: true }]
        );
        assert_eq!(names(&frozen).collect::<Vec<_>>(), [(7, "new".to_owned())]);
    }

    #[test]
    fn the_first_role_is_known_by_its_number_whatever_it_was_called() {
        let role = |oid: u32, name: &str| class(oid, name, 0);
        let renamed = page(&[(0, 0x0900, &role(10, "admin")), (0, 0x0900, &role(16_384, "trader"))]);
        let before = page(&[(77, 0x0500, &role(10, "postgres"))]);
        let of = |pages: &[&[u8]]| bootstrap_superuser(pages.iter().copied());
        assert_eq!(of(&[&renamed, &before]).as_deref(), Some("admin"), "wherever it is");
        assert_eq!(of(&[&before, &renamed]).as_deref(), Some("admin"));
        assert_eq!(of(&[&before]).as_deref(), Some("postgres"));
        assert_eq!(of(&[&[0; 8192]]), None);
    }

    /// What servers wrote: the first page of `pg_class`, and the map by which it is found.
    #[rstest]
    fn what_servers_wrote_is_read(#[values(13, 17, 18)] major: u32) {
        let fixture = |name: &str| {
            let path = format!("{}/../../fixtures/ondisk/{name}-{major}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read(path).unwrap()
        };
        let map = FilenodeMap::read(&fixture("pg_filenode.map")).unwrap();
        let number = map.file_of(PG_CLASS).unwrap();
        assert_eq!(map.catalog_of(number), Some(PG_CLASS));
        let rows: Vec<Class> = classes(&fixture("pg_class")).collect();
        // `pg_statistic` (`pg_statistic.h`), of the schema `pg_catalog` (`pg_namespace.dat`), is among the first.
        let statistic = rows.iter().find(|class| class.name == "pg_statistic" && class.lives).unwrap();
        assert_eq!((statistic.oid, statistic.namespace, statistic.tablespace), (2619, 11, 0));
        assert!(statistic.file > 0);
    }

    #[rstest]
    #[case::empty(vec![])]
    #[case::short(vec![0xFF; 30])]
    #[case::nonsense(vec![0xFF; 8192])]
    #[case::zeros(vec![0; 8192])]
    fn what_is_no_page_has_no_rows(#[case] page: Vec<u8>) {
        assert_eq!(classes(&page).count(), 0);
    }
}
