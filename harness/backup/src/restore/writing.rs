//! Writes the files of a backup. Each is made anew: nothing is followed and nothing is overwritten, so that no archive can
//! make a link and then write through it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::tablespace;

use super::place::{Made, Mapping, Refused};
use super::{Place, settings};
use crate::flow::Work;
use crate::verify::Also;

/// Says, in the data directory, that it is not complete.
pub const INCOMPLETE: &str = "pgdrill.restore-is-not-complete";

/// What stands in it.
const NOTE: &str = "This directory was not restored to its end, or what was restored is not what its backup's manifest \
                    says.\nglobal/pg_control was left out on purpose, so that PostgreSQL does not start here.\n\
                    Remove the directory and restore again.\n";

/// The file that is put there last.
const CONTROL: &[u8] = b"global/pg_control";

/// A control file has 8192 bytes (`PG_CONTROL_FILE_SIZE`).
const CONTROL_BYTES: u64 = 64 << 10;

/// What belongs to a server that ran, and not to its backup.
const LEFT_OUT: [&[u8]; 2] = [b"postmaster.pid", b"postmaster.opts"];

/// A restore that is being written; shared by all threads.
pub struct Writing {
    into: PathBuf,
    /// Where tablespaces go, by their OID.
    tablespaces: Vec<(String, PathBuf)>,
    owner: Option<(u32, u32)>,
    made: Mutex<BTreeSet<PathBuf>>,
    control: Mutex<Option<Vec<u8>>>,
    trouble: Mutex<Option<String>>,
    failed: AtomicBool,
    sparse: AtomicU64,
}

/// A restore, as the verification sees it.
pub struct Restoring(pub Arc<Writing>);

impl Writing {
    /// Makes the directories, and says in them that they are not complete.
    pub fn begin(place: &Place, mapped: &[(String, Mapping)]) -> Result<Self, Refused> {
        let tablespaces = mapped.iter().map(|(_, mapping)| mapping.to.as_path());
        let directories: Vec<&Path> = std::iter::once(place.into.as_path()).chain(tablespaces).collect();
        let made = Made::of(&directories)?;
        let note = place.into.join(INCOMPLETE);
        let prepared = fs::write(&note, NOTE).and_then(|()| match place.owner {
            Some((user, group)) => {
                directories.iter().try_for_each(|directory| chown(directory, Some(user), Some(group)))
            }
            None => Ok(()),
        });
        if let Err(error) = prepared {
            _ = fs::remove_file(note);
            made.undo();
            return Err(Refused::Unusable { path: place.into.clone(), error });
        }
        Ok(Self {
            into: place.into.clone(),
            tablespaces: mapped.iter().map(|(oid, mapping)| (oid.clone(), mapping.to.clone())).collect(),
            owner: place.owner,
            made: Mutex::default(),
            control: Mutex::default(),
            trouble: Mutex::default(),
            failed: AtomicBool::new(false),
            sparse: AtomicU64::new(0),
        })
    }

    /// What went wrong first.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that were not written because they are zero.
    pub fn sparse(&self) -> u64 {
        self.sparse.load(Ordering::Relaxed)
    }

    /// The control file, before it is put in its place.
    pub fn control(&self) -> Option<Control> {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.as_ref().and_then(|bytes| Control::read(bytes).ok())
    }

    fn fail(&self, path: &Path, error: &io::Error) {
        self.failed.store(true, Ordering::Relaxed);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| format!("could not write \"{}\": {error}", path.display()));
    }

    /// Where a path of the backup lies now.
    fn place(&self, path: &[u8]) -> PathBuf {
        let within = |tablespace: &(String, PathBuf)| {
            let rest = path.strip_prefix(b"pg_tblspc/")?.strip_prefix(tablespace.0.as_bytes())?;
            match rest.strip_prefix(b"/") {
                Some(rest) => Some(tablespace.1.join(OsStr::from_bytes(rest))),
                None => rest.is_empty().then(|| tablespace.1.clone()),
            }
        };
        self.tablespaces.iter().find_map(within).unwrap_or_else(|| self.into.join(OsStr::from_bytes(path)))
    }

    /// Makes a directory and those above it, unless they are there.
    fn directory(&self, full: &Path, mode: u32) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let is_root = full == self.into || self.tablespaces.iter().any(|(_, root)| root == full);
        if is_root || made.contains(full) {
            return Ok(());
        }
        let roots = self.tablespaces.iter().map(|(_, root)| root).chain([&self.into]);
        let root = roots.filter(|root| full.starts_with(root)).max_by_key(|root| root.as_os_str().len());
        let Some(root) = root else { return Err(io::Error::other("it would lie outside")) };
        let mut missing: Vec<&Path> =
            full.ancestors().take_while(|above| *above != root.as_path() && !made.contains(*above)).collect();
        while let Some(directory) = missing.pop() {
            match DirBuilder::new().mode(0o700).create(directory) {
                Ok(()) => {
                    fs::set_permissions(directory, Permissions::from_mode(0o700 | (mode & 0o050)))?;
                    self.give(|user, group| chown(directory, user, group))?;
                }
                // Only what is made here is taken for granted.
                Err(error) => return Err(error),
            }
            made.insert(directory.to_owned());
        }
        Ok(())
    }

    fn give(&self, give: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => give(Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Makes a file that is not there.
    fn create(&self, full: &Path, mode: u32) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(full)?;
        if mode & 0o040 != 0 {
            file.set_permissions(Permissions::from_mode(0o640))?;
        }
        self.give(|user, group| fchown(&file, user, group))?;
        Ok(file)
    }

    /// Makes the directory one on which PostgreSQL starts.
    pub fn complete(
        &self,
        place: &Place,
        mapped: &[(String, Mapping)],
        manifest: Option<&Path>,
    ) -> Result<(), String> {
        let words = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| format!("could not write \"{}\": {error}", path.display())
        };
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(control) = control else {
            return Err(
                "the backup has no global/pg_control, so that there is nothing to start from".to_owned()
            );
        };
        self.link(mapped).map_err(words(&self.into.join("pg_tblspc")))?;
        if let Some(wanted) = &place.settings {
            let files = settings::write(wanted, &self.into).map_err(words(&self.into))?;
            for file in files {
                self.give(|user, group| chown(&file, user, group)).map_err(words(&file))?;
            }
        }
        let copy = self.into.join(super::MANIFEST);
        if let Some(bytes) = manifest.filter(|_| !copy.exists()).and_then(|manifest| fs::read(manifest).ok())
        {
            let mut file = self.create(&copy, 0).map_err(words(&copy))?;
            file.write_all(&bytes).map_err(words(&copy))?;
        }
        if place.sync {
            self.sync().map_err(words(&self.into))?;
        }
        let path = self.place(CONTROL);
        self.directory(&self.into.join("global"), 0).map_err(words(&path))?;
        let mut file = self.create(&path, 0).map_err(words(&path))?;
        file.write_all(&control).map_err(words(&path))?;
        if place.sync {
            file.sync_all().map_err(words(&path))?;
            File::open(self.into.join("global")).and_then(|d| d.sync_all()).map_err(words(&path))?;
        }
        let note = self.into.join(INCOMPLETE);
        fs::remove_file(&note).map_err(words(&note))?;
        if place.sync {
            File::open(&self.into).and_then(|directory| directory.sync_all()).map_err(words(&note))?;
        }
        Ok(())
    }

    /// Links tablespaces to where they are now, and says so in the map, by which the server makes the links anew.
    fn link(&self, mapped: &[(String, Mapping)]) -> io::Result<()> {
        if mapped.is_empty() {
            return Ok(());
        }
        let links = self.into.join("pg_tblspc");
        self.directory(&links, 0)?;
        for (oid, mapping) in mapped {
            let link = links.join(oid);
            symlink(&mapping.to, &link)?;
            self.give(|user, group| lchown(&link, user, group))?;
        }
        let map = self.into.join("tablespace_map");
        if map.exists() {
            let version = fs::read_to_string(self.into.join("PG_VERSION")).unwrap_or_default();
            let mappings: Vec<tablespace::Mapping> = mapped
                .iter()
                .map(|(oid, mapping)| tablespace::Mapping {
                    oid: oid.clone(),
                    path: mapping.to.to_string_lossy().into_owned(),
                })
                .collect();
            fs::write(&map, tablespace::write(&mappings, version.trim() != "13"))?;
        }
        Ok(())
    }

    /// Waits until all of it is on disk.
    fn sync(&self) -> io::Result<()> {
        let roots = self.tablespaces.iter().map(|(_, root)| root).chain([&self.into]);
        for root in roots {
            rustix::fs::syncfs(File::open(root)?)?;
        }
        Ok(())
    }
}

impl Also for Restoring {
    fn file(&self, path: &[u8], size: u64, mode: u32) -> io::Result<Box<dyn Work>> {
        let writing = &self.0;
        if LEFT_OUT.contains(&path) {
            return Ok(Box::new(Nothing));
        }
        if path == CONTROL {
            if size > CONTROL_BYTES {
                let error = io::Error::other(format!("it has {size} bytes, which no control file has"));
                writing.fail(&writing.place(path), &error);
                return Err(error);
            }
            return Ok(Box::new(Withheld { writing: Arc::clone(writing), bytes: Vec::new() }));
        }
        let full = writing.place(path);
        let parent = full.parent().unwrap_or(&writing.into);
        match writing.directory(parent, 0).and_then(|()| writing.create(&full, mode)) {
            Ok(file) => {
                Ok(Box::new(Written { writing: Arc::clone(writing), full, file, length: 0, hole: false }))
            }
            Err(error) => {
                let twice = error.kind() == ErrorKind::AlreadyExists;
                let error = if twice { io::Error::other("it is there twice") } else { error };
                writing.fail(&full, &error);
                Err(error)
            }
        }
    }

    fn directory(&self, path: &[u8], mode: u32) -> io::Result<()> {
        let full = self.0.place(path);
        self.0.directory(&full, mode).inspect_err(|error| self.0.fail(&full, error))
    }

    fn has_failed(&self) -> bool {
        self.0.failed.load(Ordering::Relaxed)
    }
}

/// A file that is not restored.
struct Nothing;

impl Work for Nothing {
    fn cost(&self) -> u64 {
        0
    }

    fn take(&mut self, _: &[u8]) {}

    fn end(self: Box<Self>) {}
}

/// The control file, until all else is there.
struct Withheld {
    writing: Arc<Writing>,
    bytes: Vec<u8>,
}

impl Work for Withheld {
    fn cost(&self) -> u64 {
        1
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end(self: Box<Self>) {
        *self.writing.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.bytes);
    }
}

/// A file that is written.
struct Written {
    writing: Arc<Writing>,
    full: PathBuf,
    file: File,
    length: u64,
    /// Whether it ends with what was not written.
    hole: bool,
}

impl Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Whole buffers of zeros are left out; small ones are not worth a hole.
        self.hole = bytes.len() == crate::flow::BUFFER && bytes.iter().all(|byte| *byte == 0);
        if self.hole {
            self.writing.sparse.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.file.seek(SeekFrom::Current(bytes.len() as i64))?;
        } else {
            self.file.write_all(bytes)?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Work for Written {
    fn cost(&self) -> u64 {
        7
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.writing.failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.write(bytes) {
            self.writing.fail(&self.full, &error);
        }
    }

    fn end(self: Box<Self>) {
        if self.hole
            && let Err(error) = self.file.set_len(self.length)
        {
            self.writing.fail(&self.full, &error);
        }
    }
}
