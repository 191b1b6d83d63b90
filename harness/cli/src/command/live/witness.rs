//! `pgdrill live witness`: beats in a user's own database, the file of what was acknowledged, and a restored server held against it.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use pgdrill_engine::clock::SystemClock;
use pgdrill_engine::live::Refused;
use pgdrill_engine::live::witness::{Contents, Sent, Witness, WitnessFile, read};
use pgdrill_model::code::Weight;
use pgdrill_model::recovery_point::{Path as Along, RecoveryPoint};
use pgdrill_model::units::{show_count, show_duration, show_time};
use pgdrill_model::witness::{Beat, Entry, Judgement, Newest, Nonce, System, Wanted, judge};
use pgdrill_model::world::Clock;
use tokio::time::MissedTickBehavior;

use super::{password, told};
use crate::args::{LiveServer, LiveWitness, WitnessBeat, WitnessCheck, WitnessRemove, WitnessWhat};
use crate::exit::Exit;
use crate::progress::clean;
use crate::{files, interrupt, printer};

pub(super) async fn witness(args: &LiveWitness) -> anyhow::Result<Exit> {
    match &args.what {
        WitnessWhat::Install(args) => install(args).await,
        WitnessWhat::Beat(args) => beat(args).await,
        WitnessWhat::Check(args) => check(args).await,
        WitnessWhat::Remove(args) => remove(args).await,
    }
}

fn server(args: &LiveServer) -> anyhow::Result<Witness> {
    let password = password(&args.dsn)?;
    Witness::new(&args.dsn, password.as_deref()).map_err(|wrong| told(&wrong))
}

/// Says why something was not done.
pub(super) fn refused(refused: &Refused) -> Exit {
    printer::say(&format!("pgdrill: {}", clean(&refused.to_string())));
    Exit::Unverified
}

async fn install(args: &LiveServer) -> anyhow::Result<Exit> {
    let installed = match server(args)?.install().await {
        Ok(installed) => installed,
        Err(why) => return Ok(refused(&why)),
    };
    let state = if installed.new { "is made" } else { "was there already" };
    let mut text = format!(
        "pgdrill.witness {state} in database {} of cluster {}\n",
        clean(&installed.database),
        installed.system
    );
    for grant in &installed.lacks {
        let _ = writeln!(text, "  this role cannot do all of it yet: {}", clean(grant));
    }
    printer::out(&text)?;
    Ok(Exit::Proven)
}

/// Opens the witness file to append to it; where it cannot be, that is said.
fn open(path: &Path) -> Result<WitnessFile, Exit> {
    let shown = path.display();
    let file = WitnessFile::open(path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::WouldBlock => {
                "another pgdrill does so; let it go on, or name another file by --state".to_owned()
            }
            _ => format!("{error}; name another file by --state"),
        };
        printer::say(&format!("pgdrill: cannot append to the witness file {shown}: {}", clean(&why)));
        Exit::Unverified
    })?;
    if file.torn() {
        printer::say(&format!(
            "pgdrill: the last line of {shown} broke off when it was written; that beat is not known any more, and the next begins \
             on a line of its own"
        ));
    }
    Ok(file)
}

fn nonce() -> anyhow::Result<Nonce> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut chance| chance.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(Nonce(bytes))
}

/// The cluster that a witness file is of.
fn cluster(file: &WitnessFile) -> Option<System> {
    file.last().map(|entry| match entry {
        Entry::Beat(beat) => beat.system,
        Entry::Removed(removal) => removal.system,
    })
}

async fn beat(args: &WitnessBeat) -> anyhow::Result<Exit> {
    let server = server(&args.server)?;
    files::make_private();
    let mut file = match open(&args.state.state) {
        Ok(file) => file,
        Err(exit) => return Ok(exit),
    };
    let interrupt = interrupt::listen().context("cannot listen for signals")?;
    let clock = SystemClock::start();
    let mut ticks = tokio::time::interval(args.every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut exit, mut said) = (Exit::Proven, None);
    loop {
        tokio::select! {
            () = interrupt.cancelled() => return Ok(Exit::Interrupted),
            _ = ticks.tick() => {}
        }
        // A beat that was begun is brought to its end, whoever interrupts: its answer must come into the file.
        match server.beat(nonce()?, cluster(&file)).await {
            Ok(sent) => {
                file.append(Entry::Beat(sent.beat.clone())).with_context(|| {
                    format!(
                        "beat {} is in the database and not in {}",
                        sent.beat.beat,
                        args.state.state.display()
                    )
                })?;
                if !sent.beat.acknowledged {
                    exit = Exit::Unverified;
                }
                tell(&sent, &mut said)?;
            }
            Err(why) => exit = refused(&why),
        }
        if args.lasting.is_none_or(|lasting| clock.elapsed() + args.every > lasting) {
            return Ok(exit);
        }
    }
}

/// One line for a beat; that there are no restore points is said once.
fn tell(sent: &Sent, said: &mut Option<String>) -> anyhow::Result<()> {
    let Beat { beat, before, after, acknowledged, written_unix_us, restore_point, .. } = &sent.beat;
    if sent.no_restore_point.is_some() && *said != sent.no_restore_point {
        said.clone_from(&sent.no_restore_point);
        let why = clean(sent.no_restore_point.as_deref().unwrap_or_default());
        printer::say(&format!("pgdrill: restore points are left out: {why}"));
    }
    if let Some(trouble) = &sent.trouble {
        printer::say(&format!("pgdrill: beat {beat}: {}", clean(trouble)));
    }
    if !acknowledged {
        printer::say(&format!(
            "pgdrill: beat {beat} was not acknowledged; nobody knows whether it was committed"
        ));
        return Ok(());
    }
    let after = after.map_or_else(String::new, |after| format!(" and {after}"));
    let point =
        restore_point.as_ref().map_or_else(String::new, |point| format!(", restore point {}", point.name));
    printer::out(&format!(
        "{}  beat {beat}, committed between {before}{after}{point}\n",
        show_time(*written_unix_us)
    ))
}

async fn remove(args: &WitnessRemove) -> anyhow::Result<Exit> {
    let server = server(&args.server)?;
    files::make_private();
    let mut file = match args.state.state.exists().then(|| open(&args.state.state)) {
        Some(Err(exit)) => return Ok(exit),
        opened => opened.and_then(Result::ok),
    };
    let removed = match server.remove().await {
        Ok(removed) => removed,
        Err(why) => return Ok(refused(&why)),
    };
    let Some(removal) = removed.removal else {
        printer::out("there is no pgdrill.witness\n")?;
        return Ok(Exit::Proven);
    };
    let mut text = "pgdrill.witness is gone".to_owned();
    match &removed.schema_stays {
        None => text.push_str(", and schema pgdrill with it\n"),
        Some(why) => {
            let _ = writeln!(text, "; schema pgdrill stays: {}", clean(why));
        }
    }
    printer::out(&text)?;
    let own = file.as_ref().is_some_and(|file| cluster(file) == Some(removal.system));
    if let Some(file) = file.as_mut().filter(|_| own) {
        file.append(Entry::Removed(removal))
            .with_context(|| format!("cannot note that in {}", args.state.state.display()))?;
    }
    Ok(Exit::Proven)
}

/// Reads a witness file, and says what of it cannot be read.
pub(super) fn contents(path: &Path) -> anyhow::Result<Contents> {
    let shown = path.display();
    let contents = read(path).with_context(|| format!("cannot read the witness file {shown}"))?;
    if contents.torn {
        printer::say(&format!(
            "pgdrill: the last line of {shown} broke off when it was written; it is left out"
        ));
    }
    if let Some((number, why)) = contents.unreadable.first() {
        let lines = contents.unreadable.len();
        let what = if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
        printer::say(&format!(
            "pgdrill: {what} of {shown} cannot be read and are left out, the first is line {number}: {}",
            clean(why)
        ));
    }
    if contents.entries.is_empty() && !contents.unreadable.is_empty() {
        bail!("{shown} is no witness file; `pgdrill live witness beat` writes one");
    }
    Ok(contents)
}

async fn check(args: &WitnessCheck) -> anyhow::Result<Exit> {
    let server = server(&args.server)?;
    let contents = contents(&args.state.state)?;
    let found = match server.found().await {
        Ok(found) => found,
        Err(why) => return Ok(refused(&why)),
    };
    let point = args.reached.zip(args.timeline);
    let point = point.map(|(lsn, timeline)| RecoveryPoint { path: Along::only(timeline), lsn });
    let wanted = match (&point, args.everything) {
        (Some(point), _) => Wanted::Point(point, None),
        (None, true) => Wanted::Everything,
        (None, false) => Wanted::Unknown,
    };
    let now_unix_us = SystemClock::start().unix_micros();
    let judgement = judge(&contents.entries, &found, wanted, now_unix_us, args.max_age);
    printer::out(&text(&judgement, found.system, wanted))?;
    let weight = judgement.findings.iter().map(|finding| finding.weight).max();
    Ok(match weight {
        Some(Weight::Disproves | Weight::Bug) => Exit::Disproven,
        Some(Weight::Unverifies) => Exit::Unverified,
        Some(Weight::Notes) | None => Exit::Proven,
    })
}

/// What is said of a restored server.
fn text(judgement: &Judgement, system: System, wanted: Wanted<'_>) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<11} {value}");
    };
    let newest = |newest: Newest| format!("beat {} of {}", newest.beat, show_time(newest.written_unix_us));
    line("cluster", system.to_string());
    line(
        "rows",
        format!("{}, the file knows {}", show_count(judgement.examined), show_count(judgement.known)),
    );
    let age = Duration::from_micros(judgement.age_us.unwrap_or_default().max(0).unsigned_abs());
    let returned = judgement.returned.map(|beat| format!("{}, {} ago", newest(beat), show_duration(age)));
    line("came back", returned.unwrap_or_else(|| "nothing".to_owned()));
    if !matches!(wanted, Wanted::Unknown) {
        line("had to", judgement.expected.map_or_else(|| "nothing".to_owned(), newest));
        let lost_for = Duration::from_micros(judgement.lost_us);
        let lost = match judgement.lost {
            0 => "nothing".to_owned(),
            lost => format!("{} beats, {}", show_count(lost), show_duration(lost_for)),
        };
        line("lost", lost);
        if judgement.indeterminate > 0 {
            line(
                "open",
                format!("{} beats, of which nobody can say whether they had to", judgement.indeterminate),
            );
        }
        if judgement.beyond > 0 {
            line("later", format!("{} beats, behind the recovery point", show_count(judgement.beyond)));
        }
    }
    for finding in &judgement.findings {
        let advice = finding.hint.as_deref().unwrap_or(finding.code.entry().advice);
        let _ = write!(text, "\n{}: {}\n  {advice}\n", finding.code, clean(&finding.message));
    }
    text
}
