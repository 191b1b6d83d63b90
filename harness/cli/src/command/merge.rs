//! `pgdrill report --merge`: the records of several directories in a new one, with one chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pgdrill_engine::chain::{self, Entry};
use pgdrill_report::attestation::PublicKey;
use pgdrill_report::record;

use super::evidence::{Asked, Looked, counted};
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(
    sources: &[PathBuf],
    into: &Path,
    without: &[String],
    keys: &[PublicKey],
) -> anyhow::Result<Exit> {
    let shown = into.display();
    expect_room(into)?;
    let part = Part::beside(into).with_context(|| format!("cannot make {shown}"))?;
    let mut merged = Merged::into(&part.0, without);
    let asked = Asked::with(keys);
    let mut holds = true;
    for source in sources {
        let looked = Looked::at(source, keys, &mut |entry, bytes| merged.take(source, entry, bytes))?;
        looked.tell(source, asked)?;
        holds &= looked.holds(asked);
    }
    if let Some(error) = merged.failed {
        return Err(error).with_context(|| format!("cannot write the records for {shown}"));
    }
    merged.wrong.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));
    if !holds || !merged.wrong.is_empty() {
        printer::say(&format!("pgdrill: {shown}: not made: not everything holds"));
        return Ok(Exit::Unverified);
    }
    if let Some(unknown) = without.iter().find(|scenario| !merged.left_out.contains_key(*scenario)) {
        bail!("--without {unknown}: no record is of this scenario; `pgdrill report` lists them");
    }
    if merged.taken.is_empty() {
        printer::say(&format!("pgdrill: {shown}: not made: there is no record to put there"));
        return Ok(Exit::Unverified);
    }
    // The order in which they were sealed, wherever that was: the same from whatever order of directories.
    merged.taken.sort_by(|(ended, entry), (ended_other, other)| {
        (ended, &entry.name).cmp(&(ended_other, &other.name))
    });
    let (doubled, left_out) = (merged.doubled, merged.left_out);
    let entries: Vec<Entry> = merged.taken.into_iter().map(|(_, entry)| entry).collect();
    let made = finish(&part.0, into, &entries).with_context(|| format!("cannot make {shown}"))?;
    let mut told = format!(
        "{shown}: {} in a chain that ends with {}\n",
        counted(made.records),
        made.head.unwrap_or_default()
    );
    if doubled > 0 {
        told.push_str(&format!("{shown}: {} that several of them have, taken once\n", counted(doubled)));
    }
    for (scenario, count) in left_out {
        told.push_str(&format!("{shown}: left out {} of {scenario}\n", counted(count)));
    }
    printer::out(&told)?;
    Ok(Exit::Proven)
}

/// The directory is made whole, so there may be nothing where it will be.
fn expect_room(into: &Path) -> anyhow::Result<()> {
    let shown = into.display();
    if into.file_name().is_none() {
        bail!("--merge {shown}: name the directory that is to be made");
    }
    if into.symlink_metadata().is_err() {
        return Ok(());
    }
    let empty = fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_none());
    if !empty {
        bail!(
            "--merge {shown}: it is there already, and records are put together only in a new directory; name another one, and \
             this one as a source, where its records belong to them"
        );
    }
    Ok(())
}

/// The directory until it is whole; removed where it does not come to that.
struct Part(PathBuf);

impl Part {
    fn beside(into: &Path) -> io::Result<Self> {
        let name = into.file_name().unwrap_or_default().to_string_lossy();
        let path = into.with_file_name(format!(".{name}.{}.part", std::process::id()));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Where it became what it was to be, it is not there any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What was taken so far.
struct Merged<'a> {
    directory: &'a Path,
    without: &'a [String],
    /// When the drill of each ended.
    taken: Vec<(i64, Entry)>,
    /// Where each was found, by its name.
    names: BTreeMap<String, PathBuf>,
    hashes: BTreeSet<String>,
    doubled: u64,
    left_out: BTreeMap<String, u64>,
    wrong: Vec<String>,
    failed: Option<io::Error>,
}

impl<'a> Merged<'a> {
    fn into(directory: &'a Path, without: &'a [String]) -> Self {
        Self {
            directory,
            without,
            taken: Vec::new(),
            names: BTreeMap::new(),
            hashes: BTreeSet::new(),
            doubled: 0,
            left_out: BTreeMap::new(),
            wrong: Vec::new(),
            failed: None,
        }
    }

    /// Takes a record that is what its chain says.
    fn take(&mut self, source: &Path, entry: &Entry, bytes: &[u8]) {
        let file = source.join(&entry.name);
        let run = match record::open(bytes) {
            Ok(run) => run,
            Err(error) => {
                self.wrong.push(format!("{}: {error}", file.display()));
                return;
            }
        };
        if !self.hashes.insert(entry.sha256.clone()) {
            self.doubled += 1;
            return;
        }
        if let Some(other) = self.names.get(&entry.name) {
            let what = format!("it is another record than {}, and has its name", other.display());
            self.wrong.push(format!("{}: {what}", file.display()));
            return;
        }
        self.names.insert(entry.name.clone(), file);
        if self.without.contains(&run.header.scenario) {
            *self.left_out.entry(run.header.scenario).or_default() += 1;
            return;
        }
        let written = File::create_new(self.directory.join(&entry.name))
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
        let ended = run.started_unix_us.saturating_add_unsigned(run.took_us);
        self.taken.push((ended, entry.clone()));
    }
}

/// Writes the chain, looks at what is there as anybody would, and gives it its name.
fn finish(part: &Path, into: &Path, entries: &[Entry]) -> anyhow::Result<chain::Checked> {
    chain::write(part, entries)?;
    let made = chain::check(part)?;
    if let Some(wrong) = made.wrong.first() {
        bail!("what was written is not what is there: {wrong}");
    }
    File::open(part)?.sync_all()?;
    fs::rename(part, into)?;
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(made)
}
