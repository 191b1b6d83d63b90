//! `pgdrill verify`: verifies a backup, or a WAL archive, without a server.
//!
//! It can stand in for `pg_verifybackup`: what that says of a backup is said in its words on standard error, and its
//! options mean the same. The exit code is 0 only where that program's would be, and nothing else is wrong either.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::bail;
use pgdrill_backup::verify::{Format, Options, verify, verify_chain};
use pgdrill_backup::wal::survey;

use crate::args::Verify;
use crate::exit::Exit;
use crate::progress::clean;
use crate::{examination, printer, window};

pub(super) fn run(args: Verify) -> anyhow::Result<Exit> {
    let format = match args.format.as_deref() {
        None => None,
        Some("p" | "plain") => Some(Format::Plain),
        Some("t" | "tar") => Some(Format::Tar),
        Some(other) => bail!("invalid backup format \"{other}\", must be \"plain\" or \"tar\""),
    };
    if args.backup.is_empty() {
        if args.wal.is_empty() {
            bail!("no backup directory specified, and no archive with --wal");
        }
        return archives(&args);
    }
    let backups = args.backup;
    let options = Options {
        format,
        manifest: args.manifest_path,
        ignore: args.ignore.into_iter().map(|path| path.into_os_string().into_vec()).collect(),
        checksums: !args.skip_checksums,
        wal: !args.no_parse_wal,
        wal_directory: args.wal_directory,
        wal_elsewhere: None,
        needs: None,
        archives: args.wal,
        stop_at_first: args.exit_on_error,
        jobs: super::jobs(args.jobs),
    };
    let begun = Instant::now();
    let backup = match <[PathBuf; 1]>::try_from(backups) {
        Ok([backup]) => backup,
        Err(backups) => return chain(backups, &options, args.progress, args.quiet, args.json.as_deref()),
    };
    let source = examination::source(backup);
    let report =
        examination::watched(args.progress, args.quiet, |progress| verify(source, &options, progress));
    let Some(report) = report else { return Ok(Exit::Bug) };
    examination::tell(&report);
    let written = examination::write(args.json.as_deref(), &serde_json::to_value(&report)?)?;
    if !args.quiet && !written {
        printer::out(&examination::face(&report, Some(begun.elapsed())))?;
    }
    Ok(examination::exit(&report))
}

/// Verifies archives alone: every segment and history file, and how far a recovery along the newest timeline comes.
fn archives(args: &Verify) -> anyhow::Result<Exit> {
    let directories: Vec<&Path> = args.wal.iter().map(PathBuf::as_path).collect();
    let surveyed = examination::watched(args.progress, args.quiet, |progress| {
        let done = |bytes| _ = progress.done.fetch_add(bytes, Ordering::Relaxed);
        survey(&directories, None, super::jobs(args.jobs), &done)
    });
    let survey = match surveyed {
        None => return Ok(Exit::Bug),
        Some(Ok(survey)) => survey,
        Some(Err(error)) => {
            printer::say(&format!("pgdrill: error: cannot read {}", clean(&error.to_string())));
            return Ok(Exit::Unverified);
        }
    };
    let wrong = pgdrill_backup::verify::of_survey(&survey);
    wrong.iter().for_each(examination::one);
    let written = examination::write(args.json.as_deref(), &serde_json::to_value(&survey)?)?;
    if !args.quiet && !written {
        printer::out(&window::text(&survey))?;
    }
    Ok(if survey.is_unread() {
        Exit::Unverified
    } else if survey.is_whole() && wrong.is_empty() {
        Exit::Proven
    } else if survey.window.is_none() {
        Exit::Unverified
    } else {
        Exit::Disproven
    })
}

/// Verifies a chain of incremental backups: each alone, and then how they fit together.
fn chain(
    backups: Vec<PathBuf>,
    options: &Options,
    progress: bool,
    quiet: bool,
    json: Option<&Path>,
) -> anyhow::Result<Exit> {
    if let Some(other) = backups.iter().find(|backup| !backup.is_dir()) {
        bail!("{} is not a directory: the backups of a chain are", other.display());
    }
    if options.manifest.is_some() {
        bail!("-m names the manifest of one backup: each of a chain has its own");
    }
    let begun = Instant::now();
    let report = examination::watched(progress, quiet, |progress| verify_chain(backups, options, progress));
    let Some(report) = report else { return Ok(Exit::Bug) };
    report.members.iter().for_each(examination::tell);
    report.findings.iter().for_each(examination::one);
    let written = examination::write(json, &serde_json::to_value(&report)?)?;
    if !quiet && !written {
        printer::out(&examination::chain(&report, begun.elapsed()))?;
    }
    Ok(if report.is_bug() { Exit::Bug } else { examination::exit_of(report.verdict) })
}
