//! `manifest`: the backup that was restored is what its manifest lists, by PostgreSQL's own `pg_verifybackup` in the
//! restored server's place, and the manifest is what it was when the backup ended.
//!
//! A plain backup is verified where it lies. One in tar format is verified as it is by 18 and later, whose program
//! reads tar but not the WAL in it: that is unpacked and read by `pg_waldump`. Before 18 the whole is unpacked into a
//! scratch directory and verified there. All of this comes after the recovery, so none of it is in the recovery time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_backup::inspect::{self, Summary};
use pgdrill_backup::parts::{self, Part};
use pgdrill_model::code::Code;
use pgdrill_model::detection::BY_PROGRAM;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::WalMethod;
use pgdrill_model::units::{Lsn, show_count};
use pgdrill_model::world::{Command, Exit};
use sha2::{Digest, Sha256};

use super::{Bench, Outcome, finding};
use crate::barman;
use crate::drill::{disk_full, on_a_thread};
use crate::recovery::unpack::SCRATCH;
use crate::tool;

/// The drill as a whole is bounded; a verification may take as long as it takes within that.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// A backup that is verified.
struct Backup<'a> {
    name: &'a str,
    wal: WalMethod,
    path: PathBuf,
    summary: Option<Summary>,
}

pub(super) async fn run(bench: &Bench<'_>) -> Result<Outcome, Unable> {
    let (mut files, mut found, mut words) = (0, Vec::new(), Vec::new());
    for member @ Member { name, how } in bench.restored_from {
        let path = barman::stored(bench.workspace, member, bench.backups);
        let read = path.clone();
        let (summary, digest) = on_a_thread(move || (inspect::summary(&read).ok(), digest(&read))).await?;
        let backup = Backup { name, wal: how.wal, path, summary };
        found.extend(changed(bench, &backup, digest));
        let scratch = Path::new(SCRATCH).join(format!("manifest-{name}"));
        bench.workspace.make_dir(&scratch)?;
        let verified = verify(bench, &backup, &bench.workspace.path(&scratch)).await;
        // What is left there goes with the workspace, if it cannot go now.
        let directory = bench.workspace.path(&scratch);
        let _ = on_a_thread(move || fs::remove_dir_all(directory)).await?;
        found.extend(verified?);
        let Some(Summary { manifest, .. }) = &backup.summary else { continue };
        let listed = manifest.files.len() as u64;
        files += listed;
        words.push(format!("{} files of {name}", show_count(listed)));
        for wal in &manifest.wal {
            words.push(format!("its WAL from {} to {}", Lsn(wal.start), Lsn(wal.end)));
        }
    }
    if bench.restored_from.is_empty() {
        return Ok(Outcome::not_run("no backup was restored"));
    }
    Ok(Outcome::of(files, words.join(", "), found))
}

fn digest(backup: &Path) -> Option<String> {
    let bytes = fs::read(backup.join("backup_manifest")).ok()?;
    Some(hex::encode(Sha256::digest(&bytes)))
}

/// A manifest that lists what is there proves nothing if somebody wrote it anew.
fn changed(bench: &Bench<'_>, backup: &Backup<'_>, digest: Option<String>) -> Option<Finding> {
    let known = &bench.backups.get(backup.name)?.manifest_sha256;
    let digest = digest.filter(|digest| digest != known)?;
    let message = format!("the manifest of {} is not what it was when the backup ended", backup.name);
    let finding = finding(Code::ManifestMismatch, message).about(format!("{}/backup_manifest", backup.name));
    Some(finding.with("expected", known).with("found", digest))
}

async fn verify(bench: &Bench<'_>, backup: &Backup<'_>, scratch: &Path) -> Result<Vec<Finding>, Unable> {
    let parts = parts::of_tar(&backup.path);
    let no_wal = (backup.wal == WalMethod::None).then(|| "--no-parse-wal".to_owned());
    if parts.is_empty() {
        let arguments: Vec<String> = no_wal.into_iter().chain([backup.path.display().to_string()]).collect();
        return verify_backup(bench, backup, &arguments).await;
    }
    // What is fetched at the end of the backup lies within the base.
    let whole = bench.major.0 < 18 || backup.wal == WalMethod::Fetch;
    if whole {
        let manifest = backup.path.join("backup_manifest");
        let arguments: Vec<String> = no_wal
            .into_iter()
            .chain([format!("--manifest-path={}", manifest.display()), scratch.display().to_string()])
            .collect();
        for part in &parts {
            let into = scratch.join(part.below());
            if let Some(finding) = unpack(bench, backup, part, &into).await? {
                return Ok(vec![finding]);
            }
        }
        return verify_backup(bench, backup, &arguments).await;
    }
    let arguments = ["--format=tar", "--no-parse-wal", &backup.path.to_string_lossy()].map(str::to_owned);
    let mut found = verify_backup(bench, backup, &arguments).await?;
    if let Some(wal) = parts.iter().find(|part| part.stem == "pg_wal") {
        match unpack(bench, backup, wal, scratch).await? {
            Some(finding) => found.push(finding),
            None => found.extend(read_wal(bench, backup, scratch).await?),
        }
    }
    Ok(found)
}

/// Unpacks one tar of a backup; a finding when it is not what can be unpacked.
async fn unpack(
    bench: &Bench<'_>,
    backup: &Backup<'_>,
    part: &Part,
    into: &Path,
) -> Result<Option<Finding>, Unable> {
    if !into.is_dir() {
        bench.workspace.make_dir(into)?;
    }
    let exit = bench.place.run(&tool::tar::command(part, into)).await?;
    if exit.success() {
        return Ok(None);
    }
    let words = format!("{} cannot be unpacked: {}", backup.name, exit.last_words());
    could_not(&exit, &words)?;
    Ok(Some(complaint(words).about(backup.name)))
}

async fn verify_backup(
    bench: &Bench<'_>,
    backup: &Backup<'_>,
    arguments: &[String],
) -> Result<Vec<Finding>, Unable> {
    let command = Command::postgres("pg_verifybackup", arguments).within(LIMIT);
    let exit = bench.place.run(&command).await?;
    if exit.success() {
        return Ok(Vec::new());
    }
    could_not(&exit, &format!("pg_verifybackup ended with {}: {}", exit.describe(), exit.last_words()))?;
    Ok(complaints(&exit, backup))
}

/// Reads the WAL that the backup needs, as `pg_verifybackup` does itself where it can.
async fn read_wal(bench: &Bench<'_>, backup: &Backup<'_>, scratch: &Path) -> Result<Vec<Finding>, Unable> {
    let mut found = Vec::new();
    let ranges = backup.summary.iter().flat_map(|summary| &summary.manifest.wal);
    for wal in ranges {
        let arguments = [
            "--quiet".to_owned(),
            format!("--path={}", scratch.display()),
            format!("--timeline={}", wal.timeline),
            format!("--start={}", Lsn(wal.start)),
            format!("--end={}", Lsn(wal.end)),
        ];
        let exit = bench.place.run(&Command::postgres("pg_waldump", arguments).within(LIMIT)).await?;
        if !exit.success() {
            could_not(&exit, &format!("pg_waldump ended with {}: {}", exit.describe(), exit.last_words()))?;
            let message = format!(
                "the WAL of {} cannot be read from {} to {}: {}",
                backup.name,
                Lsn(wal.start),
                Lsn(wal.end),
                exit.last_words()
            );
            found.push(complaint(message).about(backup.name));
        }
    }
    Ok(found)
}

/// What the program complained of, a finding per line.
fn complaints(exit: &Exit, backup: &Backup<'_>) -> Vec<Finding> {
    let lines = exit.stderr.lines().filter_map(|line| {
        let (program, rest) = line.split_once(": ")?;
        let words = rest.strip_prefix("error: ").or_else(|| rest.strip_prefix("fatal: ")).unwrap_or(rest);
        (program.starts_with("pg_") && !words.starts_with("hint:")).then(|| words.trim().to_owned())
    });
    let found: Vec<Finding> = lines
        .map(|words| {
            let file = words.split('"').nth(1).unwrap_or(backup.name).to_owned();
            complaint(format!("{}: {words}", backup.name)).about(file)
        })
        .collect();
    if found.is_empty() {
        let words = format!("{}: pg_verifybackup ended with {}", backup.name, exit.describe());
        return vec![complaint(words).about(backup.name)];
    }
    found
}

/// What PostgreSQL's own program said: it is told apart from what only pgdrill knows.
fn complaint(words: String) -> Finding {
    finding(Code::ManifestMismatch, words).with(BY_PROGRAM, "pg_verifybackup")
}

/// What kept a program from looking is no complaint about the backup.
fn could_not(exit: &Exit, words: &str) -> Result<(), Unable> {
    if disk_full(&exit.stderr) {
        return Err(Unable::new(Code::DiskFull, words));
    }
    let kept = exit.killed()
        || exit.code.is_none()
        || ["Permission denied", "is needed by", "out of memory", "unrecognized option", "cannot execute"]
            .iter()
            .any(|hindrance| exit.stderr.contains(hindrance));
    if kept { Err(Unable::new(Code::ProgramMissing, words)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32, stderr: &str) -> Exit {
        Exit { code: Some(code), stderr: stderr.to_owned(), ..Exit::default() }
    }

    #[test]
    fn each_complaint_is_a_finding_about_its_file() {
        let said = "pg_verifybackup: error: \"base/1/1259\" is present in the manifest but not on disk\n\
                    pg_verifybackup: error: checksum mismatch for file \"base/1/1255\"\n\
                    pg_waldump: fatal: could not find any WAL file\n";
        let backup = Backup { name: "backup-1", wal: WalMethod::Stream, path: PathBuf::new(), summary: None };
        let found = complaints(&exit(1, said), &backup);
        let about: Vec<_> = found.iter().filter_map(|finding| finding.subject.as_deref()).collect();
        assert_eq!(about, ["base/1/1259", "base/1/1255", "backup-1"]);
        assert_eq!(found[1].message, "backup-1: checksum mismatch for file \"base/1/1255\"");
        assert_eq!(complaints(&exit(1, ""), &backup).len(), 1);
    }

    #[test]
    fn what_hinders_the_program_is_not_the_backup_s_fault() {
        let missing =
            "pg_verifybackup: error: program \"pg_waldump\" is needed by pg_verifybackup but was not found";
        assert!(could_not(&exit(1, missing), "").is_err());
        assert_eq!(
            could_not(&exit(2, "tar: x: Cannot write: No space left on device"), "").unwrap_err().code,
            Code::DiskFull
        );
        assert!(could_not(&exit(1, "pg_verifybackup: error: checksum mismatch for file \"x\""), "").is_ok());
    }
}
