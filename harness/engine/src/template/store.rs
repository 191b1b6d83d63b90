//! Where templates lie: `templates/KEY` beside the workspaces, each with a list of what is in it.
//!
//! Whoever uses one holds a shared lock on its directory; whoever removes one first takes an exclusive lock, and does not
//! wait for it. One that is being made has another name, and its maker's exclusive lock; the last step gives it its own.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use pgdrill_backup::inspect;
use pgdrill_model::evidence::LoadEvidence;
use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::tree::{self, Copying, List};

/// The directory of templates, within that of workspaces.
const DIRECTORY: &str = "templates";

/// What is in a template: written last and removed first, so that one without it is not whole.
const CONTENTS: &str = "template.json";

/// The parts of a template: the data directory, and the tablespaces by their names.
const DATA: &str = "data";
const TABLESPACES: &str = "tablespaces";

/// How many bytes all templates together may take.
pub const LIMIT: u64 = 2 << 30;

/// The templates of one directory of workspaces.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What is in a template.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    key: String,
    load: LoadEvidence,
    /// The names of tablespaces, by OID.
    names: BTreeMap<String, String>,
    data: List,
    tablespaces: List,
}

/// A template that nobody removes meanwhile.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    contents: Contents,
    lock: File,
}

/// A template that is being made. One that does not come to its end goes away.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    _lock: File,
}

/// A stopped cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its data directory.
    pub data: PathBuf,
    /// The directory of its tablespaces.
    pub tablespaces: PathBuf,
}

/// What became of all templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many were removed.
    pub removed: usize,
    /// What they took.
    pub bytes: u64,
    /// How many somebody uses.
    pub used: usize,
}

impl Store {
    /// The templates beside the workspaces of `base`.
    pub fn below(base: &Path) -> Self {
        Self { root: base.join(DIRECTORY) }
    }

    /// The template of `key`, where it is there; it is used as of now. One that is not whole is removed.
    pub fn find(&self, key: &Key) -> Option<Held> {
        let path = self.root.join(key.name());
        let lock = File::open(&path).ok()?;
        lock.try_lock_shared().ok()?;
        let contents: Option<Contents> =
            fs::read(path.join(CONTENTS)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        match contents.filter(|contents| contents.key == key.name()) {
            Some(contents) => {
                // Who was not used for longest goes first; one whose time cannot be set goes before its turn.
                let _ = lock.set_modified(SystemTime::now());
                Some(Held { path, contents, lock })
            }
            None => {
                drop(lock);
                self.discard(key);
                None
            }
        }
    }

    /// Removes the template of `key`, unless somebody uses it.
    pub fn discard(&self, key: &Key) {
        remove_unused(&self.root.join(key.name()));
    }

    /// Begins a template, for run `id`.
    ///
    /// # Errors
    ///
    /// What cannot be made.
    pub fn begin(&self, id: &str) -> io::Result<Making> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        private.recursive(true).create(&self.root)?;
        private.recursive(false);
        let path = self.half_made(id);
        private.create(&path)?;
        let lock = File::open(&path)?;
        lock.lock()?;
        let making = Making { path, _lock: lock };
        for part in [DATA, TABLESPACES] {
            private.create(making.path.join(part))?;
        }
        Ok(making)
    }

    /// The template that run `id` makes, until it is one.
    pub fn half_made(&self, id: &str) -> PathBuf {
        self.root.join(format!("making-{id}"))
    }

    /// Free bytes where templates lie.
    pub fn free(&self) -> u64 {
        let there = self.root.ancestors().find(|part| part.is_dir());
        let space = there.and_then(|there| rustix::fs::statvfs(there).ok());
        space.map_or(0, |fs| fs.f_bavail * fs.f_frsize)
    }

    /// Every whole template, the one that was not used for longest first.
    fn all(&self) -> Vec<PathBuf> {
        let mut found: Vec<(SystemTime, PathBuf)> = entries(&self.root)
            .into_iter()
            .filter(|path| is_whole(path))
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// Removes templates that were not used for longest until all together take at most `limit` bytes, or the others are
    /// used.
    pub fn keep_within(&self, limit: u64) {
        let all: Vec<(PathBuf, u64)> = self
            .all()
            .into_iter()
            .map(|path| (inspect::size(&path), path))
            .map(|(size, path)| (path, size))
            .collect();
        let mut total: u64 = all.iter().map(|(_, size)| size).sum();
        for (path, size) in all {
            if total <= limit {
                break;
            }
            if remove_unused(&path) {
                total -= size;
            }
        }
    }

    /// Removes templates that were not used for longest until `needed` bytes are free: none is in the way of a drill.
    pub fn give_way(&self, needed: u64) {
        for path in self.all() {
            if self.free() >= needed {
                break;
            }
            remove_unused(&path);
        }
        self.leave();
    }

    /// Removes the directory of templates where it is empty, and that of workspaces where it is, too.
    fn leave(&self) {
        if fs::remove_dir(&self.root).is_ok()
            && let Some(base) = self.root.parent()
        {
            let _ = fs::remove_dir(base);
        }
    }
}

impl Held {
    /// Copies the template into a place where nothing is yet. Gives where the data was loaded from, and the names of
    /// tablespaces by OID, to which links have to be made.
    ///
    /// # Errors
    ///
    /// A template that is not what it was, or a copy that cannot be written.
    pub fn copy(
        self,
        into: &Cluster,
        given_up: &AtomicBool,
    ) -> io::Result<(LoadEvidence, BTreeMap<String, String>)> {
        let Self { path, contents: Contents { key: _, load, names, data, tablespaces }, lock: _lock } = self;
        let copying = Copying { leave_out: &|_| false, given_up, went_away: None };
        for (part, target, wanted) in
            [(DATA, &into.data, &data), (TABLESPACES, &into.tablespaces, &tablespaces)]
        {
            if copying.copy(&path.join(part), target)? != *wanted {
                let message = format!("{} is not what was put there", path.join(part).display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok((load, names))
    }
}

impl Making {
    /// Copies a cluster into it, without what `leave_out` tells of its data directory.
    ///
    /// # Errors
    ///
    /// What cannot be read or written.
    pub fn copy(
        &self,
        from: &Cluster,
        leave_out: &dyn Fn(&str) -> bool,
        given_up: &AtomicBool,
    ) -> io::Result<()> {
        Copying { leave_out, given_up, went_away: None }.copy(&from.data, &self.path.join(DATA))?;
        Copying { leave_out: &|_| false, given_up, went_away: None }
            .copy(&from.tablespaces, &self.path.join(TABLESPACES))
            .map(|_| ())
    }

    /// Makes it the template of `key`. Where another drill was first, that one's stays.
    ///
    /// # Errors
    ///
    /// What cannot be read or written.
    pub fn finish(
        self,
        store: &Store,
        key: &Key,
        load: &LoadEvidence,
        names: BTreeMap<String, String>,
    ) -> io::Result<()> {
        let contents = Contents {
            key: key.name().to_owned(),
            load: load.clone(),
            names,
            data: tree::list(&self.path.join(DATA))?,
            tablespaces: tree::list(&self.path.join(TABLESPACES))?,
        };
        fs::write(self.path.join(CONTENTS), serde_json::to_vec(&contents)?)?;
        match fs::rename(&self.path, store.root.join(key.name())) {
            // What is in it is the same.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            renamed => renamed,
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // After the last step nothing has this name.
        remove(&self.path);
        if let Some(root) = self.path.parent() {
            let _ = fs::remove_dir(root);
        }
    }
}

/// Removes what dead runs below `base` have left half-made, or half-removed; tells how many.
pub fn sweep(base: &Path) -> usize {
    let store = Store::below(base);
    let half = entries(&store.root).into_iter().filter(|path| !is_whole(path));
    let removed = half.filter(|path| remove_unused(path)).count();
    store.leave();
    removed
}

/// Removes every template below `base` that nobody uses.
pub fn clear(base: &Path) -> Cleared {
    let store = Store::below(base);
    let mut cleared = Cleared::default();
    for path in store.all() {
        let bytes = inspect::size(&path);
        if remove_unused(&path) {
            cleared.removed += 1;
            cleared.bytes += bytes;
        } else {
            cleared.used += 1;
        }
    }
    store.leave();
    cleared
}

/// How many templates there are below `base`, and how many bytes they take.
pub fn taken(base: &Path) -> (usize, u64) {
    let all = Store::below(base).all();
    (all.len(), all.iter().map(|path| inspect::size(path)).sum())
}

fn entries(root: &Path) -> Vec<PathBuf> {
    fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_whole(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Key::is_name(&name) && path.join(CONTENTS).is_file()
}

/// Removes a template, unless somebody uses or makes it; tells whether it is gone.
fn remove_unused(path: &Path) -> bool {
    let Ok(directory) = File::open(path) else { return !path.exists() };
    directory.try_lock().is_ok() && remove(path)
}

fn remove(path: &Path) -> bool {
    let _ = fs::remove_file(path.join(CONTENTS));
    let _ = fs::remove_dir_all(path);
    !path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::key::tests::key_of;
    use std::time::Duration;

    struct Bench {
        directory: tempfile::TempDir,
        store: Store,
    }

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir_all(directory.path().join("from/data/empty")).unwrap();
            fs::create_dir_all(directory.path().join("from/tablespaces/history")).unwrap();
            fs::write(directory.path().join("from/data/file"), "x".repeat(1000)).unwrap();
            fs::write(directory.path().join("from/data/out"), "out").unwrap();
            let store = Store::below(&directory.path().join("base"));
            Self { directory, store }
        }

        fn cluster(&self, name: &str) -> Cluster {
            let path = |part: &str| self.directory.path().join(name).join(part);
            Cluster { data: path("data"), tablespaces: path("tablespaces") }
        }

        fn make(&self, key: &Key) {
            let making = self.store.begin(&format!("of-{key}")).unwrap();
            self.fill(&making);
            making.finish(&self.store, key, &LoadEvidence::default(), BTreeMap::new()).unwrap();
        }

        fn fill(&self, making: &Making) {
            let from = self.cluster("from");
            making.copy(&from, &|path| path == "out", &AtomicBool::new(false)).unwrap();
        }

        fn take(&self, key: &Key, name: &str) -> Option<io::Result<Cluster>> {
            let into = self.cluster(name);
            fs::create_dir_all(&into.data).unwrap();
            fs::create_dir_all(&into.tablespaces).unwrap();
            let held = self.store.find(key)?;
            Some(held.copy(&into, &AtomicBool::new(false)).map(|_| into))
        }

        fn names(&self) -> Vec<String> {
            let path = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            entries(&self.store.root).into_iter().map(path).collect()
        }

        fn base(&self) -> PathBuf {
            self.directory.path().join("base")
        }
    }

    #[test]
    fn a_template_is_what_was_put_there_and_only_for_its_key() {
        let bench = Bench::new();
        let key = key_of("one");
        assert!(bench.take(&key, "before").is_none());
        bench.make(&key);
        let taken = bench.take(&key, "into").unwrap().unwrap();
        assert_eq!(fs::read(taken.data.join("file")).unwrap().len(), 1000);
        assert!(taken.data.join("empty").is_dir() && taken.tablespaces.join("history").is_dir());
        assert!(!taken.data.join("out").exists());
        assert!(bench.take(&key_of("other"), "other").is_none());
        assert_eq!(taken_below(&bench).0, 1);
    }

    fn taken_below(bench: &Bench) -> (usize, u64) {
        taken(&bench.base())
    }

    #[test]
    fn one_that_is_not_what_it_was_is_told_by_its_list() {
        let bench = Bench::new();
        let key = key_of("one");
        bench.make(&key);
        let data = bench.store.root.join(key.name()).join(DATA);
        fs::write(data.join("file"), "y".repeat(1000)).unwrap();
        assert_eq!(bench.take(&key, "a").unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
        bench.store.discard(&key);
        assert!(bench.take(&key, "b").is_none());
        bench.make(&key);
        fs::remove_dir(data.join("empty")).unwrap();
        assert!(bench.take(&key, "c").unwrap().is_err());
        fs::write(bench.store.root.join(key.name()).join(CONTENTS), "{").unwrap();
        assert!(bench.take(&key, "d").is_none());
        assert_eq!(bench.names(), Vec::<String>::new(), "one without a list is removed at once");
    }

    #[test]
    fn who_comes_second_with_the_same_drops_his() {
        let bench = Bench::new();
        let key = key_of("one");
        let (first, second) = (bench.store.begin("first").unwrap(), bench.store.begin("second").unwrap());
        for making in [first, second] {
            bench.fill(&making);
            making.finish(&bench.store, &key, &LoadEvidence::default(), BTreeMap::new()).unwrap();
        }
        assert_eq!(bench.names(), [key.name()]);
        assert!(bench.take(&key, "into").unwrap().is_ok());
    }

    #[test]
    fn who_was_not_used_for_longest_goes_first_and_who_is_used_stays() {
        let bench = Bench::new();
        let keys = ["one", "two", "three", "four"].map(key_of);
        for (key, age) in keys.iter().zip([4, 3, 2, 1]) {
            bench.make(key);
            let when = SystemTime::now() - Duration::from_secs(age * 100);
            File::open(bench.store.root.join(key.name())).unwrap().set_modified(when).unwrap();
        }
        let each = taken_below(&bench).1 / 4;
        // Using one makes it the youngest; while it is used nobody removes it.
        drop(bench.store.find(&keys[0]).unwrap());
        let held = bench.store.find(&keys[1]).unwrap();
        bench.store.keep_within(each * 5 / 2);
        assert!([0, 1].iter().all(|kept| bench.names().contains(&keys[*kept].name().to_owned())));
        assert_eq!(bench.names().len(), 2);
        bench.store.keep_within(0);
        assert_eq!(bench.names(), [keys[1].name()]);
        assert_eq!(clear(&bench.base()), Cleared { removed: 0, bytes: 0, used: 1 });
        drop(held);
        assert_eq!(clear(&bench.base()).removed, 1);
        assert!(!bench.base().exists());
    }

    #[test]
    fn none_is_in_the_way_of_a_drill() {
        let bench = Bench::new();
        bench.make(&key_of("one"));
        bench.store.give_way(1);
        assert_eq!(taken_below(&bench).0, 1);
        bench.store.give_way(u64::MAX);
        assert_eq!(taken_below(&bench).0, 0);
    }

    #[test]
    fn what_is_half_made_goes_away_unless_somebody_makes_it() {
        let bench = Bench::new();
        let making = bench.store.begin("living").unwrap();
        bench.fill(&making);
        let dead = bench.store.root.join("making-dead");
        fs::create_dir_all(dead.join(DATA)).unwrap();
        let half = bench.store.root.join(key_of("half").name());
        fs::create_dir_all(half.join(DATA)).unwrap();
        assert_eq!(sweep(&bench.base()), 2);
        assert_eq!(bench.names(), ["making-living"]);
        drop(making);
        assert!(!bench.store.root.exists());
        assert_eq!(sweep(&bench.base()), 0);
        assert!(!bench.base().exists() || fs::read_dir(bench.base()).unwrap().count() == 0);
    }
}
