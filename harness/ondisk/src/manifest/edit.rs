//! Writing a manifest anew with a file less, so that it is as good as one that a server wrote.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The manifest without the line of the file `path`, and with its own checksum right again. None where the file has no line
/// of its own, or is the last: in front of the bracket that ends the list stands no comma (`AddFileToBackupManifest`,
/// `src/backend/backup/backup_manifest.c`).
pub fn without(manifest: &str, path: &str) -> Option<String> {
    let quoted = format!("\"{path}\"");
    let mut lines: Vec<&str> = manifest.lines().collect();
    let at = lines.iter().position(|line| line.contains("\"Path\"") && line.contains(&quoted))?;
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
    use super::super::Manifest;
    use super::*;

    #[test]
    fn a_manifest_without_a_file_is_a_good_manifest() {
        let text = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n\
                    { \"Path\": \"a\", \"Size\": 1, \"Last-Modified\": \"2024-01-01 00:00:00 GMT\" },\n\
                    { \"Path\": \"b\", \"Size\": 2, \"Last-Modified\": \"2024-01-01 00:00:00 GMT\" }\n],\n\
                    \"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/1\", \"End-LSN\": \"0/2\" }\n],\n\
                    \"Manifest-Checksum\": \"00\"}\n";
        let manifest = Manifest::read(without(text, "a").unwrap().as_bytes()).unwrap();
        assert_eq!(manifest.files.len(), 1);
        assert_eq!(without(text, "b"), None);
        assert_eq!(without(text, "c"), None);
    }
}
