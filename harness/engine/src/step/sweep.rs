//! `sweep`: many recovery points. One server is moved through all of them; some are recovered for real beside that, and
//! must show the same.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use pgdrill_model::code::{Code, Weight};
use pgdrill_model::event::Unit;
use pgdrill_model::evidence::{Evidence, RecoveryEvidence, SweepEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::{Member, Recovery};
use pgdrill_model::scenario::{Action, RecoverFrom, Sweep, Timeline};
use pgdrill_model::units::{Lsn, show_count};
use pgdrill_ondisk::segment;
use pgdrill_ondisk::wal::Segments;

use super::recover::recover;
use crate::drill::{Drill, on_a_thread};
use crate::recovery::phases::Clocked;
use crate::session::{Door, describe, tells_of_data};
use crate::sweep::expected::{Base, Oracle, differs, is_nothing, transaction, without_a_ledger};
use crate::sweep::feed::Feed;
use crate::sweep::known::{Known, stretches};
use crate::sweep::look::{Held, Sessions};
use crate::sweep::moving::{self, Moved, Moving};
use crate::sweep::rows::Rows;
use crate::sweep::survey::{Survey, survey};
use crate::sweep::targets::{Drawn, closely, draw, repeated};
use crate::workload::find;
use crate::workspace::trouble;

/// What this step's chance begins with, beside the drill's seed: other than that of its data.
const CHANCE: u64 = 0x5357_4545_5000_0000;

/// A sweep that is under way.
struct Sweeping {
    survey: Survey,
    targets: Vec<Drawn>,
    /// Targets that no recovery reaches, for the WAL breaks before them.
    beyond: u64,
    known: Vec<Known>,
    bases: Vec<Base>,
    oracle: Option<Oracle>,
    /// Which targets are recovered for real.
    repeated: Vec<usize>,
    /// What was shown at these.
    shown: BTreeMap<usize, Held>,
    until: Duration,
}

pub(super) async fn run(
    drill: &mut Drill<'_>,
    sweep: Sweep,
    backups: &[Vec<Member>],
) -> Result<Vec<Finding>, Unable> {
    let began = drill.clock.elapsed();
    let mut evidence = SweepEvidence { asked: sweep.targets.into(), ..SweepEvidence::default() };
    // The recoveries of the sweep are its own affair: checks to come look at the one before.
    let before = drill.recovered.take();
    let outcome = swept(drill, sweep, backups, began, &mut evidence).await;
    drill.recovered = before;
    // Whatever the end, what was seen until then is evidence.
    drill.recorder.measured(Evidence::Sweep(evidence));
    outcome
}

async fn swept(
    drill: &mut Drill<'_>,
    sweep: Sweep,
    backups: &[Vec<Member>],
    began: Duration,
    evidence: &mut SweepEvidence,
) -> Result<Vec<Finding>, Unable> {
    let mut findings = drill.primary_is_gone().await?;
    let mut sweeping = match prepare(drill, sweep, backups, began + sweep.within, evidence).await? {
        Ok(sweeping) => sweeping,
        Err(found) => {
            findings.push(found);
            return Ok(findings);
        }
    };
    let moved = through(drill, &mut sweeping, evidence).await;
    evidence.took_us = since(drill, began);
    // What was found counts, whatever else cannot be done.
    for found in findings.drain(..).chain(moved?) {
        drill.recorder.found(found);
    }
    let closed = moving::close(drill, &sweeping.survey.chain).await?;
    closed.into_iter().for_each(|found| drill.recorder.found(found));
    let began = drill.clock.elapsed();
    for number in sweeping.repeated.clone() {
        if let Some(found) = repeat(drill, &sweeping, number, backups, evidence).await? {
            found.into_iter().for_each(|found| drill.recorder.found(found));
        }
    }
    evidence.repeats_took_us = since(drill, began);
    Ok(Vec::new())
}

/// Reads the WAL and draws the targets; a finding when the archive cannot bring any recovery to its end.
async fn prepare(
    drill: &Drill<'_>,
    sweep: Sweep,
    backups: &[Vec<Member>],
    until: Duration,
    evidence: &mut SweepEvidence,
) -> Result<Result<Sweeping, Finding>, Unable> {
    let seed = drill.seed ^ CHANCE;
    // The oldest backup reaches the most points.
    let chain = backups.first().ok_or_else(|| Unable::bug("a sweep of no backup"))?;
    let mut close = Vec::new();
    let survey = survey(drill, chain, |range| {
        close = closely(range, sweep.targets, seed);
        close.clone()
    });
    let survey = match survey.await? {
        Ok(survey) => survey,
        Err(finding) => return Ok(Err(finding)),
    };
    let known = stretches(
        &drill.baselines,
        &drill.unrecorded,
        &survey.lineage,
        survey.consistent.saturating_add(1),
        survey.reached,
    );
    let ranges: Vec<_> = known.iter().map(|known| known.range.clone()).collect();
    let length: u64 = ranges.iter().map(|range| range.end() - range.start()).sum();
    evidence.left_out_bytes = survey.reached.saturating_sub(survey.consistent).saturating_sub(length);
    let lost = if survey.broken().is_some() { survey.archive_end.saturating_sub(survey.reached) } else { 0 };
    let beyond = share(sweep.targets, lost, length);
    let targets = draw(&survey.chronicle, &ranges, &close, sweep.targets - beyond, seed.wrapping_add(1));
    if targets.is_empty() && beyond == 0 {
        let message =
            "no recovery point could be drawn: nowhere in the archived WAL is known what must be there";
        return Err(Unable::new(Code::CheckNotRun, message).hint(
            "let writers work (`work`) after the backup, or capture what SQL did by a step that follows it",
        ));
    }
    evidence.targets = targets.len() as u64 + u64::from(beyond);
    evidence.beyond = beyond.into();
    evidence.range = targets.first().zip(targets.last()).map(|(a, b)| (Lsn(a.position), Lsn(b.position)));
    let size = u64::from(survey.store.segment_size());
    evidence.segments =
        evidence.range.map_or(0, |(Lsn(first), Lsn(last))| (last - 1) / size + 1 - first / size);
    let oracle = match drill.ledger.file() {
        None => None,
        Some(file) => {
            let (file, survey) = (file.to_owned(), survey.clone());
            let read =
                on_a_thread(move || Oracle::read(&file, &survey.lineage, &survey.chronicle, survey.reached));
            Some(read.await??)
        }
    };
    let repeated = repeated(&targets, sweep.repeat, seed.wrapping_add(2));
    let bases = drill.baselines.iter().map(Base::of).collect();
    let beyond = beyond.into();
    let shown = BTreeMap::new();
    Ok(Ok(Sweeping { survey, targets, beyond, known, bases, oracle, repeated, shown, until }))
}

/// How many of `count` targets lie in `lost` bytes beside `length` bytes; at least one where any is lost.
fn share(count: u32, lost: u64, length: u64) -> u32 {
    if lost == 0 {
        return 0;
    }
    let part = u128::from(count) * u128::from(lost) / (u128::from(lost) + u128::from(length));
    u32::try_from(part).unwrap_or(count).clamp(1, count)
}

/// Moves one server through all targets. Each is looked at as soon as it is replayed.
async fn through(
    drill: &mut Drill<'_>,
    sweeping: &mut Sweeping,
    evidence: &mut SweepEvidence,
) -> Result<Vec<Finding>, Unable> {
    let mut findings = Vec::new();
    if let Some(contradiction) = sweeping.oracle.as_ref().and_then(Oracle::contradiction) {
        findings.push(contradiction);
    }
    let survey = sweeping.survey.clone();
    let configuration = match moving::make(drill, &survey).await? {
        Ok(configuration) => configuration,
        Err(finding) => {
            findings.push(finding);
            return Ok(findings);
        }
    };
    let directory = moving::pg_wal(drill);
    let begin = survey.chronicle.begin().position;
    let mut feed = fed(drill, move || Feed::begin(survey.store, survey.lineage, &directory, begin)).await?;
    let workspace = drill.workspace;
    drill.server(moving::NAME)?.start(workspace, &configuration).await?;
    let mut moving = Moving::default();
    let mut rows = Rows::default();
    let mut expected: Vec<Held> = Vec::new();
    let mut wrong = Wrong::default();
    let total = sweeping.targets.len();
    for number in 0..total {
        let Some(target) = sweeping.targets.get(number).cloned() else { break };
        drill.recorder.progress("sweep", number as u64, Some(evidence.targets), Unit::Points);
        let began = drill.clock.elapsed();
        let position = target.position;
        feed = fed(drill, move || feed.until(position).map(|()| feed)).await?;
        let moved = moving.to(drill, position, sweeping.until).await?;
        evidence.replaying_us += since(drill, began);
        if let Some(finding) = stuck(sweeping, &target, moved) {
            evidence.first_failure.get_or_insert_with(|| finding.message.clone());
            findings.push(finding.with("targets_not_reached", total - number));
            return Ok(findings);
        }
        if number == 0 {
            if let Some(finding) = moving.quarantine().await? {
                findings.push(finding);
                return Ok(findings);
            }
            expected = all_expected(drill, sweeping).await?;
        }
        let expected =
            expected.get(number).ok_or_else(|| Unable::bug("a target without what is expected"))?;
        let began = drill.clock.elapsed();
        let mut compared = compare(moving.sessions()?, &mut rows, expected, wrong.count == 0).await?;
        evidence.looking_us += since(drill, began);
        evidence.fingerprinted += u64::from(!matches!(compared, Compared::Unreadable(_)));
        // The first is told by the name of a transaction.
        if let (0, Compared::Wrong(words)) = (wrong.count, &mut compared) {
            *words = by_name(drill, sweeping, position).await?.unwrap_or_else(|| mem::take(words));
        }
        if !moving.is_at(position).await {
            let message =
                format!("the moving server did not stay at {} while it was looked at", Lsn(position));
            return Err(Unable::new(Code::ServerLost, message));
        }
        match compared {
            Compared::Right(held) => {
                evidence.proven += 1;
                if sweeping.repeated.contains(&number) {
                    sweeping.shown.insert(number, held);
                }
            }
            Compared::Wrong(words) | Compared::Unreadable(words) => wrong.take(number, &target, &words),
        }
    }
    if let (Some(oracle), Some(last)) = (&sweeping.oracle, sweeping.targets.last()) {
        evidence.transactions = oracle.count(last.position);
    }
    if let Some(finding) = wrong.finding(evidence.targets) {
        evidence.first_failure.get_or_insert_with(|| finding.message.clone());
        findings.push(finding);
    }
    findings.extend(at_the_break(drill, sweeping, feed, &mut moving, evidence).await?);
    drill.recorder.progress("sweep", total as u64, Some(evidence.targets), Unit::Points);
    Ok(findings)
}

/// How long it is since then, in microseconds.
fn since(drill: &Drill<'_>, began: Duration) -> u64 {
    drill.clock.elapsed().saturating_sub(began).as_micros() as u64
}

/// What is there at a target, beside what must be.
enum Compared {
    Right(Held),
    /// It is not; in words, what.
    Wrong(String),
    /// It cannot be read; in words, why.
    Unreadable(String),
}

/// Compares what is there with what must be. Before anything is called wrong for the first time, everything is read again.
async fn compare(
    sessions: &Sessions,
    rows: &mut Rows,
    expected: &Held,
    first: bool,
) -> Result<Compared, Unable> {
    let mut held = readable(rows.look(sessions).await)?;
    if first && held.as_ref().is_ok_and(|held| differs(expected, held).is_some()) {
        held = readable(sessions.look(None).await)?;
    }
    Ok(match held {
        Ok(held) => differs(expected, &held).map_or(Compared::Right(held), Compared::Wrong),
        Err(words) => Compared::Unreadable(words),
    })
}

/// The targets at which something else was there than must be.
#[derive(Default)]
struct Wrong {
    count: u64,
    first: Option<(usize, Drawn, String)>,
}

impl Wrong {
    fn take(&mut self, number: usize, target: &Drawn, words: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| (number, target.clone(), words.to_owned()));
    }

    fn finding(&self, of: u64) -> Option<Finding> {
        let (number, target, words) = self.first.as_ref()?;
        let others = match self.count {
            1 => String::new(),
            all => format!(" ({} more of them are wrong)", show_count(all - 1)),
        };
        let message =
            format!("recovery point {} of {of}, {}, is wrong{others}: {words}", number + 1, target.words());
        Some(
            Finding::new(Code::RecoveryPointWrong, Stage::Recover, message)
                .with("position", Lsn(target.position))
                .with("points", self.count),
        )
    }
}

/// What must be there at every target, told at the first.
async fn all_expected(drill: &mut Drill<'_>, sweeping: &mut Sweeping) -> Result<Vec<Held>, Unable> {
    let points: Vec<u64> = sweeping.targets.iter().map(|target| target.position).collect();
    let expected = match sweeping.oracle.take() {
        None => without_a_ledger(&points, &sweeping.bases, &sweeping.known),
        Some(mut oracle) => {
            if oracle.is_undecided() {
                oracle.decide(&found(drill).await?);
            }
            let (bases, known) = (sweeping.bases.clone(), sweeping.known.clone());
            let (oracle, expected) = on_a_thread(move || {
                let expected = oracle.expected(&points, &bases, &known);
                (oracle, expected)
            })
            .await?;
            sweeping.oracle = Some(oracle);
            expected?
        }
    };
    if expected.iter().any(is_nothing) {
        let message = "what must be there at a recovery point of the sweep is not known: its tables could not be read \
                       when they were captured";
        return Err(Unable::new(Code::CheckNotRun, message));
    }
    Ok(expected)
}

/// The first transaction that is not as it must be, where there is one.
async fn by_name(
    drill: &mut Drill<'_>,
    sweeping: &mut Sweeping,
    position: u64,
) -> Result<Option<String>, Unable> {
    let Some(oracle) = sweeping.oracle.take() else { return Ok(None) };
    let found = found(drill).await?;
    let (oracle, (count, first)) = on_a_thread(move || {
        let differences = oracle.differences(position, &found);
        (oracle, differences)
    })
    .await?;
    sweeping.oracle = Some(oracle);
    let others = match count {
        0 => return Ok(None),
        1 => String::new(),
        all => format!(" (and {} others)", show_count(all - 1)),
    };
    let first =
        first.as_ref().map_or_else(|| "rows that name no transaction are there".to_owned(), transaction);
    Ok(Some(format!("{first}{others}")))
}

async fn found(drill: &mut Drill<'_>) -> Result<pgdrill_ledger::Found, Unable> {
    let (socket, tag) = (drill.server(moving::NAME)?.socket.clone(), drill.ledger.tag());
    find(&socket, tag).await.map_err(|error| lost(&error))
}

/// What it means that the server did not come to a target.
fn stuck(sweeping: &Sweeping, target: &Drawn, moved: Moved) -> Option<Finding> {
    let size = u64::from(sweeping.survey.store.segment_size());
    let timeline = |at: u64| sweeping.survey.lineage.timeline_at(at).unwrap_or(1);
    let message = match moved {
        Moved::There => return None,
        Moved::Ended(mut finding) => {
            finding.message =
                format!("the moving server did not come to {}: {}", target.words(), finding.message);
            return Some(finding);
        }
        Moved::Waits { replayed } if replayed > target.position => {
            format!("the moving server replayed up to {}, beyond {}", Lsn(replayed), target.words())
        }
        Moved::Waits { replayed } => format!(
            "the moving server did not come to {}: replay stands still at {}, in {}",
            target.words(),
            Lsn(replayed),
            segment::name(timeline(replayed), replayed, size)
        ),
    };
    Some(
        Finding::new(Code::RecoveryPointWrong, Stage::Recover, message)
            .with("position", Lsn(target.position)),
    )
}

/// Where the WAL breaks before the archive ends: feeds all that there is, and sees the server wait there.
async fn at_the_break(
    drill: &mut Drill<'_>,
    sweeping: &Sweeping,
    mut feed: Feed,
    moving: &mut Moving,
    evidence: &mut SweepEvidence,
) -> Result<Vec<Finding>, Unable> {
    let survey = &sweeping.survey;
    let Some(finding) = survey.broken() else { return Ok(Vec::new()) };
    let mut finding = finding.with("targets_beyond", sweeping.beyond);
    finding.message = format!(
        "{}; {} of {} recovery points lie beyond",
        finding.message,
        show_count(sweeping.beyond),
        show_count(evidence.targets)
    );
    evidence.first_failure.get_or_insert_with(|| finding.message.clone());
    // Where replay goes astray, it goes on: nobody has to see that.
    if survey.chronicle.strayed().is_none() {
        let end = survey.archive_end;
        drop(fed(drill, move || feed.until(end).map(|()| feed)).await?);
        match moving.to(drill, end, sweeping.until).await? {
            Moved::Waits { replayed } if replayed == survey.reached => {
                finding = finding.with("server_waits_at", Lsn(replayed));
            }
            Moved::Ended(ended) => finding = finding.with("server_ended", ended.message),
            Moved::There | Moved::Waits { .. } => {
                return Err(Unable::bug(format!(
                    "the server replays beyond {}, where the WAL was said to break",
                    Lsn(survey.reached)
                )));
            }
        }
    }
    Ok(vec![finding])
}

/// Recovers to a target for real. It must stop there, and show what the moving server showed.
async fn repeat(
    drill: &mut Drill<'_>,
    sweeping: &Sweeping,
    number: usize,
    backups: &[Vec<Member>],
    evidence: &mut SweepEvidence,
) -> Result<Option<Vec<Finding>>, Unable> {
    let (Some(target), Some(shown)) = (sweeping.targets.get(number), sweeping.shown.get(&number)) else {
        // It was wrong already.
        return Ok(None);
    };
    drill.recorder.progress("repeat", evidence.repeated, Some(sweeping.repeated.len() as u64), Unit::Points);
    let recovery = Recovery {
        given: false,
        backups: backups.to_vec(),
        by: None,
        from: RecoverFrom::Newest,
        tried_by: Vec::new(),
        to: target.to.clone(),
        timeline: Timeline::Number(sweeping.survey.lineage.timeline()),
        action: Action::Promote,
        within: sweeping.until.saturating_sub(drill.clock.elapsed()),
        server: moving::NAME,
        serves: false,
    };
    evidence.repeated += 1;
    let mut recovered = RecoveryEvidence { target: target.to.to_string(), ..RecoveryEvidence::default() };
    let mut clocked = Clocked::begin(drill)?;
    let mut findings = recover(drill, &recovery, sweeping.until, &mut recovered, &mut clocked).await?;
    let restore =
        clocked.phases().into_iter().filter(|phase| !matches!(phase.name.as_str(), "detect" | "fetch"));
    evidence.restores_took_us += restore.map(|phase| phase.took_us).sum::<u64>();
    let disproven = findings.iter().any(|found| found.weight == Weight::Disproves);
    if !disproven {
        let xid = drill.recovered()?.first_write.as_ref().and_then(|written| written.as_ref().ok());
        let xid = xid.and_then(|written| written.xid.clone());
        let socket = drill.server(moving::NAME)?.socket.clone();
        let door = Door::reading(&socket, crate::data::DATABASE);
        let sessions = Sessions::open(&door).await.map_err(|error| lost(&error))?;
        let again = readable(sessions.look(xid.as_deref()).await)?;
        drop(sessions);
        let reached = recovered.reached_lsn;
        let same = again.as_ref() == Ok(shown);
        if same && reached == Some(Lsn(target.position)) {
            evidence.agreed += 1;
        } else {
            let message = format!(
                "a recovery to {} stopped at {} and shows {} the sweep showed at {}",
                target.to,
                reached.map_or_else(|| "an unknown position".to_owned(), |at| at.to_string()),
                if same { "what" } else { "something else than" },
                target.words(),
            );
            evidence.first_failure.get_or_insert_with(|| message.clone());
            findings.push(Finding::new(Code::RecoveryPointWrong, Stage::Recover, message));
        }
    }
    let mut chain = sweeping.survey.chain.clone();
    chain.extend(drill.recovered.take().into_iter().flat_map(|recovered| recovered.from));
    findings.extend(moving::close(drill, &chain).await?);
    Ok(Some(findings))
}

/// What was shown, or in words that the server cannot show it, where that is because of the data.
fn readable(shown: Result<Held, tokio_postgres::Error>) -> Result<Result<Held, String>, Unable> {
    match shown {
        Ok(shown) => Ok(Ok(shown)),
        Err(error) if tells_of_data(&error) => Ok(Err(format!("it cannot be read: {}", describe(&error)))),
        Err(error) => Err(lost(&error)),
    }
}

/// Does something with what is fed on a thread.
async fn fed<T: Send + 'static>(
    drill: &Drill<'_>,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Unable> {
    let directory = moving::pg_wal(drill);
    on_a_thread(work).await?.map_err(|error| trouble(&directory, &error))
}

fn lost(error: &tokio_postgres::Error) -> Unable {
    Unable::new(Code::ServerLost, format!("the server of the sweep could not be asked: {}", describe(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_a_break_has_its_share_of_the_targets() {
        assert_eq!(share(100, 0, 1_000), 0);
        assert_eq!(share(100, 250, 750), 25);
        // However little of it there is, and however little there is beside it.
        assert_eq!(share(100, 1, 1_000_000), 1);
        assert_eq!(share(100, 1_000, 0), 100);
    }
}
