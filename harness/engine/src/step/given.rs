//! `backup` of one that is there already: it is looked at where it lies, and nothing is written there. The loss from which a
//! recovery is counted is the moment at which somebody goes and fetches it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pgdrill_backup::Unreadable;
use pgdrill_backup::parts::{Packed, Part};
use pgdrill_backup::standing::{self, Standing};
use pgdrill_backup::wal::timelines::Place;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::Evidence;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::scenario::{Archive, Backup, Given};
use pgdrill_model::units::{Lsn, Major, show_bytes};
use pgdrill_model::witness::Entry;
use pgdrill_repository::base::{Base, Form};
use pgdrill_repository::{
    Backup as Picked, Chained, Files, Found, Held, Layout, NotABackup, Options, Passphrase, Pick, WalLayout,
    look_upon, pgbackrest,
};

use crate::archiving;
use crate::drill::{Drill, Lost, on_a_thread};
use crate::given::{Made, Seen, Taken, chain, evidence, one_tar, origin, view, wal as of_wal};

/// How many times the size of its tars a compressed backup may have, where no manifest says it.
const UNPACKED: u64 = 4;

pub(super) async fn run(drill: &mut Drill<'_>, name: &str, given: &Given) -> Result<Vec<Finding>, Unable> {
    let began = drill.clock.elapsed();
    let key = std::env::var(pgbackrest::PASSPHRASE).ok().map(Passphrase::new);
    let (path, upon, options) = (given.path.clone(), given.upon.clone(), Options { key: key.clone() });
    let look = move || look_upon(&path, &upon.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &options);
    let found = match on_a_thread(look).await? {
        Ok(found) => found,
        Err(why) => return no_backup(&why).map(|finding| vec![finding]),
    };
    let (found, picked) = pick(found, given, drill.seed)?;
    drill.recorder.measured(Evidence::Source(evidence::source(given, &found, &picked)));
    expect_major(drill, &picked)?;
    expect_use(given, &found, &picked)?;
    let layout = match found.layout(&picked) {
        Ok(layout) => layout,
        Err(_) if let Some(lacks) = found.lacks(&picked) => {
            let hint =
                "name the directories of those that it is built on with --upon, or `upon:` in a scenario";
            return Err(Unable::new(Code::NotABackup, lacks).hint(hint));
        }
        // It is there, and says itself that it is no good, or lacks what it builds upon.
        Err(why) if found.why_unfit(&picked).is_some() => {
            let finding = Finding::new(Code::BackupUnfit, Stage::Backup, why.message).about(&picked.label);
            return Ok(vec![finding.hint(why.hint)]);
        }
        Err(why) => return Err(Unable::new(Code::NotABackup, why.message).hint(why.hint)),
    };
    let chain = found.chain(&picked).unwrap_or_else(|_| vec![&picked]);
    expect_room(drill, &chain)?;
    archiving::prepare(drill.workspace, &Archive::default(), drill.run_id)?;
    let mut seen = see(places(&chain, &layout, given)).await?;
    let wal = archived(drill, given, &layout, key, &mut seen).await?;
    let taken = Taken {
        name: name.to_owned(),
        path: picked.path.clone(),
        made: Made::Files,
        how: Backup::BARE,
        origin: None,
        wal,
        command: given.restore_command.clone(),
        baseline: given.baseline.as_deref().map(baseline).transpose()?,
        witness: given.witness.as_deref().map(witness).transpose()?,
        max_age: given.max_age,
        empty: given.empty.clone(),
        globals: given.globals.clone(),
        saved: None,
        unfinished: BTreeSet::new(),
        seen,
    };
    let archives = taken.wal.clone();
    let (mut taken, standing) = match &layout {
        Layout::PgBackRest { .. } => (of_pgbackrest(drill, taken, &picked, layout)?, None),
        Layout::Dump { .. } => (Taken { made: Made::Dump(layout), ..taken }, None),
        Layout::Plain { .. } | Layout::Tars { .. } | Layout::Mixed { .. } | Layout::OneTar { .. } => {
            match of_files(drill, taken, &layout, &chain).await? {
                Ok((taken, standing)) => (taken, Some(standing)),
                Err(finding) => return Ok(vec![*finding]),
            }
        }
        Layout::WalG { .. } => {
            let message = "a backup of WAL-G is restored by WAL-G, which pgdrill does not run";
            let hint = "fetch it with `wal-g backup-fetch DIR NAME`, and prove DIR with `--restore-command 'wal-g wal-fetch %f %p'`";
            return Err(Unable::new(Code::NotABackup, message).hint(hint));
        }
    };
    let notes = of_wal::unfinished(drill, &mut taken, &archives)?;
    of_wal::see(drill, &mut taken, &archives).map_err(|error| unreadable(&error))?;
    let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
    let mut evidence = evidence::of(&taken, &picked, standing.as_ref(), took_us);
    // A view of what does not lie together.
    if taken.path.starts_with(drill.workspace.root()) {
        evidence.path = Some(picked.path.clone());
    }
    let end = taken.origin.map_or(Place { timeline: 1, position: 0 }, |origin| origin.end);
    drill.timeline = taken.origin.map_or(1, |origin| origin.begin.timeline);
    drill.backups.insert(name.to_owned(), evidence.clone());
    drill.recorder.measured(Evidence::Backup(evidence));
    drill.given = Some(taken);
    let now = drill.clock.elapsed();
    drill.lost = Some(Lost { at: now, noticed: now, timeline: end.timeline, position: Lsn(end.position) });
    Ok(notes)
}

/// Where everything lies that the drill must leave alone.
fn places(chain: &[&Picked], layout: &Layout, given: &Given) -> Vec<PathBuf> {
    let plain: Vec<&Chained> = match layout {
        Layout::Plain { chain, .. } => chain.iter().collect(),
        Layout::Mixed { chain, .. } => chain
            .iter()
            .filter_map(|files| if let Files::Plain(one) = files { Some(one) } else { None })
            .collect(),
        _ => Vec::new(),
    };
    let tablespaces =
        plain.into_iter().flat_map(|one| &one.tablespaces).filter_map(|placed| placed.files.clone());
    chain
        .iter()
        .map(|picked| picked.path.clone())
        .chain(tablespaces.filter(|files| files.is_dir()))
        .chain(given.globals.clone())
        .collect()
}

/// Takes down how the files are that the drill must leave alone.
async fn see(paths: Vec<PathBuf>) -> Result<Seen, Unable> {
    let see = move || {
        let mut seen = Seen::default();
        paths.iter().try_for_each(|path| seen.everything(path)).map(|()| seen)
    };
    on_a_thread(see).await?.map_err(|error| unreadable(&error))
}

fn unreadable(error: &Unreadable) -> Unable {
    Unable::new(Code::BackupUnreadable, error.to_string())
}

/// What production held at a moment, from its file.
fn baseline(path: &Path) -> Result<crate::live::baseline::Baseline, Unable> {
    let unusable = |why: &dyn std::fmt::Display| {
        Unable::new(Code::OracleUnusable, format!("the baseline {} cannot be used: {why}", path.display()))
    };
    crate::live::baseline::open(&fs::read(path).map_err(|error| unusable(&error))?)
        .map_err(|why| unusable(&why))
}

/// What production was told of its beats, from its file.
fn witness(path: &Path) -> Result<Vec<Entry>, Unable> {
    let unusable = |why: &dyn std::fmt::Display| {
        Unable::new(
            Code::OracleUnusable,
            format!("the witness file {} cannot be used: {why}", path.display()),
        )
    };
    let contents = crate::live::witness::read(path).map_err(|error| unusable(&error))?;
    match contents.unreadable.first() {
        Some((line, why)) => Err(unusable(&format!("line {line}: {why}"))),
        None => Ok(contents.entries),
    }
}

/// What it means that a path holds no backup: part of one, or one that is damaged, is a backup that is not good.
fn no_backup(why: &NotABackup) -> Result<Finding, Unable> {
    match why {
        NotABackup::HalfCopied { .. } | NotABackup::Damaged { .. } => {
            Ok(Finding::new(Code::BackupUnfit, Stage::Backup, why.to_string()).hint(why.hint()))
        }
        NotABackup::Denied { .. } | NotABackup::Unreadable { .. } => {
            Err(Unable::new(Code::BackupUnreadable, why.to_string()).hint(why.hint()))
        }
        _ => Err(Unable::new(Code::NotABackup, why.to_string()).hint(why.hint())),
    }
}

/// The backup that is meant.
fn pick(found: Found, given: &Given, seed: u64) -> Result<(Found, Picked), Unable> {
    let found = match &given.server {
        Some(server) => found.of_server(server),
        None => found,
    };
    let wanted = Pick::read(given.backup.as_deref().unwrap_or("newest"), seed);
    let picked = match wanted.of(&found) {
        Ok(picked) => picked.last().map(|picked| (*picked).clone()),
        Err(why) => return Err(Unable::new(Code::NotABackup, why.message).hint(why.hint)),
    };
    let picked = picked.ok_or_else(|| Unable::bug("a pick of no backup"))?;
    Ok((found, picked))
}

/// Directories in which its archived WAL lies, as PostgreSQL names it.
async fn archived(
    drill: &Drill<'_>,
    given: &Given,
    layout: &Layout,
    key: Option<Passphrase>,
    seen: &mut Seen,
) -> Result<Vec<PathBuf>, Unable> {
    let mut wal = Vec::new();
    for directory in &given.wal {
        wal.extend(of_wal::archives(directory).map_err(|error| unreadable(&error))?);
    }
    if given.restore_command.is_some() {
        wal.push(drill.workspace.path(archiving::WAL));
    }
    let (place, from) = match layout {
        Layout::Plain { wal, from, .. }
        | Layout::Tars { wal, from, .. }
        | Layout::Mixed { wal, from, .. }
        | Layout::PgBackRest { wal, from, .. } => (wal.as_ref(), from.as_deref()),
        Layout::OneTar { .. } | Layout::Dump { .. } | Layout::WalG { .. } => (None, None),
    };
    let Some(place) = place.filter(|_| wal.is_empty()) else { return Ok(wal) };
    if place.layout == WalLayout::Plain {
        return Ok(vec![place.path.clone()]);
    }
    let no_wal = |why: NotABackup| Unable::new(Code::BackupUnreadable, why.to_string());
    let key = match (layout, key) {
        (Layout::PgBackRest { repository, stanza, passphrase: Some(_), .. }, Some(key)) => {
            Some(pgbackrest::of_wal(repository, stanza, &key).map_err(no_wal)?)
        }
        _ => None,
    };
    let files = place.files(from).map_err(no_wal)?;
    files.iter().try_for_each(|file| seen.file(&file.path)).map_err(|error| unreadable(&error))?;
    Ok(vec![view(drill, files, key).await?])
}

/// A backup whose files pgdrill restores itself; a finding where they do not say from where it must be recovered.
async fn of_files(
    drill: &mut Drill<'_>,
    taken: Taken,
    layout: &Layout,
    chain: &[&Picked],
) -> Result<Result<(Taken, Standing), Box<Finding>>, Unable> {
    if let Layout::OneTar { path, packed, below } = layout {
        if chain.len() > 1 {
            let message = format!("{} is an incremental backup in one tar", path.display());
            let hint = "unpack it into an empty directory, and prove that upon the one that it is built on";
            return Err(Unable::new(Code::NotABackup, message).hint(hint));
        }
        let part = Part::one_tar(path.clone(), *packed, below.clone());
        return Ok(match one_tar::look(drill, part).await? {
            Ok((standing, packed)) => {
                replayed(drill, taken, standing, path.clone(), Made::OneTar(packed)).await?
            }
            Err(finding) => Err(finding),
        });
    }
    let links = chain::links(drill, layout, chain, &taken.name)?;
    let (newest, priors) = links.split_last().ok_or_else(|| Unable::bug("a chain of no backup"))?;
    for (link, picked) in priors.iter().zip(chain) {
        match chain::describe(link, picked).await? {
            Ok(evidence) => drill.recorder.measured(Evidence::Backup(evidence)),
            Err(finding) => return Ok(Err(finding)),
        }
    }
    let path = newest.path.clone();
    let looked_at = path.clone();
    let standing =
        on_a_thread(move || standing::look(&looked_at)).await?.map_err(|error| unreadable(&error))?;
    let made = if priors.is_empty() { Made::Files } else { Made::Chain(links) };
    replayed(drill, taken, standing, path, made).await
}

/// How what lies there is replayed; a finding where it does not say from where it must be recovered.
async fn replayed(
    drill: &mut Drill<'_>,
    taken: Taken,
    standing: Standing,
    path: PathBuf,
    made: Made,
) -> Result<Result<(Taken, Standing), Box<Finding>>, Unable> {
    let origin = match origin::of_files(&path, &standing)? {
        Ok(origin) => origin,
        Err(finding) => return Ok(Err(finding)),
    };
    let mut wal = taken.wal;
    let own = of_wal::own_wal(drill, &standing).await?;
    let saved = own.clone().filter(|_| standing.label.is_none());
    wal.extend(own);
    drill.made.wal_segment_megabytes = of_wal::segment_size(standing.control.as_ref(), &wal)? >> 20;
    let how = Backup { incremental: matches!(made, Made::Chain(_)), ..evidence::how(&standing) };
    Ok(Ok((Taken { path, how, made, origin: Some(origin), wal, saved, ..taken }, standing)))
}

/// A backup that pgBackRest restores.
fn of_pgbackrest(
    drill: &mut Drill<'_>,
    taken: Taken,
    picked: &Picked,
    layout: Layout,
) -> Result<Taken, Unable> {
    let from_standby = matches!(&picked.held, Held::PgBackRest(held) if held.from_standby);
    let origin = origin::of_pgbackrest(picked, from_standby)?;
    drill.made.wal_segment_megabytes = of_wal::segment_size(None, &taken.wal)? >> 20;
    Ok(Taken { made: Made::PgBackRest(layout), origin: Some(origin), ..taken })
}

/// Refuses to recover it by another major than its own. A dump may be loaded into a later one.
fn expect_major(drill: &Drill<'_>, picked: &Picked) -> Result<(), Unable> {
    let fits = match (&picked.held, picked.major) {
        (_, None) => true,
        (Held::Dump(_), Some(major)) => major <= drill.postgres,
        (_, Some(major)) => major == drill.postgres,
    };
    if fits {
        return Ok(());
    }
    let major = picked.major.map_or_else(String::new, |major| major.to_string());
    if picked.major.is_some_and(|major| major < Major::OLDEST) {
        let message = format!("{} is of PostgreSQL {major}", picked.path.display());
        let hint = format!("only backups of PostgreSQL {} and later can be proven", Major::OLDEST);
        return Err(Unable::new(Code::MajorOutOfRange, message).hint(hint));
    }
    let message =
        format!("{} is of PostgreSQL {major}, and {} was asked for", picked.path.display(), drill.postgres);
    Err(Unable::new(Code::MajorOutOfRange, message).hint(format!(
        "install the server of PostgreSQL {major}, or its image, and say `postgres: {major}` in the scenario"
    )))
}

/// Refuses backups that were named to be built on, and are not.
fn expect_use(given: &Given, found: &Found, picked: &Picked) -> Result<(), Unable> {
    let full = matches!(&picked.held, Held::Base(base) if !base.is_incremental());
    let Some(upon) = given.upon.first().filter(|_| full) else { return Ok(()) };
    let message =
        format!("{} is a full backup, and is built on no other: not on {}", picked.label, upon.display());
    let of_it = found.upon.iter().find(|other| other.prior.as_ref() == Some(&picked.label));
    let hint = match of_it {
        Some(other) => {
            format!("{} is built on it: name that one first, and this one with --upon", other.label)
        }
        None => "name it alone, or an incremental one that is built on it".to_owned(),
    };
    Err(Unable::new(Code::NotABackup, message).hint(hint))
}

/// Refuses to begin what would not find room.
fn expect_room(drill: &Drill<'_>, chain: &[&Picked]) -> Result<(), Unable> {
    let of = |picked: &&Picked| {
        let times = match &picked.held {
            Held::Base(Base { form: Form::OneTar { packed: Packed::No, .. }, .. }) => 1,
            _ => UNPACKED,
        };
        picked.bytes.or_else(|| picked.stored_bytes.map(|bytes| bytes.saturating_mul(times))).unwrap_or(0)
    };
    let all: u64 = chain.iter().map(of).sum();
    // Each block of a combination is in one of those that it is made of, which lie beside it meanwhile.
    let (needed, what) = match chain.len() {
        0 | 1 => (all, "the backup takes".to_owned()),
        several => {
            (all.saturating_mul(2), format!("the {several} backups and what they are combined to take"))
        }
    };
    let free = drill.workspace.free();
    if needed <= free {
        return Ok(());
    }
    let message = format!(
        "{what} about {} once it is unpacked in {}, and {} are free",
        show_bytes(needed),
        drill.workspace.base().display(),
        show_bytes(free)
    );
    Err(Unable::new(Code::DiskFull, message).hint("name another disk with --workspace"))
}
