//! The source tree as it would be committed: read once, in memory.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every text file of the workspace, by its path from the top with `/` between the parts.
pub struct Tree {
    top: PathBuf,
    files: BTreeMap<String, String>,
}

impl Tree {
    /// What git knows or would take; without git, every file outside of build directories.
    pub fn read() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let paths = listed(&top).unwrap_or_else(|| walked(&top));
        let text = |path: String| {
            Some((path.clone(), String::from_utf8(std::fs::read(top.join(&path)).ok()?).ok()?))
        };
        let files: BTreeMap<String, String> = paths.into_iter().filter_map(text).collect();
        assert!(files.contains_key("Cargo.toml"), "{} is not the top of the workspace", top.display());
        Self { top, files }
    }

    /// Path and content of every text file.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The manifests of the workspace's crates, without the workspace's own.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with("/Cargo.toml"))
    }

    /// Whether a file may be executed by its owner.
    pub fn executable(&self, path: &str) -> bool {
        std::fs::metadata(self.top.join(path)).is_ok_and(|data| data.permissions().mode() & 0o100 != 0)
    }
}

fn listed(top: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(top)
        .args(["ls-files", "-z", "-co", "--exclude-standard"])
        .output()
        .ok()?;
    let paths = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let paths: Vec<String> = paths.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    // Where the tree was unpacked inside another repository, git has nothing to say about it.
    (!paths.is_empty()).then_some(paths)
}

fn walked(top: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            let made = ["target", ".git", ".pgdrill"].iter().any(|made| name == *made);
            if path.is_dir() && !made {
                directories.push(path);
            } else if path.is_file() {
                paths.push(path.strip_prefix(top).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    paths
}
