//! How much memory there is for drills: what the machine has, and what the control groups leave that this process is in.

use std::fs;
use std::path::Path;

/// Main memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of the machine's; 0 where it is not known.
    pub total: u64,
    /// What can be had without anything being put on disk for it; none where it is not known.
    pub available: Option<u64>,
}

/// What there is now.
pub fn now() -> Memory {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let meminfo = text("/proc/meminfo");
    let left = left_in_groups(Path::new("/sys/fs/cgroup"), &text("/proc/self/cgroup"));
    let free = field(&meminfo, "MemAvailable:").map(|kilobytes| kilobytes * 1024);
    Memory {
        total: field(&meminfo, "MemTotal:").map_or(0, |kilobytes| kilobytes * 1024),
        available: free.into_iter().chain(left).min(),
    }
}

/// The number behind a name, in a text with a name and a number in each line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What the limits of a group and of all above it leave, in version 2 of control groups; none without a limit. Cached files
/// that nobody used lately give way.
fn left_in_groups(root: &Path, groups: &str) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = root.join(own.trim_start_matches('/'));
    let text = |group: &Path, file: &str| fs::read_to_string(group.join(file)).ok();
    let number = |group: &Path, file: &str| text(group, file)?.trim().parse::<u64>().ok();
    own.ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| {
            // Without a limit it says `max`, which is no number.
            let limit = number(group, "memory.max")?;
            let cached = text(group, "memory.stat").and_then(|stat| field(&stat, "inactive_file"));
            let taken = number(group, "memory.current")?.saturating_sub(cached.unwrap_or(0));
            Some(limit.saturating_sub(taken))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, max: &str, current: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("memory.max"), format!("{max}\n")).unwrap();
            fs::write(path.join("memory.current"), format!("{current}\n")).unwrap();
            fs::write(path.join("memory.stat"), "anon 5\ninactive_file 100\n").unwrap();
        };
        let left = |groups| left_in_groups(root.path(), groups);
        assert_eq!(left("0::/a/b\n"), None, "nothing is limited where there is no such file");
        group("a", "1000", "300");
        group("a/b", "max", "200");
        assert_eq!(left("0::/a/b\n"), Some(800));
        group("a/b", "500", "450");
        assert_eq!(left("0::/a/b\n"), Some(150));
        assert_eq!(left("0::/a\n"), Some(800));
        assert_eq!(left("4:memory:/a\n"), None, "version 1");
        // In a container the own group is the root.
        group("", "300", "500");
        assert_eq!(left("0::/\n"), Some(0));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "MemAvailableX: 1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(field(text, "MemAvailable:"), Some(2048));
        assert_eq!(field(text, "Mem:"), None);
    }
}
