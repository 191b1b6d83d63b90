//! The sealed records that are on disk.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, bail};
use pgdrill_engine::{chain, journal};
use pgdrill_model::drift::Before;
use pgdrill_model::redact::Redactor;
use pgdrill_model::run::Run;
use pgdrill_report::record;

/// Seals the record of a run, puts it into the directory and into its chain; both may be read as `mode` says.
///
/// # Errors
///
/// A directory or file that cannot be written.
pub fn store(directory: &Path, run: &Run, redactor: &Redactor, mode: u32) -> io::Result<PathBuf> {
    let path = journal::store(directory, &record::file_name(run), &record::seal(run, redactor))?;
    for file in [&path, &chain::path(directory)] {
        fs::set_permissions(file, Permissions::from_mode(mode))?;
    }
    Ok(path)
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// The runs, the oldest first; of one that is there several times, one.
    pub runs: Vec<Run>,
    /// The records that could not be read, each with the reason.
    pub refused: Vec<String>,
}

/// Reads records, and all in directories whose names end as those of records do.
///
/// # Errors
///
/// A path that is not there, or a directory that cannot be read. A record that is none, or not what was sealed, is told
/// with the others.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Read> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path)?);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let each = files.len().div_ceil(threads).max(1);
    let mut outcomes = Vec::new();
    thread::scope(|scope| {
        let readers: Vec<_> = files
            .chunks(each)
            .map(|part| scope.spawn(|| part.iter().map(|file| one(file)).collect::<Vec<_>>()))
            .collect();
        // A reader that died has read nothing, and that is seen below.
        outcomes = readers.into_iter().filter_map(|reader| reader.join().ok()).flatten().collect();
    });
    if outcomes.len() != files.len() {
        bail!("not all records could be read: a thread died");
    }
    let mut read = Read::default();
    for outcome in outcomes {
        match outcome {
            Ok(run) => read.runs.push(run),
            Err(error) => read.refused.push(error),
        }
    }
    read.runs.sort_by(|a, b| (a.started_unix_us, &a.header.id).cmp(&(b.started_unix_us, &b.header.id)));
    read.runs.dedup_by(|a, b| (a.started_unix_us, &a.header.id) == (b.started_unix_us, &b.header.id));
    Ok(read)
}

/// The rows that the last proven drill of a source counted; none where no record tells. One that cannot be read is passed over: it
/// is for `pgdrill report --check` to find it.
pub fn last_counts(directory: &Path, source: &str) -> Option<Before> {
    // The name as it stands in a record that tells of the source: what does not hold it need not be taken apart.
    let name = serde_json::to_string(source).ok()?;
    // Their names begin with the time at which they began.
    chain::records(directory).ok()?.into_iter().rev().find_map(|file| {
        let text = fs::read_to_string(directory.join(file)).ok()?;
        let run = text.contains(&name).then(|| record::open(text.as_bytes()).ok())??;
        Before::of(&run, source)
    })
}

fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = path.display();
    if !path.exists() {
        bail!(
            "{shown}: there is no such file or directory; records are where `pgdrill run --evidence` puts them"
        );
    }
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = chain::records(path).with_context(|| format!("cannot read the directory {shown}"))?;
    Ok(names.into_iter().map(|name| path.join(name)).collect())
}

fn one(file: &Path) -> Result<Run, String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    record::open(&bytes).map_err(|error| format!("{}: {error}", file.display()))
}
