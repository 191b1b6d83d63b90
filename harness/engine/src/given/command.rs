//! WAL that a command gives: it is run beside the drill, as PostgreSQL would run it (`RestoreArchivedFile`,
//! `src/backend/access/transam/xlogarchive.c`), and what it gives is put into the drill's own archive before the server starts. So
//! it may reach whatever it must, and the server nothing.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pgdrill_backup::wal::Store;
use pgdrill_backup::wal::timelines::Timelines;
use pgdrill_model::code::Code;
use pgdrill_model::event::Unit;
use pgdrill_model::finding::Unable;
use pgdrill_model::scenario::Timeline;
use pgdrill_ondisk::segment;
use tokio::process::Command;

use crate::archiving;
use crate::drill::Drill;
use crate::workspace::trouble;

/// How long it may take for one file.
const LIMIT: Duration = Duration::from_secs(600);

/// Exit codes above this one stop a server: something is wrong that is not the end of the archive.
const HIGHEST: i32 = 125;

/// Fetches all that recovery along a timeline could ask for; nothing where the WAL lies in directories.
///
/// # Errors
///
/// `WAL_NOT_FETCHED`: the command failed in another way than that a file is not there; `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub async fn fetch(drill: &Drill<'_>, along: Timeline) -> Result<(), Unable> {
    let Some(taken) = &drill.given else { return Ok(()) };
    let Some(command) = taken.command.as_deref() else { return Ok(()) };
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    let begin = taken.origin.ok_or_else(|| Unable::bug("WAL for a dump"))?.begin;
    let archive = drill.workspace.path(archiving::WAL);
    let from = segment::name(begin.timeline, begin.position, size);
    let ask = Ask { drill, command, archive: &archive, from: &from };
    let history = |timeline: u32| format!("{timeline:08X}.history");
    let mut newest = begin.timeline;
    match along {
        Timeline::Current => _ = ask.file(&history(newest)).await?,
        Timeline::Number(number) => {
            newest = number;
            ask.file(&history(number)).await?;
        }
        Timeline::Latest => {
            ask.file(&history(newest)).await?;
            while ask.file(&history(newest.saturating_add(1))).await? {
                newest += 1;
            }
        }
    }
    let store = Store::open(&[archive.as_path()]).map_err(|error| unreadable(&error.to_string()))?;
    let lineage = Timelines::of(&store).and_then(|timelines| timelines.lineage(newest));
    let lineage = lineage.map_err(|error| unreadable(&error.to_string()))?;
    let own = taken.store(drill.made.wal_segment_megabytes << 20);
    let own = own.map_err(|error| unreadable(&error.to_string()))?;
    let mut fetched = 0;
    for number in begin.position / size.. {
        // The newest timeline that had begun by then comes first (`XLogFileReadAnyTLI`, `xlogrecovery.c`).
        let begun = |begin: u64| begin / size <= number;
        let timelines = lineage.stretches().iter().rev().filter(|stretch| begun(stretch.begin));
        let mut there = false;
        for timeline in timelines.map(|stretch| stretch.timeline) {
            let name = segment::name(timeline, number.saturating_mul(size), size);
            if ask.file(&name).await? || own.has(&name) {
                there = true;
                break;
            }
        }
        if !there {
            return Ok(());
        }
        fetched += 1;
        drill.recorder.progress("fetch", fetched, None, Unit::Segments);
    }
    Ok(())
}

/// Who asks for files.
struct Ask<'a> {
    drill: &'a Drill<'a>,
    command: &'a str,
    archive: &'a Path,
    /// The file with which replay begins.
    from: &'a str,
}

impl Ask<'_> {
    /// Asks for a file; whether it was given.
    async fn file(&self, name: &str) -> Result<bool, Unable> {
        let to = self.archive.join(format!("{name}.fetched"));
        let command = filled(self.command, name, &to.to_string_lossy(), self.from);
        let wrong = |what: String| {
            Unable::new(Code::WalNotFetched, format!("the restore-command, asked for {name}, {what}"))
        };
        let child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| wrong(format!("cannot be run: {error}")))?;
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = output
            .map_err(|_| wrong(format!("did not end within {} s", LIMIT.as_secs())))?
            .map_err(|error| wrong(format!("cannot be waited for: {error}")))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("without a word");
        match output.status.code() {
            Some(0) if to.is_file() => {
                let owner = self.drill.workspace.owner().map(|owner| (owner.uid, owner.gid));
                let owned = owner.map_or(Ok(()), |(uid, gid)| chown(&to, Some(uid), Some(gid)));
                owned
                    .and_then(|()| fs::rename(&to, self.archive.join(name)))
                    .map_err(|error| trouble(&to, &error))?;
                Ok(true)
            }
            Some(0) => Ok(false),
            Some(code) if code <= HIGHEST => {
                tracing::debug!("the restore-command has no {name}: exit code {code}: {last}");
                let _ = fs::remove_file(&to);
                Ok(false)
            }
            Some(code) => Err(wrong(format!("ended with exit code {code}: {last}"))),
            None => Err(wrong(format!("was ended by a signal: {last}"))),
        }
    }
}

/// A command with its placeholders filled (`BuildRestoreCommand`, `src/common/archive.c`).
fn filled(command: &str, name: &str, to: &str, from: &str) -> String {
    let mut text = String::new();
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (character, character == '%') {
            (_, true) => match characters.next() {
                Some('f') => text.push_str(name),
                Some('p') => text.push_str(to),
                Some('r') => text.push_str(from),
                Some('%') => text.push('%'),
                Some(other) => text.extend(['%', other]),
                None => text.push('%'),
            },
            (other, false) => text.push(other),
        }
    }
    text
}

fn unreadable(what: &str) -> Unable {
    Unable::new(Code::BackupUnreadable, format!("what the restore-command gave cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_as_postgresql_does() {
        let command = "gunzip <'/a/%f.gz' >\"%p\" && date +%%s # %r %x 5%";
        let filled = filled(command, "NAME", "/to/NAME", "FIRST");
        assert_eq!(filled, "gunzip <'/a/NAME.gz' >\"/to/NAME\" && date +%s # FIRST %x 5%");
    }
}
