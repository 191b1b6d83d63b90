//! Which relation a file is of that something is wrong with: its name, looked up in the catalogs of the backup itself. Only
//! where there is something to name, and for it the backup is read once more, as far as its catalogs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use pgdrill_ondisk::catalog::{self, Class, FilenodeMap, PG_CLASS, PG_DATABASE, PG_NAMESPACE};
use pgdrill_ondisk::relation;

use super::given::Content;
use super::incremental::PREFIX;
use crate::parts::Part;
use crate::tarball::{self, Kind};
use crate::unpack;

/// More files than this are not named: nobody reads them.
const NAMED: usize = 1000;

/// The map of a database's catalogs, in its directory.
pub const MAP: &[u8] = b"/pg_filenode.map";

/// Where the files of a backup can be read again.
pub enum Again {
    /// In a directory.
    Plain(PathBuf),
    /// In archives.
    Tars(Vec<Part>),
    /// Nowhere.
    Nowhere,
}

impl Again {
    /// Those of a backup.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::Plain(root) => Self::Plain(root.clone()),
            Content::Tars { parts, .. } => Self::Tars(parts.clone()),
            Content::Stream(_) | Content::Nothing => Self::Nowhere,
        }
    }

    /// Gives each page of these files, as far as they can be read.
    fn pages(&self, wanted: &BTreeSet<Vec<u8>>, page_size: usize, each: &mut dyn FnMut(&[u8], &[u8])) {
        match self {
            Self::Nowhere => {}
            Self::Plain(root) => {
                for path in wanted {
                    let file = File::open(root.join(OsStr::from_bytes(path)));
                    // What cannot be read was told when it was verified.
                    _ = file.and_then(|file| pages(BufReader::new(file), page_size, |page| each(path, page)));
                }
            }
            Self::Tars(parts) => {
                let mut left = wanted.clone();
                for part in parts.iter().filter(|_| !wanted.is_empty()) {
                    let Ok(unpacked) = unpack::of_part(part) else { continue };
                    _ = tarball::read(unpacked, |member, content| {
                        if left.is_empty() {
                            return Err(io::Error::other("all that is wanted was there"));
                        }
                        let Some(path) = member.path.as_ref().filter(|_| member.kind == Kind::File) else {
                            return Ok(());
                        };
                        let Some(path) = part.path_of(path) else { return Ok(()) };
                        if left.remove(&path) {
                            pages(content, page_size, |page| each(&path, page))?;
                        }
                        Ok(())
                    });
                }
            }
        }
    }
}

/// Gives each whole page of a file.
fn pages(mut file: impl Read, page_size: usize, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut page = vec![0; page_size];
    loop {
        match file.read_exact(&mut page) {
            Ok(()) => each(&page),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A file of a relation.
struct Wanted {
    path: Vec<u8>,
    /// The directory that its database's catalogs lie in.
    home: Vec<u8>,
    /// OID of its tablespace, as `pg_class` has it: 0 for its database's own.
    tablespace: u32,
    /// Its number.
    number: u32,
    /// OID of its database; 0 for what all share.
    database: u32,
}

/// What is known of the databases of a backup.
#[derive(Default)]
struct Catalogs {
    /// The maps, by directory.
    maps: BTreeMap<Vec<u8>, FilenodeMap>,
    /// Rows of `pg_class`, by the directory of their database.
    classes: BTreeMap<Vec<u8>, Vec<Class>>,
    schemas: BTreeMap<(Vec<u8>, u32), String>,
    databases: BTreeMap<u32, String>,
}

/// The names of relations whose files lie at these paths: `public.Order of database trading`. `maps`: those of the
/// catalogs, by path.
pub fn of(
    paths: BTreeSet<Vec<u8>>,
    maps: &BTreeMap<Vec<u8>, Vec<u8>>,
    from: &Again,
    page_size: usize,
) -> BTreeMap<Vec<u8>, String> {
    let mut catalogs = Catalogs::default();
    for (path, bytes) in maps {
        if let (Some(directory), Ok(map)) = (path.strip_suffix(MAP), FilenodeMap::read(bytes)) {
            catalogs.maps.insert(directory.to_vec(), map);
        }
    }
    let wanted: Vec<Wanted> =
        paths.into_iter().filter_map(|path| catalogs.wanted(path)).take(NAMED).collect();
    if !wanted.is_empty() {
        catalogs.read(&wanted, from, page_size);
    }
    wanted.iter().filter_map(|wanted| Some((wanted.path.clone(), catalogs.name(wanted)?))).collect()
}

impl Catalogs {
    /// What is to be looked up for a path; nothing for one that is no relation's, or whose database has no map.
    fn wanted(&self, path: Vec<u8>) -> Option<Wanted> {
        let located = relation::locate(std::str::from_utf8(&path).ok()?)?;
        let number = relation::parse(located.name.strip_prefix(PREFIX).unwrap_or(located.name))?.number;
        let database = located.database;
        let (home, tablespace) = match located.tablespace {
            // Every database knows the catalogs that all share.
            relation::GLOBAL => (self.homes().next()?.clone(), 0),
            relation::DEFAULT => (located.directory.as_bytes().to_vec(), 0),
            oid => {
                let ending = format!("/{database}");
                let home = self.homes().find(|home| home.ends_with(ending.as_bytes()))?.clone();
                let own = home == located.directory.as_bytes();
                (home, if own { 0 } else { oid })
            }
        };
        self.maps.contains_key(&home).then_some(Wanted { path, home, tablespace, number, database })
    }

    /// Directories of databases.
    fn homes(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.maps.keys().filter(|directory| directory.as_slice() != b"global")
    }

    /// Reads what is wanted of the catalogs.
    fn read(&mut self, wanted: &[Wanted], from: &Again, page_size: usize) {
        let homes: BTreeSet<&Vec<u8>> = wanted.iter().map(|wanted| &wanted.home).collect();
        let path = |home: &[u8], number: u32| [home, b"/", number.to_string().as_bytes()].concat();
        let mut classes = BTreeMap::new();
        let mut schemas = BTreeMap::new();
        for home in homes {
            if let Some(number) = self.maps.get(home).and_then(|map| map.file_of(PG_CLASS)) {
                classes.insert(path(home, number), home.clone());
                // Where it lies unless somebody has rewritten it.
                schemas.insert(path(home, PG_NAMESPACE), home.clone());
            }
        }
        let databases = self.maps.get(b"global".as_slice()).and_then(|map| map.file_of(PG_DATABASE));
        let databases = databases.map(|number| path(b"global", number));
        let numbers: BTreeSet<u32> = wanted.iter().map(|wanted| wanted.number).collect();
        let mapped: BTreeSet<u32> = self
            .maps
            .values()
            .flat_map(|map| numbers.iter().filter_map(|number| map.catalog_of(*number)))
            .chain([PG_NAMESPACE])
            .collect();
        let all = classes.keys().chain(schemas.keys()).chain(&databases).cloned().collect();
        from.pages(&all, page_size, &mut |path, page| {
            if let Some(home) = classes.get(path) {
                let rows = catalog::classes(page)
                    .filter(|class| numbers.contains(&class.file) || mapped.contains(&class.oid));
                self.classes.entry(home.clone()).or_default().extend(rows);
            }
            self.note_names(path, page, &schemas, databases.as_ref());
        });
        let moved: BTreeMap<Vec<u8>, Vec<u8>> = self
            .classes
            .iter()
            .filter_map(|(home, classes)| {
                let number = classes.iter().rfind(|class| class.oid == PG_NAMESPACE)?.file;
                (number != PG_NAMESPACE).then(|| (path(home, number), home.clone()))
            })
            .collect();
        if !moved.is_empty() {
            let all = moved.keys().cloned().collect();
            from.pages(&all, page_size, &mut |path, page| self.note_names(path, page, &moved, None));
        }
    }

    fn note_names(
        &mut self,
        path: &[u8],
        page: &[u8],
        schemas: &BTreeMap<Vec<u8>, Vec<u8>>,
        databases: Option<&Vec<u8>>,
    ) {
        if let Some(home) = schemas.get(path) {
            self.schemas.extend(catalog::names(page).map(|(oid, name)| ((home.clone(), oid), name)));
        } else if databases.is_some_and(|databases| databases == path) {
            self.databases.extend(catalog::names(page));
        }
    }

    fn name(&self, wanted: &Wanted) -> Option<String> {
        let shared = wanted.database == 0;
        let map = if shared { self.maps.get(b"global".as_slice()) } else { self.maps.get(&wanted.home) };
        let mapped = map.and_then(|map| map.catalog_of(wanted.number));
        let is_it = |class: &&Class| match mapped {
            Some(oid) => class.oid == oid,
            // What all share lies in `pg_global`, which `pg_class` names, so its number alone has to do.
            None => class.file == wanted.number && (shared || class.tablespace == wanted.tablespace),
        };
        let class = self.classes.get(&wanted.home)?.iter().filter(is_it).max_by_key(|class| class.lives)?;
        let relation = match self.schemas.get(&(wanted.home.clone(), class.namespace)) {
            Some(schema) => format!("{schema}.{}", class.name),
            None => class.name.clone(),
        };
        Some(match self.databases.get(&wanted.database) {
            Some(database) => format!("{relation} of database {database}"),
            None if shared => format!("{relation}, which all databases share"),
            None => relation,
        })
    }
}
