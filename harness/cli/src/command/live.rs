//! `pgdrill live`: looks at a user's own server. The only command that connects to one, and it only asks; but for the witness, which
//! writes a few bytes where it is told to.

mod baseline;
mod triage;
mod witness;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use pgdrill_engine::clock::SystemClock;
use pgdrill_engine::live::{Probe, Target, Wrong};
use pgdrill_model::alert::{self, Sample};
use pgdrill_model::world::Clock;
use pgdrill_report::watch::{Watched, catalogue};
use tokio::time::MissedTickBehavior;

use crate::args::{Live, LiveWatch, What};
use crate::exit::Exit;
use crate::{files, interrupt, printer};

/// The longest that a look may take, however rarely one is to be taken.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// The shortest that a look is given, however often one is to be taken.
const SHORTEST_LOOK: Duration = Duration::from_millis(500);

/// Between two looks.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

pub(super) fn run(args: &Live) -> anyhow::Result<Exit> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = match &args.what {
        What::Watch(args) => tokio.block_on(watch(args)),
        What::Triage(args) => tokio.block_on(triage::triage(args)),
        What::Witness(args) => tokio.block_on(witness::witness(args)),
        What::Baseline(args) => tokio.block_on(baseline::baseline(args)),
    };
    // A name or a disk that hangs is a thread that nobody can end, and nobody waits for.
    tokio.shutdown_background();
    exit
}

/// Refuses a password where every account of this host can see it. `variable` is where it may stand.
fn expect_no_password(dsn: &str, option: &str, variable: &str, instead: &str) -> anyhow::Result<()> {
    let on_the_command_line = std::env::var(variable).ok().as_deref() != Some(dsn);
    if on_the_command_line && Target::has_password(dsn) {
        bail!(
            "the connection string of {option} on the command line holds a password, which every account of this host can see \
             there; {instead}"
        );
    }
    Ok(())
}

fn told(wrong: &Wrong) -> anyhow::Error {
    anyhow!("{}; {}", wrong.message, wrong.hint)
}

/// The password for the connection string of `--dsn`, which must not hold it itself on the command line.
fn password(dsn: &str) -> anyhow::Result<Option<String>> {
    let instead = "put it into PGPASSWORD, or the whole string into PGDRILL_DSN";
    expect_no_password(dsn, "--dsn", "PGDRILL_DSN", instead)?;
    Ok(std::env::var("PGPASSWORD").ok())
}

async fn watch(args: &LiveWatch) -> anyhow::Result<Exit> {
    let password = password(&args.dsn)?;
    let mut watch = alert::Watch::new(args.scale);
    let every = args.every.unwrap_or_else(|| watch.interval()).max(SHORTEST_INTERVAL);
    let limit = every.clamp(SHORTEST_LOOK, LONGEST_LOOK);
    let probe =
        Probe::new(&args.dsn, password.as_deref(), args.disk.clone(), limit).map_err(|wrong| told(&wrong))?;
    for disk in &args.disk {
        std::fs::metadata(disk).with_context(|| format!("cannot watch the disk of {}", disk.display()))?;
    }
    for path in [&args.prometheus, &args.json].into_iter().flatten().filter(|path| *path != Path::new("-")) {
        files::expect_report(path)?;
    }
    let interrupt = interrupt::listen().context("cannot listen for signals")?;
    let mode = files::make_private();
    let server = probe.to_string();
    printer::say(&format!(
        "pgdrill: watching {server}, every {:.1} s; alerts:\n{}",
        every.as_secs_f64(),
        catalogue(&watch).trim_end()
    ));

    let clock = SystemClock::start();
    let began_unix_us = clock.unix_micros();
    let (mut changes, mut looks, mut answers) = (Vec::new(), 0, 0);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = false;
    loop {
        let look = async {
            ticks.tick().await;
            probe.look().await
        };
        let (answer, disks) = tokio::select! {
            () = interrupt.cancelled() => {
                interrupted = true;
                break;
            }
            looked = look => looked,
        };
        looks += 1;
        answers += u64::from(answer.is_ok());
        let new = watch.hear(Sample { at: clock.elapsed(), server: answer, disks });
        changes.extend(new.iter().cloned());
        let watched =
            Watched { server: &server, began_unix_us, looks, answers, watch: &watch, changes: &changes };
        for change in &new {
            printer::say(&watched.line(change));
        }
        if let Some(path) = &args.prometheus {
            files::write_report(path, watched.prometheus().as_bytes(), mode)?;
        }
        let fired = changes.iter().any(|change| change.level.fires);
        if (args.until_alert && fired) || args.lasting.is_some_and(|lasting| clock.elapsed() >= lasting) {
            break;
        }
    }
    let watched =
        Watched { server: &server, began_unix_us, looks, answers, watch: &watch, changes: &changes };
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", watched.json());
        if path == Path::new("-") {
            printer::out(&text)?;
        } else {
            files::write_report(path, text.as_bytes(), mode)?;
        }
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        printer::out(&watched.text())?;
    }
    Ok(match (changes.iter().any(|change| change.level.fires), answers) {
        _ if interrupted => Exit::Interrupted,
        (true, _) => Exit::Disproven,
        (false, 0) => Exit::Unverified,
        (false, _) => Exit::Proven,
    })
}
