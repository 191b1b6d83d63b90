//! A backup as named members, whatever its format, for whoever changes one on purpose: a fault that must be noticed. No
//! file is ever written in place, so that a copy made by hard links can be changed and the original stays as it is.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};

use crate::Unreadable;
use crate::parts::{self, Packed, Part};
use crate::unpack;

/// What becomes of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It has this content; a member that is not there is made, as one of `base.tar` in a tar backup.
    Write(Vec<u8>),
    /// It is not there any more; an empty directory, too.
    Remove,
    /// It has these access rights.
    Mode(u32),
}

/// A backup that lies in a directory.
#[derive(Clone, Debug)]
pub struct Members {
    directory: PathBuf,
    parts: Vec<Part>,
}

impl Members {
    /// The backup in `directory`, plain or in tar format.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), parts: parts::of_tar(directory) }
    }

    /// Whether it is in tar format.
    pub fn is_tar(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Its files by their paths as a manifest has them, with their sizes in bytes; those of `pg_wal` too.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn list(&self) -> Result<BTreeMap<String, u64>, Unreadable> {
        let mut found = BTreeMap::new();
        if !self.is_tar() {
            walk(&self.directory, "", &mut found)?;
        }
        for part in &self.parts {
            each(part, |path, entry| {
                if entry.header().entry_type().is_file() {
                    found.insert(path.to_owned(), entry.header().size()?);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// The first `most` bytes of each file that is `wanted`, by its path and size.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn heads(
        &self,
        most: u64,
        wanted: impl Fn(&str, u64) -> bool,
    ) -> Result<BTreeMap<String, Vec<u8>>, Unreadable> {
        let mut found = BTreeMap::new();
        if !self.is_tar() {
            for (path, size) in self.list()? {
                if wanted(&path, size) {
                    let file = self.directory.join(&path);
                    let bytes =
                        head(&file, most).map_err(|error| Unreadable::new(&file, error.to_string()))?;
                    found.insert(path, bytes);
                }
            }
        }
        for part in &self.parts {
            each(part, |path, entry| {
                if entry.header().entry_type().is_file() && wanted(path, entry.header().size()?) {
                    let mut bytes = Vec::new();
                    entry.take(most).read_to_end(&mut bytes)?;
                    found.insert(path.to_owned(), bytes);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// The content of a member; none where there is no such file.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        if !self.is_tar() || !self.is_packed(path) {
            let file = self.directory.join(path);
            return match fs::read(&file) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Unreadable::new(&file, error.to_string())),
            };
        }
        let mut content = None;
        if let Some(part) = self.part_of(path) {
            each(part, |name, entry| {
                if name == path && entry.header().entry_type().is_file() {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    content = Some(bytes);
                }
                Ok(())
            })?;
        }
        Ok(content)
    }

    /// Changes members, each by its path.
    ///
    /// # Errors
    ///
    /// What cannot be read or written.
    pub fn edit(&self, mut edits: BTreeMap<String, Edit>) -> Result<(), Unreadable> {
        let loose: Vec<String> =
            edits.keys().filter(|path| !self.is_tar() || !self.is_packed(path)).cloned().collect();
        for path in loose {
            let file = self.directory.join(&path);
            if let Some(edit) = edits.remove(&path) {
                change(&file, edit).map_err(|error| Unreadable::new(&file, error.to_string()))?;
            }
        }
        for part in &self.parts {
            let here: Vec<String> = edits
                .keys()
                .filter(|path| self.part_of(path).is_some_and(|other| other.stem == part.stem))
                .cloned()
                .collect();
            let here: BTreeMap<String, Edit> =
                here.into_iter().filter_map(|path| edits.remove_entry(&path)).collect();
            if !here.is_empty() {
                rewrite(part, here).map_err(|error| Unreadable::new(&part.path, error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The archives that it lies in; none of a plain one.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether a path is that of something in an archive, and not of a file beside the archives.
    fn is_packed(&self, path: &str) -> bool {
        path != "backup_manifest" && !self.parts.iter().any(|part| part.name() == path)
    }

    fn part_of(&self, path: &str) -> Option<&Part> {
        let own = |part: &&Part| part.stem != "base" && path.starts_with(&part.below());
        self.parts.iter().find(own).or_else(|| self.parts.iter().find(|part| part.stem == "base"))
    }
}

/// Puts a file with this content in the place of another, with its owner and access rights; in the place of none, with
/// those of its directory and mode 0600.
///
/// # Errors
///
/// What the file system says.
pub fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    put(file, content, None)
}

fn put(file: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".pgdrill-new");
    let fresh = file.with_file_name(name);
    let known = fs::metadata(file).or_else(|_| fs::metadata(file.parent().unwrap_or(file)))?;
    let usual = if known.is_file() { known.mode() & 0o7777 } else { 0o600 };
    fs::write(&fresh, content)?;
    chown(&fresh, Some(known.uid()), Some(known.gid()))?;
    fs::set_permissions(&fresh, Permissions::from_mode(mode.unwrap_or(usual)))?;
    fs::rename(&fresh, file)
}

fn change(file: &Path, edit: Edit) -> io::Result<()> {
    match edit {
        Edit::Write(content) => replace(file, &content),
        Edit::Remove if file.is_dir() => fs::remove_dir(file),
        Edit::Remove => fs::remove_file(file),
        Edit::Mode(mode) => put(file, &fs::read(file)?, Some(mode)),
    }
}

fn head(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn walk(directory: &Path, below: &str, found: &mut BTreeMap<String, u64>) -> Result<(), Unreadable> {
    let trouble = |error: io::Error| Unreadable::new(directory, error.to_string());
    for entry in fs::read_dir(directory).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        // Through a link: that is where a tablespace lies.
        let metadata = fs::metadata(entry.path()).map_err(trouble)?;
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if metadata.is_file() {
            found.insert(path, metadata.len());
        }
    }
    Ok(())
}

/// Goes through the members of an archive, by their paths as a manifest has them.
fn each(
    part: &Part,
    mut with: impl FnMut(&str, &mut tar::Entry<'_, Box<dyn Read + Send>>) -> io::Result<()>,
) -> Result<(), Unreadable> {
    let below = part.below();
    let mut go = || -> io::Result<()> {
        let mut archive = Archive::new(unpack::of_part(part)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = format!("{below}{}", plain(&entry.path_bytes()));
            with(&path, &mut entry)?;
        }
        Ok(())
    };
    go().map_err(|error| Unreadable::new(&part.path, error.to_string()))
}

/// A member's path without what tars begin and end directories with.
fn plain(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.trim_start_matches("./").trim_end_matches('/').to_owned()
}

/// Writes an archive anew with some of its members changed, packed as it was.
fn rewrite(part: &Part, mut edits: BTreeMap<String, Edit>) -> io::Result<()> {
    let below = part.below();
    let mut builder = Builder::new(Vec::new());
    let mut archive = Archive::new(unpack::of_part(part)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut header = entry.header().clone();
        let path = format!("{below}{}", plain(&entry.path_bytes()));
        match edits.remove(&path) {
            None => builder.append(&header, &mut entry)?,
            Some(Edit::Remove) => {}
            Some(Edit::Mode(mode)) => {
                header.set_mode(mode);
                header.set_cksum();
                builder.append(&header, &mut entry)?;
            }
            Some(Edit::Write(content)) => {
                header.set_size(content.len() as u64);
                header.set_cksum();
                builder.append(&header, content.as_slice())?;
            }
        }
    }
    for (path, edit) in edits {
        let Edit::Write(content) = edit else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {path} in it")));
        };
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path.strip_prefix(&below).unwrap_or(&path), content.as_slice())?;
    }
    replace(&part.path, &packed(&builder.into_inner()?, part.packed)?)
}

/// The bytes, packed.
///
/// # Errors
///
/// What the library says.
pub fn packed(bytes: &[u8], packed: Packed) -> io::Result<Vec<u8>> {
    match packed {
        Packed::No => Ok(bytes.to_vec()),
        Packed::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Packed::Lz4 => {
            let mut encoder = lz4::EncoderBuilder::new().build(BufWriter::new(Vec::new()))?;
            encoder.write_all(bytes)?;
            let (written, ended) = encoder.finish();
            ended?;
            written.into_inner().map_err(io::IntoInnerError::into_error)
        }
        Packed::Zstd => zstd::encode_all(bytes, 1),
    }
}

/// Makes a copy of a directory in which every file is a hard link to the original, so that it costs no space. Whoever
/// changes a file of it must put another in its place, as everything here does.
///
/// # Errors
///
/// What the file system says.
pub fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    let metadata = fs::metadata(from)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            link_tree(&path, &copy)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path)?, &copy)?;
        } else {
            fs::hard_link(&path, &copy)?;
        }
    }
    chown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    fs::set_permissions(to, metadata.permissions())
}

/// What an archive of a backup holds, unpacked.
///
/// # Errors
///
/// What cannot be read.
pub fn unpacked(part: &Part) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    unpack::of_part(part)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = Header::new_ustar();
            header.set_mode(0o600);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn backup(ending: &str, method: Option<Packed>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let base = [("PG_VERSION", "15\n"), ("base/5/16400", "rows"), ("pg_notify/0000", "")];
        match method {
            None => {
                for (name, content) in
                    base.into_iter().chain([("pg_wal/0001", "wal"), ("pg_tblspc/9/a", "t")])
                {
                    let file = directory.path().join(name);
                    fs::create_dir_all(file.parent().unwrap()).unwrap();
                    fs::write(file, content).unwrap();
                }
            }
            Some(method) => {
                for (stem, files) in
                    [("base", &base[..]), ("pg_wal", &[("0001", "wal")]), ("9", &[("a", "t")])]
                {
                    let bytes = packed(&tar_of(files), method).unwrap();
                    fs::write(directory.path().join(format!("{stem}{ending}")), bytes).unwrap();
                }
            }
        }
        fs::write(directory.path().join("backup_manifest"), "{}").unwrap();
        directory
    }

    #[rstest]
    #[case("", None)]
    #[case(".tar", Some(Packed::No))]
    #[case(".tar.gz", Some(Packed::Gzip))]
    #[case(".tar.lz4", Some(Packed::Lz4))]
    #[case(".tar.zst", Some(Packed::Zstd))]
    fn members_are_read_and_changed_alike_in_every_format(
        #[case] ending: &str,
        #[case] method: Option<Packed>,
    ) {
        let directory = backup(ending, method);
        let copy = directory.path().with_extension("copy");
        link_tree(directory.path(), &copy).unwrap();
        let members = Members::of(&copy);
        let edits = [
            ("base/5/16400", Edit::Write(b"other rows".to_vec())),
            ("pg_wal/0001", Edit::Remove),
            ("pg_tblspc/9/a", Edit::Mode(0)),
            ("base/5/new", Edit::Write(b"new".to_vec())),
            ("backup_manifest", Edit::Write(b"[]".to_vec())),
        ];
        members.edit(edits.map(|(path, edit)| (path.to_owned(), edit)).into()).unwrap();
        let now = members.list().unwrap();
        assert_eq!(now.get("base/5/16400"), Some(&10));
        assert_eq!((now.get("pg_wal/0001"), now.get("base/5/new")), (None, Some(&3)));
        assert_eq!(members.read("base/5/16400").unwrap().unwrap(), b"other rows");
        assert_eq!(members.read("PG_VERSION").unwrap().unwrap(), b"15\n");
        assert_eq!(members.read("pg_wal/0001").unwrap(), None);
        assert_eq!(members.read("backup_manifest").unwrap().unwrap(), b"[]");
        // Not a byte of the original is another.
        let original = Members::of(directory.path());
        assert_eq!(original.read("base/5/16400").unwrap().unwrap(), b"rows");
        assert_eq!(original.read("pg_wal/0001").unwrap().unwrap(), b"wal");
        assert_eq!(original.list().unwrap().len(), if method.is_some() { 5 } else { 6 });
        fs::remove_dir_all(copy).unwrap();
    }
}
