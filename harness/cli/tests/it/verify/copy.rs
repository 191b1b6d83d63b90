//! A copy of one backup, and what can be done to it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stock::{Stock, done};

/// Bytes of a WAL segment of these clusters.
pub const SEGMENT: u64 = 1 << 20;

/// A copy that is damaged.
pub struct Copy<'a> {
    pub stock: &'a Stock,
    /// Where it lies with what belongs to it.
    pub root: PathBuf,
    /// The backup itself.
    pub backup: PathBuf,
}

impl<'a> Copy<'a> {
    /// A tree of links to the files of `from`: what is changed is made a file of its own first.
    pub fn new(stock: &'a Stock, from: &Path, root: PathBuf) -> Self {
        done(Command::new("cp").arg("-al").arg(from).arg(&root));
        let space = root.join("space");
        let plain = root.join("data");
        let copy = Self { stock, backup: if plain.exists() { plain } else { root.clone() }, root };
        // Its link leads to where the backup was made.
        if space.exists() {
            copy.link_space(&space);
        }
        copy
    }

    fn link_space(&self, to: &Path) {
        let link = self.path(&format!("pg_tblspc/{}", self.fact("space")));
        fs::remove_file(&link).unwrap();
        symlink(to, link).unwrap();
    }

    pub fn fact(&self, name: &str) -> &str {
        &self.stock.facts[name]
    }

    /// A text with the names of facts in braces.
    pub fn fill(&self, text: &str) -> String {
        let facts = self.stock.facts.iter();
        facts.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.backup.join(self.fill(name))
    }

    /// A file that is no longer shared with other copies.
    pub fn own(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        own(&path);
        path
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.own(name), bytes).unwrap();
    }

    pub fn append(&self, name: &str, bytes: &[u8]) {
        OpenOptions::new().append(true).open(self.own(name)).unwrap().write_all(bytes).unwrap();
    }

    /// Changes every bit of one byte, by default.
    pub fn flip(&self, name: &str, at: u64) {
        self.invert(name, at, 1);
    }

    pub fn invert(&self, name: &str, at: u64, count: usize) {
        invert(&self.own(name), at, count);
    }

    pub fn truncate(&self, name: &str, length: u64) {
        OpenOptions::new().write(true).open(self.own(name)).unwrap().set_len(length).unwrap();
    }

    pub fn half(&self, name: &str) {
        self.truncate(name, fs::metadata(self.path(name)).unwrap().len() / 2);
    }

    pub fn remove(&self, name: &str) {
        let path = self.path(name);
        let removed = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.unwrap();
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.own(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Takes a file of another backup.
    pub fn take(&self, from: &str, name: &str) {
        let bytes = fs::read(self.stock.original(from)).unwrap();
        self.write(name, bytes);
    }

    /// Moves something of the backup beside it.
    pub fn set_aside(&self, name: &str) -> PathBuf {
        let aside = self.root.join("aside");
        fs::rename(self.path(name), &aside).unwrap();
        aside
    }

    pub fn manifest(&self) -> String {
        fs::read_to_string(self.path("backup_manifest")).unwrap()
    }

    /// Changes the text of the manifest, whose checksum is then wrong.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let before = self.manifest();
        let after = change(before.clone());
        assert_ne!(before, after, "the change changes nothing");
        self.write("backup_manifest", after);
    }

    /// Changes the text of the manifest and makes its checksum right again.
    pub fn reseal(&self, change: impl FnOnce(String) -> String) {
        self.edit(|text| {
            let text = change(text);
            let at = text.rfind("\"Manifest-Checksum\"").unwrap();
            let body = &text[..at];
            format!("{body}\"Manifest-Checksum\": \"{}\"}}\n", sha256(body.as_bytes()))
        });
    }

    /// Puts a file into the manifest as it is now: what was damaged before the backup looks so.
    pub fn relist(&self, name: &str) {
        let name = self.fill(name);
        let bytes = fs::read(self.path(&name)).unwrap();
        let (size, checksum) = (bytes.len(), sha256(&bytes));
        let line = format!(
            "{{ \"Path\": \"{name}\", \"Size\": {size}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \
             \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{checksum}\" }}"
        );
        self.reseal(|text| {
            let begins = format!("{{ \"Path\": \"{name}\",");
            match text.find(&begins) {
                Some(at) => {
                    let end = at + text[at..].find('}').unwrap() + 1;
                    format!("{}{line}{}", &text[..at], &text[end..])
                }
                None => text.replacen("\"Files\": [\n", &format!("\"Files\": [\n{line},\n"), 1),
            }
        });
    }

    /// The WAL that the manifest calls for: the first range's timeline, and its bytes.
    pub fn wal_range(&self) -> (u32, Range<u64>) {
        let manifest: serde_json::Value = serde_json::from_str(&self.manifest()).unwrap();
        let range = &manifest["WAL-Ranges"][0];
        let lsn = |name: &str| {
            let (high, low) = range[name].as_str().unwrap().split_once('/').unwrap();
            (u64::from_str_radix(high, 16).unwrap() << 32) + u64::from_str_radix(low, 16).unwrap()
        };
        let timeline = range["Timeline"].as_u64().unwrap() as u32;
        (timeline, lsn("Start-LSN")..lsn("End-LSN"))
    }

    /// The segment that holds a position, and where in it.
    pub fn segment(&self, position: u64) -> (String, u64) {
        let number = position / SEGMENT;
        let per_file = (1 << 32) / SEGMENT;
        let (timeline, _) = self.wal_range();
        (format!("{timeline:08X}{:08X}{:08X}", number / per_file, number % per_file), position % SEGMENT)
    }

    /// Changes what is in a tar, and packs it as it was packed.
    pub fn repack(&self, tar: &str, change: impl FnOnce(&Path)) {
        let tar = self.archive(tar);
        let content = self.root.join("content");
        fs::create_dir(&content).unwrap();
        let program = packer(&tar);
        let mut unpack = Command::new("tar");
        if let Some(program) = program {
            unpack.args(["-I", program]);
        }
        done(unpack.arg("-xf").arg(&tar).arg("-C").arg(&content));
        change(&content);
        fs::remove_file(&tar).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&content).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let mut pack = Command::new("tar");
        if let Some(program) = program {
            pack.args(["-I", program]);
        }
        done(pack.arg("--format=ustar").arg("-cf").arg(&tar).arg("-C").arg(&content).args(names));
        fs::remove_dir_all(&content).unwrap();
    }

    /// `base.tar` or another with the ending that it has here.
    pub fn archive(&self, tar: &str) -> PathBuf {
        let tar = self.fill(tar);
        let endings = ["", ".gz", ".lz4", ".zst"].into_iter();
        let mut candidates = endings.map(|ending| self.backup.join(format!("{tar}{ending}")));
        let path = candidates.find(|path| path.exists()).unwrap();
        own(&path);
        path
    }
}

/// The program that packs a tar of this name.
fn packer(tar: &Path) -> Option<&'static str> {
    match tar.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => Some("gzip"),
        Some("lz4") => Some("lz4"),
        Some("zst") => Some("zstd"),
        _ => None,
    }
}

/// Makes a file one that no other name leads to.
fn own(path: &Path) {
    if path.is_file() {
        let apart = path.with_file_name("own");
        fs::copy(path, &apart).unwrap();
        let of = fs::metadata(path).unwrap();
        chown(&apart, Some(of.uid()), Some(of.gid())).unwrap();
        fs::rename(apart, path).unwrap();
    }
}

/// Changes every bit of some bytes of a file.
pub fn invert(path: &Path, at: u64, count: usize) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let mut bytes = vec![0; count];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&bytes).unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
