//! The safety copy of a lost server: its data directory and its tablespaces, put aside as they are.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use pgdrill_model::plan::Server;
use pgdrill_model::scenario::CopyBy;
use sha2::{Digest, Sha256};

use crate::tablespaces;
use crate::tree::Copying;
use crate::workspace::Workspace;

/// Where safety copies are, within the workspace.
const DIRECTORY: &str = "safety-copy";

/// How much of a file is read at a time.
const BUFFER: usize = 256 << 10;

/// What a tree is: everything in it by name, kind, mode, owner and content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Over all of it, in hexadecimal.
    pub sha256: String,
}

/// Where a server's files are, and where they are put aside.
#[derive(Clone, Debug)]
pub struct Aside {
    parts: [(PathBuf, PathBuf); 2],
    root: PathBuf,
}

impl Aside {
    /// Those of a server of the drill.
    pub fn of(workspace: &Workspace, server: Server) -> Self {
        let root = workspace.path(DIRECTORY);
        let aside = |name: &str| root.join(name);
        let parts = [
            (workspace.data(server), aside("data")),
            (workspace.path(tablespaces::root(server)), aside("tablespaces")),
        ];
        Self { parts, root }
    }

    /// What the server's files are now.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn seal(&self) -> io::Result<Seal> {
        seal(self.parts.iter().map(|(own, _)| own))
    }

    /// Puts the server's files aside; a copy is what they are, or an error says so. Gives what is aside then.
    ///
    /// # Errors
    ///
    /// What cannot be read or written, and a copy that is something else.
    pub fn put(&self, by: CopyBy) -> io::Result<Seal> {
        DirBuilder::new().mode(0o700).create(&self.root)?;
        if by == CopyBy::Move {
            for (own, aside) in &self.parts {
                fs::rename(own, aside)?;
            }
            return seal(self.parts.iter().map(|(_, aside)| aside));
        }
        let given_up = AtomicBool::new(false);
        for (own, aside) in &self.parts {
            DirBuilder::new().mode(0o700).create(aside)?;
            Copying { leave_out: &|_| false, given_up: &given_up, went_away: None }.copy(own, aside)?;
            same_owner(own, aside)?;
        }
        let (was, is) = (self.seal()?, seal(self.parts.iter().map(|(_, aside)| aside))?);
        if was == is { Ok(is) } else { Err(io::Error::other("the copy is not what was copied")) }
    }

    /// Puts what is aside in the place of whatever is there now.
    ///
    /// # Errors
    ///
    /// What cannot be removed or moved.
    pub fn put_back(&self) -> io::Result<()> {
        for (own, aside) in &self.parts {
            match fs::remove_dir_all(own) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::rename(aside, own)?,
            }
        }
        fs::remove_dir(&self.root)
    }
}

fn same_owner(of: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::metadata(of)?;
    fs::set_permissions(to, metadata.permissions())?;
    std::os::unix::fs::chown(to, Some(metadata.uid()), Some(metadata.gid()))
}

fn seal<'p>(parts: impl Iterator<Item = &'p PathBuf>) -> io::Result<Seal> {
    let (mut seal, mut hash) = (Seal::default(), Sha256::new());
    for part in parts {
        add(part, &mut seal, &mut hash)?;
    }
    seal.sha256 = hex::encode(hash.finalize());
    Ok(seal)
}

/// Adds what is in a directory, in the order of names.
fn add(directory: &Path, seal: &mut Seal, hash: &mut Sha256) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        let name = entry.file_name();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_encoded_bytes());
        for number in [metadata.mode(), metadata.uid(), metadata.gid()] {
            hash.update(number.to_le_bytes());
        }
        if metadata.is_dir() {
            add(&entry.path(), seal, hash)?;
            // Where it ends, so that what is in it is not taken for what is beside it.
            hash.update(u64::MAX.to_le_bytes());
        } else if metadata.is_symlink() {
            hash.update(fs::read_link(entry.path())?.as_os_str().as_encoded_bytes());
        } else if metadata.is_file() {
            hash.update(metadata.len().to_le_bytes());
            content(&entry.path(), hash)?;
            seal.files += 1;
            seal.bytes += metadata.len();
        }
    }
    Ok(())
}

/// Adds what is in a file.
fn content(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A server's files, and where they go.
    fn aside(root: &Path) -> Aside {
        let own = [root.join("primary"), root.join("tablespaces")];
        fs::create_dir_all(own[0].join("base/1")).unwrap();
        fs::create_dir(&own[1]).unwrap();
        fs::write(own[0].join("base/1/1259"), [7; 9000]).unwrap();
        fs::write(own[0].join("PG_VERSION"), "17\n").unwrap();
        symlink(&own[1], own[0].join("link")).unwrap();
        let copy = root.join(DIRECTORY);
        let [data, spaces] = own;
        let parts = [(data, copy.join("data")), (spaces, copy.join("tablespaces"))];
        Aside { parts, root: copy }
    }

    #[test]
    fn what_is_put_back_is_what_was_put_aside_however_it_was() {
        for by in [CopyBy::Copy, CopyBy::Move] {
            let root = tempfile::tempdir().unwrap();
            let aside = aside(root.path());
            let was = aside.seal().unwrap();
            assert_eq!((was.files, was.bytes), (2, 9003));
            assert_eq!(aside.put(by).unwrap(), was);
            // Whatever was done meanwhile is gone.
            let own = &aside.parts[0].0;
            assert_eq!(own.exists(), by == CopyBy::Copy);
            fs::create_dir_all(own).unwrap();
            fs::write(own.join("PG_VERSION"), "18\n").unwrap();
            aside.put_back().unwrap();
            assert_eq!(aside.seal().unwrap(), was, "{by:?}");
            assert!(!aside.root.exists());
        }
    }

    #[test]
    fn a_seal_sees_content_names_modes_and_where_things_are() {
        let root = tempfile::tempdir().unwrap();
        let aside = aside(root.path());
        let own = aside.parts[0].0.clone();
        let mut seals = vec![aside.seal().unwrap()];
        let mut changed = |change: &dyn Fn()| {
            change();
            let seal = aside.seal().unwrap();
            assert!(!seals.contains(&seal), "{seal:?}");
            seals.push(seal);
        };
        changed(&|| fs::write(own.join("PG_VERSION"), "16\n").unwrap());
        changed(&|| fs::rename(own.join("PG_VERSION"), own.join("base/PG_VERSION")).unwrap());
        changed(&|| fs::set_permissions(own.join("base"), fs::Permissions::from_mode(0o750)).unwrap());
        changed(&|| fs::create_dir(own.join("empty")).unwrap());
        changed(&|| fs::remove_file(own.join("link")).unwrap());
    }

    #[test]
    fn a_copy_is_not_put_over_another() {
        let root = tempfile::tempdir().unwrap();
        let aside = aside(root.path());
        aside.put(CopyBy::Copy).unwrap();
        assert_eq!(aside.put(CopyBy::Copy).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
