//! `pgdrill verify`: verifies a backup, or a WAL archive, without a server.
//!
//! It can stand in for `pg_verifybackup`: what that says of a backup is said in its words on standard error, and its
//! options mean the same. The exit code is 0 only where that program's would be, and nothing else is wrong either.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::bail;
use pgdrill_backup::verify::{Format, Options, verify};
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
    let Some(backup) = args.backup else {
        if args.wal.is_empty() {
            bail!("no backup directory specified, and no archive with --wal");
        }
        return archives(&args);
    };
    let options = Options {
        format,
        manifest: args.manifest_path,
        ignore: args.ignore.into_iter().map(|path| path.into_os_string().into_vec()).collect(),
        checksums: !args.skip_checksums,
        wal: !args.no_parse_wal,
        wal_directory: args.wal_directory,
        archives: args.wal,
        stop_at_first: args.exit_on_error,
        jobs: super::jobs(args.jobs),
    };
    let (begun, source) = (Instant::now(), examination::source(backup));
    let report =
        examination::watched(args.progress, args.quiet, |progress| verify(source, &options, progress));
    let Some(report) = report else { return Ok(Exit::Bug) };
    examination::tell(&report);
    let written = examination::write(args.json.as_deref(), &serde_json::to_value(&report)?)?;
    if !args.quiet && !written {
        printer::out(&examination::face(&report, begun.elapsed()))?;
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
