//! What production knows of itself, held against what came back: where a baseline belongs in the WAL, what of it can be required
//! of the recovered server, and what its beats say.

use std::collections::BTreeMap;

use pgdrill_backup::wal::Store;
use pgdrill_backup::wal::aim::Aimed;
use pgdrill_backup::wal::target;
use pgdrill_backup::wal::timelines::Timelines;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{BaselineEvidence, Evidence, RecoveryEvidence, WitnessEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::recovery_point::{RecoveryPoint, Wal};
use pgdrill_model::scenario::{Point, Target, Timeline};
use pgdrill_model::snapshot::{Comparison, Span};
use pgdrill_model::units::Lsn;
use pgdrill_model::witness::{Entry, Wanted, judge};

use super::Taken;
use crate::baseline::Baseline;
use crate::content::Content;
use crate::definitions::Definitions;
use crate::drill::{Drill, on_a_thread};
use crate::live::baseline::{Baseline as File, path, wal};
use crate::live::witness::found;
use crate::recovery::aim::Aim;
use crate::sequences::Sequences;
use crate::session::describe;

/// Where recovery must stop so that everything can be compared with the baseline, found in the WAL.
///
/// # Errors
///
/// `BASELINE_ELSEWHERE`: there is no such place.
pub async fn target(
    taken: &Taken,
    store: &Store,
    timelines: &Timelines,
    along: Timeline,
) -> Result<target::Target, Unable> {
    let elsewhere = |why: String| Unable::new(Code::BaselineElsewhere, why);
    let baseline = taken.baseline.as_ref().ok_or_else(|| Unable::bug("a target of no baseline"))?;
    let origin = taken.origin.ok_or_else(|| elsewhere("a dump is recovered to no position".to_owned()))?;
    let (store, timelines) = (store.clone(), timelines.clone());
    let aimed = on_a_thread(move || origin.aim(&store, &timelines, along, &target::Target::Latest)).await?;
    let Aimed::At(met) = aimed else {
        return Err(elsewhere(
            "the WAL does not lead from the backup to where the baseline belongs".to_owned(),
        ));
    };
    let replayed = wal(&met.1, &met.0);
    let mut spans = Vec::new();
    for (name, database) in &baseline.databases {
        let span = database.position.locate(Some(&replayed));
        spans.push((name, span.map_err(|why| elsewhere(format!("the baseline of database {name}: {why}")))?));
    }
    let common = Span::common(spans.iter().map(|(_, span)| span)).ok_or_else(|| {
        let names: Vec<&str> = spans.iter().map(|(name, _)| name.as_str()).collect();
        elsewhere(format!(
            "the databases of the baseline ({}) belong to different positions",
            names.join(", ")
        ))
    })?;
    let sequences = baseline.databases.values().map(|database| database.sequences_at).max().unwrap_or(Lsn(0));
    match common.target(sequences) {
        Target { at: Point::Lsn(Lsn(position)), inclusive } => {
            Ok(target::Target::Lsn { position, inclusive })
        }
        _ => Err(Unable::bug("a baseline that is no position")),
    }
}

/// Makes the baseline what the recovered server is compared with, as far as it belongs there; findings where it does not.
///
/// # Errors
///
/// `SERVER_LOST`.
pub async fn compare(
    drill: &mut Drill<'_>,
    server: Name,
    aim: &Aim,
    evidence: &RecoveryEvidence,
) -> Result<Vec<Finding>, Unable> {
    let Some(reached) = evidence.reached_lsn else { return Ok(Vec::new()) };
    let Some(file) = drill.given.as_ref().and_then(|taken| taken.baseline.clone()) else {
        return Ok(Vec::new());
    };
    let replayed = wal(&aim.chronicle, &aim.lineage);
    let point = RecoveryPoint { path: path(&aim.lineage), lsn: reached };
    let began = drill.clock.elapsed();
    let (mut findings, mut compared) = (Vec::new(), BTreeMap::new());
    for (name, database) in &file.databases {
        let span = match database.position.locate(Some(&replayed)) {
            Ok(span) => span,
            Err(why) => {
                findings.push(elsewhere(name, &why.to_string()));
                continue;
            }
        };
        match differs(&span, &point, &replayed) {
            Some(why) => findings.push(elsewhere(name, &why)),
            None => _ = compared.insert(name.clone(), span),
        }
    }
    let unresolved: Vec<u64> = compared.values().flat_map(|span| span.unresolved.clone()).collect();
    if let Some(committed) = committed(drill, server, &unresolved).await? {
        let why = format!("transaction {committed}, which it does not hold, is committed there");
        findings.extend(compared.keys().map(|name| elsewhere(name, &why)));
        compared.clear();
    }
    if findings.is_empty() && !compared.is_empty() {
        let whole = merged(&file, &compared);
        let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
        drill.recorder.measured(Evidence::Baseline(of(&whole, took_us)));
        drill.baselines = vec![whole];
        drill.recovered()?.base = Some(0);
    }
    Ok(findings)
}

/// Why content cannot be compared exactly where a recovery stopped; none where it can.
fn differs(span: &Span, point: &RecoveryPoint, replayed: &Wal) -> Option<String> {
    let many = |commits: Option<u64>| match commits {
        None => "some transactions".to_owned(),
        Some(1) => "1 transaction".to_owned(),
        Some(commits) => format!("{commits} transactions"),
    };
    match span.compare(point, Some(replayed)) {
        Comparison::Exact => None,
        Comparison::Earlier { commits } => {
            Some(format!("recovery went {} further than where it belongs", many(commits)))
        }
        Comparison::Later { commits } => {
            Some(format!("recovery ended {} before where it belongs", many(commits)))
        }
        Comparison::Elsewhere => {
            Some("it belongs to another history than the one that was recovered".to_owned())
        }
    }
}

fn elsewhere(database: &str, why: &str) -> Finding {
    let message =
        format!("the baseline of database {database} cannot be compared with what was recovered: {why}");
    Finding::new(Code::BaselineElsewhere, Stage::Recover, message).about(database)
}

/// The first of these transactions that the server has as committed.
async fn committed(drill: &mut Drill<'_>, server: Name, xids: &[u64]) -> Result<Option<u64>, Unable> {
    if xids.is_empty() {
        return Ok(None);
    }
    let session = drill.session(server, None).await?;
    for xid in xids {
        let row = session.query_one("SELECT pg_xact_status($1::text::xid8)", &[&xid.to_string()]).await;
        let status = row.and_then(|row| row.try_get::<_, Option<String>>(0));
        let status = status.map_err(|error| {
            Unable::new(
                Code::ServerLost,
                format!("the recovered server could not be asked: {}", describe(&error)),
            )
        })?;
        if status.as_deref() == Some("committed") {
            return Ok(Some(*xid));
        }
    }
    Ok(None)
}

/// All databases of a baseline as one.
fn merged(file: &File, spans: &BTreeMap<String, Span>) -> Baseline {
    let mut whole = Baseline {
        timeline: 0,
        lsn: Lsn(0),
        snapshot: String::new(),
        settled: Lsn(0),
        content: Content::default(),
        definitions: None,
        sequences: Some(Sequences::default()),
        collations: None,
    };
    for (name, span) in spans {
        let Some(one) = file.of_database(name, span) else { continue };
        whole.timeline = one.timeline;
        whole.lsn = whole.lsn.max(one.lsn);
        whole.settled = whole.settled.max(one.settled);
        whole.content.databases.extend(one.content.databases);
        if let Some(definitions) = one.definitions {
            let all = whole.definitions.get_or_insert_with(Definitions::default);
            all.cluster = definitions.cluster;
            all.databases.extend(definitions.databases);
        }
        whole.sequences = match (whole.sequences.take(), one.sequences) {
            (Some(mut all), Some(sequences)) => {
                all.0.extend(sequences.0);
                Some(all)
            }
            _ => None,
        };
        match (&mut whole.collations, one.collations) {
            (Some(all), Some(one)) => all.databases.extend(one.databases),
            (all @ None, one) => *all = one,
            (Some(_), None) => {}
        }
    }
    whole
}

fn of(whole: &Baseline, took_us: u64) -> BaselineEvidence {
    let tables = whole.content.databases.iter().flat_map(|(database, content)| {
        let of = move |(table, content): (&String, &Result<_, _>)| {
            let content: &Result<pgdrill_model::evidence::TableContent, crate::content::Unread> = content;
            Some((format!("{database}.{table}"), content.as_ref().ok()?.clone()))
        };
        content.tables.iter().filter_map(of)
    });
    let content: BTreeMap<_, _> = tables.collect();
    BaselineEvidence {
        lsn: whole.lsn,
        tables: content.len() as u64,
        rows: content.values().map(|table| table.rows).sum(),
        definitions: whole.definitions.as_ref().map_or(0, Definitions::count),
        sequences: whole.sequences.as_ref().map_or(0, |sequences| sequences.0.len() as u64),
        content,
        took_us,
    }
}

/// Holds the recovered server against the beats of production.
///
/// # Errors
///
/// `SERVER_LOST`.
pub async fn witness(
    drill: &mut Drill<'_>,
    server: Name,
    aim: Option<&Aim>,
    evidence: &mut RecoveryEvidence,
) -> Result<Vec<Finding>, Unable> {
    let given = drill.given.as_ref().and_then(|taken| Some((taken.witness.clone()?, taken.max_age)));
    let Some((entries, max_age)) = given else { return Ok(Vec::new()) };
    let database = entries.iter().rev().find_map(|entry| match entry {
        Entry::Beat(beat) => Some(beat.database.clone()),
        Entry::Removed(_) => None,
    });
    // One that is of another cluster need not have that database.
    let database = match database {
        Some(name) if has(drill, server, &name).await? => Some(name),
        _ => None,
    };
    let session = drill.session(server, database.as_deref()).await?;
    let found = found(&session).await.map_err(|error| {
        Unable::new(Code::ServerLost, format!("the witness could not be read: {}", describe(&error)))
    })?;
    let point = aim.zip(evidence.reached_lsn);
    let point = point.map(|(aim, lsn)| {
        (RecoveryPoint { path: path(&aim.lineage), lsn }, wal(&aim.chronicle, &aim.lineage))
    });
    let wanted = match &point {
        Some((point, replayed)) => Wanted::Point(point, Some(replayed)),
        None => Wanted::Unknown,
    };
    let judged = judge(&entries, &found, wanted, drill.clock.unix_micros(), max_age);
    evidence.witness = Some(WitnessEvidence {
        returned: judged.returned.map(|newest| newest.beat),
        returned_unix_us: judged.returned.map(|newest| newest.written_unix_us),
        age_us: judged.age_us,
        known: judged.known,
        lost: judged.lost,
        beyond: judged.beyond,
    });
    Ok(judged.findings.into_iter().map(|finding| Finding { stage: Stage::Recover, ..finding }).collect())
}

async fn has(drill: &mut Drill<'_>, server: Name, database: &str) -> Result<bool, Unable> {
    let session = drill.session(server, None).await?;
    let row = session
        .query_one("SELECT count(*) FROM pg_database WHERE datname = $1 AND datallowconn", &[&database])
        .await;
    let there = row.and_then(|row| row.try_get::<_, i64>(0)).map_err(|error| {
        Unable::new(
            Code::ServerLost,
            format!("the recovered server could not be asked: {}", describe(&error)),
        )
    })?;
    Ok(there > 0)
}
