//! How each signal is read from the facts: what of them says so, in sentences, or nothing. A fact that is not known says
//! nothing.

use std::time::Duration;

use super::facts::{Fact, Facts, LockWait, Query, State};
use crate::alert::Alert;
use crate::units::{show_bytes, show_duration};

/// The part of the connections above which few are left.
const SCARCE: f64 = 0.9;

/// For so long may a client of a pooler wait: longer than it takes to open a connection.
const CLIENT_WAIT: Duration = Duration::from_secs(1);

/// From here on a disk is full in practice, however large it is.
const FULL: f64 = 0.99;

/// Less room than this, on a disk above its threshold, is gone with the next few segments of WAL.
const NO_ROOM: u64 = 128 << 20;

/// So many segments may wait while the archiver is at work.
const SEGMENTS_WAITING: u64 = 3;

/// For so long the archiver may have archived nothing while segments wait.
const ARCHIVER_PAUSE: Duration = Duration::from_secs(60);

/// So far may a standby be behind.
const LAG: Duration = Duration::from_secs(60);

/// The same in WAL.
const LAG_BYTES: u64 = 1 << 30;

/// So much WAL may a slot keep that nobody uses.
const SLOT_BYTES: u64 = 1 << 30;

/// So many transactions must have ended before a share of them means anything.
const ENOUGH_TRANSACTIONS: u64 = 100;

fn time(us: u64) -> String {
    show_duration(Duration::from_micros(us))
}

/// The limit of an alert that is a time, microseconds.
fn limit_us(alert: Alert) -> u64 {
    Duration::from_secs_f64(alert.entry().limit).as_micros() as u64
}

/// The words of the server, where it is in one of these states.
fn in_state(facts: &Facts, states: &[State]) -> Vec<String> {
    let reach = &facts.reach;
    if !states.contains(&reach.state) {
        return Vec::new();
    }
    vec![match &reach.words {
        Some(words) => format!("{}: {}: {words}", facts.server, reach.state.words()),
        None => format!("{}: {}", facts.server, reach.state.words()),
    }]
}

pub fn server_absent(facts: &Facts) -> Vec<String> {
    in_state(facts, &[State::Absent])
}

pub fn server_silent(facts: &Facts) -> Vec<String> {
    in_state(facts, &[State::Silent])
}

pub fn server_not_ready(facts: &Facts) -> Vec<String> {
    in_state(facts, &[State::StartingUp, State::ShuttingDown])
}

pub fn too_many_clients(facts: &Facts) -> Vec<String> {
    in_state(facts, &[State::TooManyClients, State::OnlySuperusers])
}

pub fn server_refuses(facts: &Facts) -> Vec<String> {
    in_state(facts, &[State::Refuses])
}

pub fn no_way_there(facts: &Facts) -> Vec<String> {
    in_state(facts, &[State::Unreachable, State::Unencrypted])
}

pub fn certificate_untrusted(facts: &Facts) -> Vec<String> {
    let mut because = in_state(facts, &[State::Untrusted]);
    if let Some(pooler) = facts.pooler.as_ref().filter(|pooler| pooler.reach.state == State::Untrusted) {
        let words = pooler.reach.words.as_deref().unwrap_or_default();
        because.push(format!("the pooler {}: {}: {words}", pooler.server, pooler.reach.state.words()));
    }
    because
}

/// Connections in use, and how many an ordinary role can have.
fn connections(facts: &Facts) -> Option<(u64, u64)> {
    let connections = facts.connections.known()?;
    Some((connections.used, connections.max.saturating_sub(connections.reserved)))
}

pub fn connections_exhausted(facts: &Facts) -> Vec<String> {
    match connections(facts) {
        Some((used, free)) if used >= free => vec![format!("{used} of {free} connections are taken")],
        _ => Vec::new(),
    }
}

pub fn connections_scarce(facts: &Facts) -> Vec<String> {
    match connections(facts) {
        Some((used, free)) if used < free && used as f64 > free as f64 * SCARCE => {
            vec![format!("{used} of {free} connections are taken")]
        }
        _ => Vec::new(),
    }
}

/// The pooler's words, where it is in one of these states.
fn pooler_in_state(facts: &Facts, states: &[State]) -> Vec<String> {
    let pooler = facts.pooler.iter().filter(|pooler| states.contains(&pooler.reach.state));
    pooler
        .map(|pooler| {
            let words = pooler.reach.words.as_deref().unwrap_or_default();
            format!("the pooler {}: {}: {words}", pooler.server, pooler.reach.state.words())
        })
        .collect()
}

pub fn pooler_down(facts: &Facts) -> Vec<String> {
    use State::{Absent, OnlySuperusers, ShuttingDown, Silent, StartingUp, TooManyClients};
    pooler_in_state(facts, &[Absent, Silent, StartingUp, ShuttingDown, TooManyClients, OnlySuperusers])
}

pub fn pooler_unasked(facts: &Facts) -> Vec<String> {
    pooler_in_state(facts, &[State::Refuses, State::Unreachable, State::Unencrypted])
}

pub fn clients_wait(facts: &Facts) -> Vec<String> {
    let pools = facts.pooler.iter().filter_map(|pooler| pooler.pools.known()).flatten();
    pools
        .filter(|pool| {
            pool.clients_waiting > 0 && u128::from(pool.longest_wait_us) >= CLIENT_WAIT.as_micros()
        })
        .map(|pool| {
            let servers = match (pool.servers_active, pool.servers_idle) {
                (0, 0) => "it has no server connection".to_owned(),
                (active, idle) => format!("of its server connections {active} are in use, {idle} are free"),
            };
            let (database, user) = (&pool.database, &pool.user);
            let wait = time(pool.longest_wait_us);
            format!(
                "pool {database}/{user}: {}, the first for {wait}; {servers}",
                waiting(pool.clients_waiting)
            )
        })
        .collect()
}

fn waiting(count: u64) -> String {
    if count == 1 { "1 client waits".to_owned() } else { format!("{count} clients wait") }
}

pub fn pool_paused(facts: &Facts) -> Vec<String> {
    let halted = facts.pooler.iter().filter_map(|pooler| pooler.halted.known()).flatten();
    halted.map(|database| format!("the pooler has {database}")).collect()
}

pub fn only_reads(facts: &Facts) -> Vec<String> {
    match facts.recovery.known() {
        Some(recovery) if recovery.in_recovery && !recovery.receiving => {
            vec!["the server is in recovery, and receives from no other one".to_owned()]
        }
        Some(recovery) if !recovery.in_recovery && recovery.read_only => {
            vec!["default_transaction_read_only is on".to_owned()]
        }
        _ => Vec::new(),
    }
}

pub fn replay_paused(facts: &Facts) -> Vec<String> {
    match facts.recovery.known() {
        Some(recovery) if recovery.in_recovery && recovery.replay_paused => {
            vec!["pg_is_wal_replay_paused() is true".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// Disks that are above the alert's limit: each with whether it is full.
fn disks(facts: &Facts, full: bool) -> Vec<String> {
    let limit = Alert::DiskUse.entry().limit;
    let spaces = facts.disks.iter().filter_map(|disk| Some((disk, disk.space.known()?)));
    spaces
        .filter(|(_, space)| space.used > limit)
        .filter(|(_, space)| (space.used >= FULL || space.free < NO_ROOM) == full)
        .map(|(disk, space)| {
            format!("{} is {:.1} % full, {} are free", disk.path, space.used * 100.0, show_bytes(space.free))
        })
        .collect()
}

pub fn disk_full(facts: &Facts) -> Vec<String> {
    disks(facts, true)
}

pub fn disk_filling(facts: &Facts) -> Vec<String> {
    disks(facts, false)
}

pub fn archiving_fails(facts: &Facts) -> Vec<String> {
    let Some(archiver) = facts.archiver.known().filter(|archiver| archiver.failing && archiver.mode != "off")
    else {
        return Vec::new();
    };
    let segment = archiver.last_failed.as_deref().unwrap_or("a segment");
    let ago = archiver.last_failed_age_us.map_or_else(String::new, |age| format!(" {} ago", time(age)));
    let mut because = vec![format!(
        "the last attempt, for {segment}{ago}, failed; {} failed since the statistics were reset",
        archiver.failed
    )];
    because.push(match (&archiver.last_archived, archiver.last_archived_age_us) {
        (Some(segment), Some(age)) => format!("the last that was archived is {segment}, {} ago", time(age)),
        _ => "nothing was archived since the statistics were reset".to_owned(),
    });
    if let Some(waiting) = facts.segments_waiting.known() {
        because.push(format!("{waiting} segments wait"));
    }
    because
}

/// Whether this server is one that archives now.
fn archives(facts: &Facts) -> bool {
    let recovers = facts.recovery.known().is_none_or(|recovery| recovery.in_recovery);
    facts
        .archiver
        .known()
        .is_some_and(|archiver| archiver.mode == "always" || (archiver.mode == "on" && !recovers))
}

pub fn archiving_behind(facts: &Facts) -> Vec<String> {
    let (Some(archiver), Some(waiting)) = (facts.archiver.known(), facts.segments_waiting.known()) else {
        return Vec::new();
    };
    let paused = archiver.last_archived_age_us.is_none_or(|age| u128::from(age) > ARCHIVER_PAUSE.as_micros());
    if !archives(facts) || archiver.failing || *waiting <= SEGMENTS_WAITING || !paused {
        return Vec::new();
    }
    let last = archiver.last_archived_age_us.map_or_else(
        || "none was archived since the statistics were reset".to_owned(),
        |age| format!("the last was archived {} ago", time(age)),
    );
    vec![format!("{waiting} segments wait, and {last}")]
}

pub fn archiving_without_command(facts: &Facts) -> Vec<String> {
    match facts.archiver.known() {
        Some(archiver) if archives(facts) && archiver.no_command == Some(true) => {
            vec![format!(
                "archive_mode is {}, and archive_command and archive_library are empty",
                archiver.mode
            )]
        }
        _ => Vec::new(),
    }
}

pub fn archiving_off(facts: &Facts) -> Vec<String> {
    let off = facts.archiver.known().is_some_and(|archiver| archiver.mode == "off");
    let primary = facts.recovery.known().is_some_and(|recovery| !recovery.in_recovery);
    // What streams without replaying is pg_receivewal or its like.
    let received = facts.replication.known().is_none_or(|replication| {
        replication.standbys.iter().any(|standby| standby.name.contains("receivewal"))
    });
    if off && primary && !received {
        vec!["archive_mode is off, and no pg_receivewal is connected".to_owned()]
    } else {
        Vec::new()
    }
}

/// Who somebody is, as far as that is known: `12345 (trading, app, active)`.
fn who(facts: &Facts, pid: i64) -> String {
    if pid == 0 {
        return "a prepared transaction (pg_prepared_xacts)".to_owned();
    }
    let queries = facts.queries.known();
    let Some(query) = queries.and_then(|queries| queries.iter().find(|query| query.pid == pid)) else {
        return format!("process {pid}");
    };
    let words: Vec<&str> = [&query.database, &query.role, &query.application, &query.state]
        .into_iter()
        .filter_map(|word| word.as_deref().filter(|word| !word.is_empty()))
        .collect();
    let open = query
        .transaction_us
        .map_or_else(String::new, |us| format!(", its transaction open for {}", time(us)));
    format!("process {pid} ({}{open})", words.join(", "))
}

pub fn lock_waits(facts: &Facts) -> Vec<String> {
    let limit = limit_us(Alert::SlowQueries);
    let long = |wait: &&LockWait| wait.waited_us.is_some_and(|us| us > limit);
    let waits = facts.locks.known().into_iter().flatten().filter(long);
    waits
        .map(|wait| {
            let of = wait
                .relation
                .as_ref()
                .map_or_else(|| wait.kind.clone(), |relation| format!("{} {relation}", wait.kind));
            let blockers: Vec<String> = wait.blocked_by.iter().map(|pid| who(facts, *pid)).collect();
            let blockers = if blockers.is_empty() { "nobody now".to_owned() } else { blockers.join(", ") };
            format!(
                "process {} has waited {} for {} on {of}; blocked by {blockers}",
                wait.pid,
                time(wait.waited_us.unwrap_or_default()),
                wait.mode
            )
        })
        .collect()
}

pub fn commits_wait(facts: &Facts) -> Vec<String> {
    let Some(replication) = facts.replication.known().filter(|replication| replication.synchronous) else {
        return Vec::new();
    };
    let there = |state: &str| matches!(state, "sync" | "quorum");
    if replication.standbys.iter().any(|standby| there(&standby.sync_state)) {
        return Vec::new();
    }
    vec!["synchronous_standby_names is set, and no standby that it names is connected".to_owned()]
}

/// Queries that run for longer than one limit, and not longer than another.
fn running(facts: &Facts, above: u64, up_to: u64) -> Vec<String> {
    let runs = |query: &&Query| {
        // Who waits for a lock is told as such.
        query.runs()
            && query.blocked_by.is_empty()
            && query.age_us.is_some_and(|age| age > above && age <= up_to)
    };
    let queries = facts.queries.known().into_iter().flatten().filter(runs);
    queries
        .map(|query| {
            let waits =
                query.waits_for.as_ref().map_or_else(String::new, |event| format!(", waits for {event}"));
            format!(
                "{} has been running for {}{waits}",
                who(facts, query.pid),
                time(query.age_us.unwrap_or_default())
            )
        })
        .collect()
}

pub fn long_queries(facts: &Facts) -> Vec<String> {
    running(facts, limit_us(Alert::LongQueries), u64::MAX)
}

pub fn slow_queries(facts: &Facts) -> Vec<String> {
    running(facts, limit_us(Alert::SlowQueries), limit_us(Alert::LongQueries))
}

pub fn idle_transactions(facts: &Facts) -> Vec<String> {
    let limit = limit_us(Alert::LongQueries);
    let idle = |query: &&Query| {
        query.state.as_deref().is_some_and(|state| state.starts_with("idle in transaction"))
            && query.transaction_us.is_some_and(|us| us > limit)
    };
    let queries = facts.queries.known().into_iter().flatten().filter(idle);
    queries.map(|query| who(facts, query.pid)).collect()
}

pub fn transactions_fail(facts: &Facts) -> Vec<String> {
    let Some(recent) = facts.recent.known() else { return Vec::new() };
    match recent.rate(ENOUGH_TRANSACTIONS) {
        Some(rate) if rate > Alert::ErrorRate.entry().limit => {
            let all = recent.committed.saturating_add(recent.rolled_back);
            let over = recent.over_us.map_or_else(String::new, |us| format!(" within {}", time(us)));
            vec![format!(
                "{} of {all} transactions{over} were rolled back, {:.1} %",
                recent.rolled_back,
                rate * 100.0
            )]
        }
        _ => Vec::new(),
    }
}

pub fn checksum_failures(facts: &Facts) -> Vec<String> {
    let failed = facts.checksums.known().into_iter().flat_map(|checksums| &checksums.failed);
    failed
        .filter(|database| database.failures > 0)
        .map(|database| {
            let last =
                database.last_age_us.map_or_else(String::new, |age| format!(", the last {} ago", time(age)));
            format!("{}: {} pages failed their checksum{last}", database.database, database.failures)
        })
        .collect()
}

pub fn standby_lags(facts: &Facts) -> Vec<String> {
    let standbys = facts.replication.known().into_iter().flat_map(|replication| &replication.standbys);
    standbys
        .filter(|standby| {
            standby.lag_us.is_some_and(|us| u128::from(us) > LAG.as_micros())
                || standby.lag_bytes.is_some_and(|bytes| bytes > LAG_BYTES)
        })
        .map(|standby| {
            let bytes = standby.lag_bytes.map_or_else(String::new, |bytes| format!(" {}", show_bytes(bytes)));
            let lag = standby.lag_us.map_or_else(String::new, |us| format!(" {}", time(us)));
            format!("{} ({}) is behind:{bytes}{lag}", standby.name, standby.state)
        })
        .collect()
}

pub fn slot_holds_wal(facts: &Facts) -> Vec<String> {
    let slots = facts.slots.known().into_iter().flatten();
    slots
        .filter_map(|slot| {
            if slot.wal_status.as_deref() == Some("lost") {
                return Some(format!("slot {} has lost WAL that it needs", slot.name));
            }
            let held = slot.held_bytes.filter(|bytes| !slot.active && *bytes > SLOT_BYTES)?;
            Some(format!("slot {} is used by nobody and keeps {} of WAL", slot.name, show_bytes(held)))
        })
        .collect()
}

/// What an answer is, where it is not that all is well.
fn not_well(url: &str, answer: &Fact<u16>) -> Option<String> {
    match answer {
        Fact::Known(200..=299) => None,
        Fact::Known(code) => Some(format!("{url} answers {code}")),
        Fact::Unknown(why) => Some(format!("{url}: {why}")),
    }
}

pub fn health_fails(facts: &Facts) -> Vec<String> {
    facts.health.iter().filter_map(|health| not_well(&health.url, &health.answer)).collect()
}

pub fn metrics_missing(facts: &Facts) -> Vec<String> {
    let Some(metrics) = &facts.metrics else { return Vec::new() };
    if let Some(why) = not_well(&metrics.url, &metrics.answer) {
        return vec![why];
    }
    if metrics.samples > 0 {
        return Vec::new();
    }
    vec![format!("{} has no sample of a database, a connection or a query", metrics.url)]
}
