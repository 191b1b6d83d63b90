//! The programs and libraries by which a cluster is made, where no image fixes them: an update of the C library or of
//! ICU may order text differently and leaves PostgreSQL's own version as it was.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::world::{Command, Place};

/// `ldd` only reads a few files.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the C library keeps its locales; initdb takes all of them into the cluster.
const LOCALES: [&str; 2] = ["/usr/lib/locale", "/usr/lib/locale/locale-archive"];

/// Every program and library that has a part in a cluster made in `place`, with size and time; nothing where the digest of
/// an image says it all. None where that cannot be told: then no template is the right one.
pub async fn of(place: &dyn Place) -> Option<Vec<String>> {
    let facts = place.facts();
    match (&facts.image, &facts.image_digest) {
        (_, Some(_)) => return Some(Vec::new()),
        (Some(_), None) => return None,
        (None, None) => {}
    }
    let postgres = facts.bin_dir.join("postgres");
    let listing = Command::system("ldd", [postgres.to_string_lossy()]).within(LIMIT);
    let exit = place.run(&listing).await.ok().filter(pgdrill_model::world::Exit::success)?;
    let mut told: Vec<String> = LOCALES.iter().filter_map(|path| identity(Path::new(path))).collect();
    let mut paths = libraries(&exit.stdout)?;
    paths.extend([postgres, facts.bin_dir.join("initdb")]);
    for path in paths {
        told.push(identity(&path)?);
    }
    Some(told)
}

/// The libraries that `ldd` found: `libicuuc.so.72 => /lib/libicuuc.so.72 (0x...)`, or the loader by its path alone. None
/// where one is missing, or where the text is another.
fn libraries(listing: &str) -> Option<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in listing.lines().map(str::trim) {
        if line.contains("not found") {
            return None;
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split(" (").next().unwrap_or(path);
        // What the kernel itself brings has no file.
        if path.starts_with('/') {
            paths.push(PathBuf::from(path));
        }
    }
    (!paths.is_empty()).then_some(paths)
}

/// A file as it is now: an update gives it another size, time or place on its disk.
fn identity(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    Some(format!("{} {} {seconds}.{nanos:09} {}", path.display(), metadata.size(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_taken_by_their_paths() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibicuuc.so.72 => /lib/libicuuc.so.72 (0x00007f1d)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f2d)\n";
        let paths = ["/lib/libicuuc.so.72", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(libraries(listing).unwrap(), paths);
        assert_eq!(libraries("\tlibicuuc.so.72 => not found\n"), None);
        assert_eq!(libraries("\tstatically linked\n"), None);
    }

    #[test]
    fn a_file_that_was_replaced_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("libc.so.6");
        fs::write(&path, "one").unwrap();
        let before = identity(&path).unwrap();
        assert_eq!(identity(&path).unwrap(), before);
        let fresh = directory.path().join("fresh");
        fs::write(&fresh, "two").unwrap();
        fs::rename(&fresh, &path).unwrap();
        assert_ne!(identity(&path).unwrap(), before);
        assert_eq!(identity(&directory.path().join("none")), None);
    }
}
