//! A tar with its checksums set right: those of its headers, and within its members the CRC of the control file, the
//! checksums of pages, and that of the manifest, with those of the files that it lists.

use std::ops::Range;

use pgdrill_ondisk::relation;
use sha2::{Digest, Sha256};

use crate::{control, manifest, page};

/// Bytes of a tar's block (`ustar`, POSIX.1-1988).
const BLOCK: usize = 512;

/// Where in a header its checksum is, its name, and the size of its content.
const SUM: Range<usize> = 148..156;
const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;

/// Bytes of a page, as servers are usually built.
const PAGE: usize = 8192;

/// The tar mended. Nothing in it is moved.
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    let mut files: Vec<(Vec<u8>, Range<usize>)> = Vec::new();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK).filter(|header| header.iter().any(|byte| *byte != 0))
    {
        mend_header(header);
        let name = header[NAME].split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let begin = at + BLOCK;
        let Some(end) = size_of(header).and_then(|size| begin.checked_add(size)) else { break };
        if let Some(content) = tar.get_mut(begin..end) {
            mend_content(&name, content);
            files.push((name, begin..end));
        }
        at = end.next_multiple_of(BLOCK);
    }
    let manifest = files.iter().find(|(name, _)| name == b"backup_manifest").map(|(_, at)| at.clone());
    if let Some(at) = manifest {
        let mut text = tar[at.clone()].to_vec();
        for (name, at) in &files {
            mend_listed(&mut text, name, &tar[at.clone()]);
        }
        let sealed = manifest::sealed(&text);
        if sealed.len() == at.len() {
            tar[at].copy_from_slice(&sealed);
        }
    }
    tar
}

/// The sum of all bytes of the header, of which those of the sum itself count as blanks.
fn mend_header(header: &mut [u8]) {
    header[SUM].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn size_of(header: &[u8]) -> Option<usize> {
    let digits: String = header[SIZE].iter().map(|byte| char::from(*byte)).collect();
    usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).ok()
}

fn mend_content(name: &[u8], content: &mut [u8]) {
    let name = String::from_utf8_lossy(name);
    if name.ends_with("pg_control") {
        control::mend(content);
    }
    let file = name.rsplit('/').next().unwrap_or_default();
    if relation::parse(file).is_some_and(|file| file.segment == 0) {
        for (block, page) in (0..).zip(content.chunks_exact_mut(PAGE)) {
            let mended = page::mended(page, block);
            page.copy_from_slice(&mended);
        }
    }
}

/// Puts the SHA-256 of a file's content into the line of the manifest that lists it.
fn mend_listed(manifest: &mut [u8], name: &[u8], content: &[u8]) {
    let listed = [b"\"Path\": \"", name, b"\","].concat();
    let Some(at) = find(manifest, &listed) else { return };
    let line = &mut manifest[at..];
    let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
    let line = &mut line[..end];
    let label = b"\"SHA256\", \"Checksum\": \"";
    let Some(sum) = find(line, label).and_then(|at| line.get_mut(at + label.len()..)?.get_mut(..64)) else {
        return;
    };
    let digits = Sha256::digest(content).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    sum.copy_from_slice(digits.as_bytes());
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
