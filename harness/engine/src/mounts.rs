//! File systems in memory that are put over directories of a workspace, so that a disk can be full of which the machine has
//! plenty. Only root can do that, and where it could not, whoever needs it is told.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pgdrill_model::world::Owner;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Puts a file system of so many bytes over a directory, for the servers' account.
///
/// # Errors
///
/// What the kernel says: most often that only root can do it.
pub fn limit(directory: &Path, bytes: u64, owner: Option<&Owner>) -> io::Result<()> {
    let of = owner.map(|owner| format!(",uid={},gid={}", owner.uid, owner.gid)).unwrap_or_default();
    let options = CString::new(format!("size={bytes},mode=0700{of}"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount("pgdrill", directory, "tmpfs", flags, options.as_c_str())?)
}

/// Takes away what is mounted below a directory, so that it can be removed. What cannot be taken away is for who removes it
/// to tell.
pub fn remove_below(root: &Path) {
    let mounts = fs::read("/proc/self/mounts").unwrap_or_default();
    for line in mounts.split(|byte| *byte == b'\n') {
        let Some(at) = line.split(|byte| *byte == b' ').nth(1).map(unescaped) else { continue };
        if at.starts_with(root) {
            let _ = unmount(&at, UnmountFlags::DETACH);
        }
    }
}

/// A path of the table of mounts, in which blanks are octal numbers behind a backslash.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let number = (*first == b'\\').then(|| behind.get(..3)).flatten().and_then(octal);
        match number {
            Some(byte) => {
                path.push(byte);
                rest = &behind[3..];
            }
            None => {
                path.push(*first);
                rest = behind;
            }
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&path))
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_table_is_read_as_it_was_written() {
        assert_eq!(unescaped(b"/a\\040b/c\\134d"), Path::new("/a b/c\\d"));
        assert_eq!(unescaped(b"/plain"), Path::new("/plain"));
        assert_eq!(unescaped(b"/odd\\"), Path::new("/odd\\"));
    }

    #[test]
    fn a_small_disk_is_full_soon_and_goes_away() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("small disk");
        fs::create_dir(&directory).unwrap();
        if let Err(error) = limit(&directory, 1 << 20, None) {
            assert!(!rustix::process::geteuid().is_root(), "root can mount: {error}");
            return;
        }
        let full = fs::write(directory.join("file"), vec![0; 2 << 20]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        remove_below(parent.path());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir(&directory).unwrap();
    }
}
