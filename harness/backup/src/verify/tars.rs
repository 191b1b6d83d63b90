//! A backup in tar format: its archives are read as they are, without being unpacked to disk.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pgdrill_model::code::Code;
use pgdrill_ondisk::segment::{self, ArchiveFile};
use pgdrill_ondisk::wal::is_segment_size;

use super::observed::Order;
use super::plain::words;
use super::reading::{Coming, Counted, Reading};
use crate::flow::Work;
use crate::parts::Part;
use crate::tarball::{self, Broken, Ended, Kind, Member};
use crate::unpack;

/// An archive: a file, or standard input.
pub enum Archive {
    /// A file of the backup.
    File(Part),
    /// A stream that is the base.
    Stream(Box<dyn Read + Send>),
}

/// The manifest, where it is a member of the stream, as `pg_basebackup -D -` puts it there.
pub type ManifestWithin = Mutex<Option<Vec<u8>>>;

/// No more WAL of a stream is kept in memory.
const KEPT_BYTES: u64 = 64 << 20;

/// A manifest that is larger is not kept.
const MANIFEST_BYTES: u64 = 1 << 30;

/// Reads archives by `threads` threads.
pub fn read(archives: Vec<Archive>, threads: usize, reading: &Reading<'_>, manifest: &ManifestWithin) {
    let queue = Mutex::new(archives.into_iter());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !reading.is_over() {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(archive) = next else { return };
                    one(archive, reading, manifest);
                }
            });
        }
    });
}

fn one(archive: Archive, reading: &Reading<'_>, manifest: &ManifestWithin) {
    let observed = reading.observed;
    let (name, part, unpacked): (Arc<str>, Option<Part>, _) = match archive {
        Archive::Stream(stream) => ("standard input".into(), None, unpack::of_stream(stream)),
        Archive::File(part) => {
            let unpacked = unpack::of_part(&part);
            (part.name().into(), Some(part), unpacked)
        }
    };
    let unpacked = match unpacked {
        Ok(unpacked) => unpacked,
        Err(error) => {
            let message = format!("could not open file \"{name}\": {}", words(&error));
            observed.found(Order::Walk, Code::BackupUnreadable, name.as_bytes(), message);
            observed.look().broken_archives.push(name.to_string());
            return;
        }
    };
    let ended = members(&name, part.as_ref(), unpacked, reading, manifest);
    let (code, message) = match ended {
        Ok(Ended::Whole) => return,
        // That the manifest's files are all there shows that nothing was cut off.
        Ok(Ended::Early) if reading.manifest.is_some() || has_come(manifest) => return,
        Ok(Ended::Early) => {
            let message = format!("archive \"{name}\" ends without its end: what came behind may be cut off");
            (Code::UnpackFailed, message)
        }
        Ok(Ended::WithMore) => (
            Code::UnpackFailed,
            format!("archive \"{name}\" goes on behind its end: it holds more than is unpacked"),
        ),
        Err(Broken::Damaged { what, within }) => {
            observed.look().broken_archives.push(name.to_string());
            let place = match within {
                Some(path) => format!(", in \"{}\"", String::from_utf8_lossy(&path)),
                None => String::new(),
            };
            (Code::UnpackFailed, format!("could not read archive \"{name}\"{place}: {what}"))
        }
        Err(Broken::Unreadable { what }) => {
            observed.look().broken_archives.push(name.to_string());
            (Code::BackupUnreadable, format!("could not read file \"{name}\": {what}"))
        }
        Err(Broken::Stopped(error)) => {
            observed.look().broken_archives.push(name.to_string());
            if reading.is_over() {
                return;
            }
            (Code::RestoreFailed, error.to_string())
        }
    };
    observed.found(Order::Walk, code, name.as_bytes(), message);
}

fn has_come(manifest: &ManifestWithin) -> bool {
    manifest.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

fn members(
    name: &Arc<str>,
    part: Option<&Part>,
    unpacked: Box<dyn Read + Send>,
    reading: &Reading<'_>,
    manifest: &ManifestWithin,
) -> Result<Ended, Broken> {
    tarball::read(Counted { stream: unpacked, count: &reading.progress.done }, |member, content| {
        if reading.is_over() {
            return Err(io::Error::other("nothing more is wanted"));
        }
        each(name, part, member, content, reading, manifest)
    })
}

fn each(
    name: &Arc<str>,
    part: Option<&Part>,
    member: &Member,
    content: &mut dyn Read,
    reading: &Reading<'_>,
    manifest: &ManifestWithin,
) -> io::Result<()> {
    let observed = reading.observed;
    let shown = || String::from_utf8_lossy(&member.written);
    let Some(path) = &member.path else {
        let message = format!("\"{}\" in archive \"{name}\" leads out of the data directory", shown());
        observed.found(Order::Layout, Code::BackupUnfit, &member.written, message);
        return Ok(());
    };
    let path = match part {
        Some(part) => part.path_of(path),
        None => Some(path.clone()),
    };
    let Some(path) = path else {
        observed.look().beside += 1;
        return Ok(());
    };
    match &member.kind {
        Kind::Directory => {
            let path = path.strip_suffix(b"/").unwrap_or(&path);
            if !path.is_empty() {
                observed.look().directories.insert(path.to_vec());
            }
            reading.also.map_or(Ok(()), |also| also.directory(path, member.mode))
        }
        Kind::Link if path.starts_with(b"pg_tblspc/") && part.is_some_and(|part| part.one_tar.is_some()) => {
            observed.look().linked.insert(path);
            Ok(())
        }
        // Those to tablespaces are made anew from the map.
        Kind::Link => Ok(()),
        Kind::Other(what) => {
            let message =
                format!("\"{}\" in archive \"{name}\" is {what}, which has no place in a backup", shown());
            observed.found(Order::Layout, Code::BackupUnfit, &path, message);
            Ok(())
        }
        Kind::File => file(name, member, &path, content, reading, manifest),
    }
}

fn file(
    name: &Arc<str>,
    member: &Member,
    path: &[u8],
    content: &mut dyn Read,
    reading: &Reading<'_>,
    manifest: &ManifestWithin,
) -> io::Result<()> {
    let also = reading.also.map(|also| also.file(path, member.size, member.mode)).transpose()?;
    if path == b"backup_manifest" && reading.manifest_may_come && member.size <= MANIFEST_BYTES {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        if let Some(also) = also {
            reading.hands.pour(member.size, vec![also], bytes.as_slice())?;
        }
        *manifest.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
        return Ok(());
    }
    let coming = Coming { path, written: &member.written, size: member.size, archive: Some(name) };
    if reading.ignored.has(path) {
        if let Some(name) = path.strip_prefix(b"pg_wal/") {
            reading.observed.look().segments_within += u64::from(name.starts_with(b"0"));
            if reading.keeps_segments {
                return keep(name, member, content, also, reading);
            }
        }
        if let Some(also) = also {
            reading.hands.pour(member.size, vec![also], content)?;
        }
        return Ok(());
    }
    let expected = reading.expect(&coming);
    reading.content(&coming, expected, also, content)?;
    Ok(())
}

/// Keeps a WAL segment of a stream, as long as that does not take too much memory; it is restored all the same.
fn keep(
    name: &[u8],
    member: &Member,
    content: &mut dyn Read,
    also: Option<Box<dyn Work>>,
    reading: &Reading<'_>,
) -> io::Result<()> {
    let size = member.size;
    let segment_size = u32::try_from(size).ok().filter(|size| is_segment_size(*size));
    let named = std::str::from_utf8(name).ok();
    let parsed = named.zip(segment_size).and_then(|(name, size)| segment::parse(name, size.into()));
    let kept: u64 = reading.observed.look().segments_kept.values().map(|bytes| bytes.len() as u64).sum();
    let mut bytes = Vec::new();
    if let Some(ArchiveFile::Segment { timeline, number }) = parsed {
        if kept + size <= KEPT_BYTES {
            content.read_to_end(&mut bytes)?;
            reading.observed.look().segments_kept.insert((timeline, number), bytes.clone());
        } else {
            reading.observed.look().segments_dropped = true;
        }
    }
    if let Some(also) = also {
        // Of what was kept nothing is left to be read.
        reading.hands.pour(size, vec![also], bytes.as_slice().chain(content))?;
    }
    Ok(())
}
