//! `manifest-rewritten`: a table's file and its line in the manifest are gone, and the manifest's own checksum is right
//! again (`src/backend/backup/backup_manifest.c`: SHA-256 of all lines but the last).

use std::collections::BTreeMap;
use std::fmt::Write;

use pgdrill_backup::members::Edit;
use sha2::{Digest, Sha256};

use super::super::stored::{Done, Stored, not_here};
use super::relations::{Kind, of_fixture};

const MANIFEST: &str = "backup_manifest";

pub(super) fn run(stored: &mut Stored) -> Done {
    let files = of_fixture(stored, Kind::Heap, 1)?;
    let Some((path, _)) = files.last() else { return not_here("there is no table") };
    let manifest = String::from_utf8_lossy(&stored.content(MANIFEST)?).into_owned();
    let Some(rewritten) = without(&manifest, path) else {
        return not_here(format!("the manifest does not list {path} in a line of its own"));
    };
    stored.backup.edit(BTreeMap::from([
        (path.clone(), Edit::Remove),
        (MANIFEST.to_owned(), Edit::Write(rewritten.into_bytes())),
    ]))?;
    Ok(format!("{path} is gone, from the backup and from its manifest, whose checksum is right"))
}

/// The manifest without the line of one file; none where it has none.
fn without(manifest: &str, path: &str) -> Option<String> {
    let quoted = format!("\"{path}\"");
    let mut lines: Vec<&str> = manifest.lines().collect();
    let at = lines.iter().position(|line| line.contains("\"Path\"") && line.contains(&quoted))?;
    // In front of the bracket that ends the list there is no comma; another file's line must not be the last then.
    if !lines[at].trim_end().ends_with(',') {
        return None;
    }
    lines.remove(at);
    lines.pop().filter(|last| last.contains("Manifest-Checksum"))?;
    let mut text = lines.join("\n");
    text.push('\n');
    let sum = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut sum, byte| {
        let _ = write!(sum, "{byte:02x}");
        sum
    });
    let _ = writeln!(text, "\"Manifest-Checksum\": \"{sum}\"}}");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_ondisk::manifest::Manifest;

    #[test]
    fn a_manifest_without_a_file_is_a_good_manifest() {
        let mut text = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n\
                        { \"Path\": \"a\", \"Size\": 1, \"Last-Modified\": \"2024-01-01 00:00:00 GMT\" },\n\
                        { \"Path\": \"b\", \"Size\": 2, \"Last-Modified\": \"2024-01-01 00:00:00 GMT\" }\n],\n\
                        \"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/1\", \"End-LSN\": \"0/2\" }\n],\n"
            .to_owned();
        text.push_str("\"Manifest-Checksum\": \"00\"}\n");
        let manifest = Manifest::read(without(&text, "a").unwrap().as_bytes()).unwrap();
        assert_eq!(manifest.files.len(), 1);
        assert_eq!(without(&text, "b"), None);
        assert_eq!(without(&text, "c"), None);
    }
}
