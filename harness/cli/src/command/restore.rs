//! `pgdrill restore`: restores a backup into an empty directory, verified by the time it is there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use pgdrill_backup::restore::{Aim, Mapping, Place, Restored, Settings, restore};
use pgdrill_backup::verify::Options;
use pgdrill_model::scenario::{Action, Point, Target};
use pgdrill_model::units::{show_bytes, show_count, show_time};

use crate::args::{AtTarget, Restore};
use crate::exit::Exit;
use crate::progress::clean;
use crate::{examination, place, printer};

pub(super) fn run(args: Restore) -> anyhow::Result<Exit> {
    let place = Place {
        into: absolute(&args.into)?,
        tablespaces: args.tablespace_mapping.iter().map(|text| mapping(text)).collect::<Result<_, _>>()?,
        owner: place::owner_of_files(args.owner.as_deref())?,
        settings: settings(&args)?,
        sync: !args.no_sync,
        accept_damage: args.accept_damage,
    };
    let options = Options {
        manifest: args.manifest_path,
        archives: args.wal,
        jobs: super::jobs(args.jobs),
        ..Options::default()
    };
    let (begun, source) = (Instant::now(), examination::source(args.backup));
    let restored = examination::watched(args.progress, args.quiet, |progress| {
        restore(source, &options, &place, progress)
    });
    let restored = match restored {
        None => return Ok(Exit::Bug),
        Some(Err(refused)) => bail!("{refused}; nothing was written"),
        Some(Ok(restored)) => restored,
    };
    examination::tell(&restored.report);
    if !restored.complete {
        printer::say(&format!(
            "pgdrill: {} is not complete: global/pg_control was left out, so that PostgreSQL does not start on it. \
             Remove it and restore again{}",
            restored.into,
            if place.accept_damage { "" } else { ", from another backup, or with --accept-damage" },
        ));
    }
    let written = examination::write(args.json.as_deref(), &serde_json::to_value(&restored)?)?;
    if !args.quiet && !written {
        printer::out(&(face(&restored) + &examination::face(&restored.report, Some(begun.elapsed()))))?;
    }
    Ok(examination::exit(&restored.report))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot use directory {}", path.display()))
}

/// Where a tablespace goes (`tablespace_list_append`, `src/bin/pg_basebackup/pg_basebackup.c`): an equals sign that is
/// part of a path is written after a backslash.
fn mapping(text: &str) -> anyhow::Result<Mapping> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for character in text.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            '=' if !escaped => parts.push(String::new()),
            other => {
                if escaped && other != '=' {
                    parts.last_mut().into_iter().for_each(|part| part.push('\\'));
                }
                parts.last_mut().into_iter().for_each(|part| part.push(other));
                escaped = false;
            }
        }
    }
    match <[String; 2]>::try_from(parts) {
        Ok([from, to]) if !from.is_empty() && !to.is_empty() => {
            Ok(Mapping { from: from.into(), to: to.into() })
        }
        Ok(_) => bail!("invalid tablespace mapping format \"{text}\", must be \"OLDDIR=NEWDIR\""),
        Err(parts) if parts.len() > 2 => bail!("multiple \"=\" signs in tablespace mapping"),
        Err(_) => bail!("invalid tablespace mapping format \"{text}\", must be \"OLDDIR=NEWDIR\""),
    }
}

/// What the server is told to recover to; none where nothing was said.
fn settings(args: &Restore) -> anyhow::Result<Option<Settings>> {
    let Some(to) = &args.to else { return Ok(None) };
    if let Point::Mark(name, _) = to {
        bail!("{name} is a mark of a scenario, which only `pgdrill run` knows");
    }
    if args.exclusive && !matches!(to, Point::Time(_) | Point::Xid(_) | Point::Lsn(_)) {
        bail!("only a time, a transaction and a position can be exclusive");
    }
    let restore_command = match (&args.restore_command, args.wal.as_slice()) {
        (Some(command), _) => command.clone(),
        (None, []) => bail!("recovery needs WAL: name its archive with --wal, or a --restore-command"),
        (None, archives) => copies(archives)?,
    };
    let action = match args.action {
        AtTarget::Promote => Action::Promote,
        AtTarget::Pause => Action::Pause,
        AtTarget::Shutdown => Action::Shutdown,
    };
    Ok(Some(Settings {
        target: Target { at: to.clone(), inclusive: !args.exclusive },
        timeline: args.timeline,
        action,
        restore_command,
        // One of their own may well do that.
        unpacks: args.restore_command.is_some(),
    }))
}

/// A `restore_command` that copies from the first archive that has the file. One that is not there is told by an exit
/// code that PostgreSQL takes for that; an archive that is gone altogether stops the server, which would else take it for
/// the end of the WAL.
fn copies(archives: &[PathBuf]) -> anyhow::Result<String> {
    let mut command = String::new();
    for archive in archives {
        let archive = absolute(archive)?;
        let Some(path) = archive.to_str().filter(|path| !path.contains(['\'', '%'])) else {
            bail!(
                "{} cannot stand in a restore_command: write one with --restore-command",
                archive.display()
            );
        };
        command.push_str(&format!(
            "test -d '{path}' || exit 200; test ! -f '{path}/%f' || exec cp '{path}/%f' '%p'; "
        ));
    }
    Ok(command + "exit 1")
}

fn face(restored: &Restored) -> String {
    let mut text = format!("{:<14}{}\n", "restored into", clean(&restored.into));
    for mapping in &restored.tablespaces {
        text.push_str(&format!(
            "{:<14}{} -> {}\n",
            "tablespace",
            mapping.from.display(),
            mapping.to.display()
        ));
    }
    if let Some(aim) = &restored.aim {
        text.push_str(&format!("{:<14}{}\n", "recovery", stops(aim)));
    }
    if restored.sparse > 0 {
        text.push_str(&format!(
            "{:<14}{} of zeros were left out of files\n",
            "sparse",
            show_bytes(restored.sparse)
        ));
    }
    text
}

/// Where recovery will stop.
fn stops(aim: &Aim) -> String {
    let last = match (aim.last_xid, aim.last_commit_unix_us) {
        (Some(xid), Some(time)) => format!(", the last of them transaction {xid} of {}", show_time(time)),
        _ => String::new(),
    };
    format!(
        "will stop at {} on timeline {}, {} transactions behind the backup{last}",
        aim.lsn,
        aim.timeline,
        show_count(aim.commits)
    )
}
