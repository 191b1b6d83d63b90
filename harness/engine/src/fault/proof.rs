//! Proof that a fault changed what it was to change, and nothing else: the stored files before it and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pgdrill_backup::Unreadable;
use pgdrill_backup::archive::{self, Snapshot};

/// The files below a directory, by the directory that they lie in.
#[derive(Default)]
pub struct Files(BTreeMap<String, Snapshot>);

impl Files {
    /// Reads all files below `root`; the content of those that are as in `known` is not read again.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn below(root: &Path, known: &Self) -> Result<Self, Unreadable> {
        let mut found = Self::default();
        found.read(root, "", known)?;
        Ok(found)
    }

    fn read(&mut self, directory: &Path, below: &str, known: &Self) -> Result<(), Unreadable> {
        let nothing = Snapshot::new();
        let snapshot = archive::snapshot_of_directory(directory, known.0.get(below).unwrap_or(&nothing))?;
        for name in snapshot.keys() {
            let path = directory.join(name);
            // Not through links: what a plain backup links to lies beside it, and is read there.
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                self.read(&path, &format!("{below}{name}/"), known)?;
            }
        }
        self.0.insert(below.to_owned(), snapshot);
        Ok(())
    }

    /// The paths of what is not as it was: gone, new, or with another content or other access rights.
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let nothing = Snapshot::new();
        let directories = self.0.keys().chain(before.0.keys().filter(|path| !self.0.contains_key(*path)));
        let mut changed = Vec::new();
        for below in directories {
            let of = |files: &Self| files.0.get(below).cloned().unwrap_or_else(|| nothing.clone());
            let (old, new) = (of(before), of(self));
            let names: Vec<&String> =
                new.keys().chain(old.keys().filter(|name| !new.contains_key(*name))).collect();
            for name in names {
                let content =
                    |files: &Snapshot| files.get(name).map(|entry| (entry.mode, entry.size, entry.crc32c));
                let directory = self.0.contains_key(&format!("{below}{name}/"))
                    && before.0.contains_key(&format!("{below}{name}/"));
                if !directory && content(&old) != content(&new) {
                    changed.push(format!("{below}{name}"));
                }
            }
        }
        changed.sort();
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_changed_is_named_and_what_did_not_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        for name in ["a/same", "a/b/changed", "a/gone", "a/mode"] {
            fs::write(at(name), "content").unwrap();
        }
        let before = Files::below(root.path(), &Files::default()).unwrap();
        assert_eq!(before.changed_since(&before), Vec::<String>::new());
        // The same content in another file is no change.
        fs::write(at("fresh"), "content").unwrap();
        fs::rename(at("fresh"), at("a/same")).unwrap();
        fs::write(at("a/b/changed"), "contenT").unwrap();
        fs::remove_file(at("a/gone")).unwrap();
        fs::write(at("a/added"), "").unwrap();
        fs::set_permissions(at("a/mode"), fs::Permissions::from_mode(0o000)).unwrap();
        let after = Files::below(root.path(), &before).unwrap();
        assert_eq!(after.changed_since(&before), ["a/added", "a/b/changed", "a/gone", "a/mode"]);
    }
}
