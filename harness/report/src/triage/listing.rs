//! The facts of a triage, one line or a few for each, in the runbook's order: server, pool, disks, archiving, then the rest.

use std::time::Duration;

use pgdrill_model::triage::{Archiver, Fact, Facts, Metrics, Pooler, Query, Reach, Space, Tls, Transactions};
use pgdrill_model::units::{show_bytes, show_count, show_duration};

/// So many lines of a fact are shown; the rest is in the JSON.
const LINES: usize = 10;

/// Every fact, by its name; one that nobody asked for has no line.
pub(crate) fn of(facts: &Facts) -> Vec<(&'static str, Vec<String>)> {
    let mut list = vec![("server", server(facts))];
    list.push(("pool", facts.pooler.as_ref().map(pooler).unwrap_or_default()));
    let disks = facts.disks.iter().map(|disk| format!("{}: {}", disk.path, told(&disk.space, space)));
    list.push(("disks", disks.collect()));
    // What only the server can tell is told as unknown once, and not fact by fact.
    if facts.reach.state.answers() {
        list.extend(of_the_server(facts));
    }
    let health = facts.health.iter().map(|health| answered(&health.url, &health.answer, health.took_us));
    list.push(("health", health.collect()));
    list.push(("metrics", facts.metrics.as_ref().map(metrics).unwrap_or_default()));
    for (_, lines) in &mut list {
        if lines.len() > LINES {
            let more = lines.len() - LINES;
            lines.truncate(LINES);
            lines.push(format!("and {more} more"));
        }
    }
    list
}

/// What only the server can tell.
fn of_the_server(facts: &Facts) -> Vec<(&'static str, Vec<String>)> {
    let connections = told(&facts.connections, |connections| {
        format!("{} of {}, {} of them reserved", connections.used, connections.max, connections.reserved)
    });
    let rollbacks = vec![
        format!("now: {}", told(&facts.recent, |recent| rate(*recent))),
        format!("since the statistics were reset: {}", told(&facts.transactions, |all| rate(*all))),
    ];
    vec![
        ("archiving", archiving(facts)),
        ("connections", vec![connections]),
        ("replication", replication(facts)),
        ("queries", queries(facts)),
        ("locks", locks(facts)),
        ("checksums", checksums(facts)),
        ("rollbacks", rollbacks),
    ]
}

/// What is said of a fact that nobody asked for: by which option of `live triage` it is.
pub(super) fn not_asked(name: &str) -> String {
    let option = match name {
        "pool" => "pooler",
        "disks" => "disk",
        name => name,
    };
    format!("not asked (--{option})")
}

fn told<T>(fact: &Fact<T>, show: impl FnOnce(&T) -> String) -> String {
    match fact {
        Fact::Known(value) => show(value),
        Fact::Unknown(why) => format!("unknown: {why}"),
    }
}

fn time(us: u64) -> String {
    show_duration(Duration::from_micros(us))
}

fn reach(reach: &Reach) -> String {
    let mut text = reach.state.words().to_owned();
    if let (Some(connect), Some(answer)) = (reach.connect_us, reach.answer_us) {
        text = format!("{text}, {} after {} to connect", time(answer), time(connect));
    }
    if let Some(words) = &reach.words {
        text = format!("{text}: {words}");
    }
    let tls = match reach.tls {
        None => return text,
        Some(Tls::Socket) => "by a Unix socket",
        Some(Tls::Plain) => "without TLS",
        Some(Tls::Unverified) => "with TLS, the certificate not asked",
        Some(Tls::Authority) => "with TLS, the certificate's authority trusted",
        Some(Tls::Verified) => "with TLS, the certificate trusted and the host's",
    };
    format!("{text}, {tls}")
}

fn server(facts: &Facts) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", facts.server, reach(&facts.reach))];
    if !facts.reach.state.answers() {
        return lines;
    }
    let recovery = told(&facts.recovery, |recovery| {
        let mut words = vec![if recovery.in_recovery { "in recovery" } else { "not in recovery" }];
        words.extend(recovery.receiving.then_some("receives WAL from another server"));
        words.extend(recovery.replay_paused.then_some("replay is paused"));
        words.extend(recovery.read_only.then_some("transactions are read-only"));
        words.join(", ")
    });
    lines.push(format!("PostgreSQL {}; {recovery}", told(&facts.version, Clone::clone)));
    lines
}

fn pooler(pooler: &Pooler) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", pooler.server, reach(&pooler.reach))];
    if !pooler.reach.state.answers() {
        return lines;
    }
    lines.push(told(&pooler.version, Clone::clone));
    match &pooler.pools {
        Fact::Known(pools) if pools.is_empty() => lines.push("no pool is in use".to_owned()),
        Fact::Known(pools) => lines.extend(pools.iter().map(|pool| {
            format!(
                "{}/{}: {} clients active, {} wait{}; {} server connections in use, {} free",
                pool.database,
                pool.user,
                pool.clients_active,
                pool.clients_waiting,
                if pool.longest_wait_us > 0 {
                    format!(" (the first for {})", time(pool.longest_wait_us))
                } else {
                    String::new()
                },
                pool.servers_active,
                pool.servers_idle
            )
        })),
        Fact::Unknown(why) => lines.push(format!("pools unknown: {why}")),
    }
    match &pooler.halted {
        Fact::Known(halted) => lines.extend(halted.iter().cloned()),
        Fact::Unknown(why) => lines.push(format!("what is paused is unknown: {why}")),
    }
    lines
}

fn space(space: &Space) -> String {
    format!("{:.1} % full, {} free", space.used * 100.0, show_bytes(space.free))
}

fn archiving(facts: &Facts) -> Vec<String> {
    let Fact::Known(archiver) = &facts.archiver else {
        return vec![told(&facts.archiver, |_| String::new())];
    };
    let Archiver { mode, archived, failed, .. } = archiver;
    let segment = |name: &Option<String>, age: Option<u64>| match (name, age) {
        (Some(name), Some(age)) => format!("{name}, {} ago", time(age)),
        (Some(name), None) => name.clone(),
        (None, _) => "none".to_owned(),
    };
    vec![
        format!(
            "archive_mode {mode}; {} archived, {} failed, the last attempt {}",
            show_count(*archived),
            show_count(*failed),
            if archiver.failing { "FAILED" } else { "did not fail" }
        ),
        format!("last archived: {}", segment(&archiver.last_archived, archiver.last_archived_age_us)),
        format!("last failed: {}", segment(&archiver.last_failed, archiver.last_failed_age_us)),
        format!("waiting: {}", told(&facts.segments_waiting, u64::to_string)),
    ]
}

fn replication(facts: &Facts) -> Vec<String> {
    let mut lines = match &facts.replication {
        Fact::Known(replication) if replication.standbys.is_empty() => vec!["nobody streams".to_owned()],
        Fact::Known(replication) => replication
            .standbys
            .iter()
            .map(|standby| {
                let bytes = standby
                    .lag_bytes
                    .map_or_else(String::new, |bytes| format!(", {} behind", show_bytes(bytes)));
                let lag = standby.lag_us.map_or_else(String::new, |us| format!(", {}", time(us)));
                format!("{}: {}, {}{bytes}{lag}", standby.name, standby.state, standby.sync_state)
            })
            .collect(),
        Fact::Unknown(why) => vec![format!("unknown: {why}")],
    };
    match &facts.slots {
        Fact::Known(slots) => lines.extend(slots.iter().map(|slot| {
            let used = if slot.active { "in use" } else { "used by nobody" };
            let held =
                slot.held_bytes.map_or_else(String::new, |bytes| format!(", keeps {}", show_bytes(bytes)));
            let status = slot.wal_status.as_ref().map_or_else(String::new, |status| format!(", {status}"));
            format!("slot {}: {used}{held}{status}", slot.name)
        })),
        Fact::Unknown(why) => lines.push(format!("slots unknown: {why}")),
    }
    lines
}

fn query(query: &Query) -> String {
    let of = [&query.database, &query.role, &query.application, &query.state];
    let mut words: Vec<String> = of.into_iter().flatten().filter(|word| !word.is_empty()).cloned().collect();
    words.extend(query.age_us.map(|us| format!("for {}", time(us))));
    words.extend(query.transaction_us.map(|us| format!("transaction open for {}", time(us))));
    words.extend(query.waits_for.as_ref().map(|event| format!("waits for {event}")));
    if !query.blocked_by.is_empty() {
        words.push(format!("blocked by {}", pids(&query.blocked_by)));
    }
    let text = query.text.as_ref().map_or_else(String::new, |text| format!(": {text}"));
    format!("{}: {}{text}", query.pid, words.join(", "))
}

fn pids(pids: &[i64]) -> String {
    pids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

fn queries(facts: &Facts) -> Vec<String> {
    match &facts.queries {
        Fact::Known(queries) if queries.is_empty() => vec!["none is slow, nobody is in the way".to_owned()],
        Fact::Known(queries) => queries.iter().map(query).collect(),
        Fact::Unknown(why) => vec![format!("unknown: {why}")],
    }
}

fn locks(facts: &Facts) -> Vec<String> {
    match &facts.locks {
        Fact::Known(waits) if waits.is_empty() => vec!["nobody waits".to_owned()],
        Fact::Known(waits) => waits
            .iter()
            .map(|wait| {
                let relation = wait.relation.as_ref().map_or_else(String::new, |name| format!(" {name}"));
                let waited = wait.waited_us.map_or_else(String::new, |us| format!(" for {}", time(us)));
                let (pid, mode, kind) = (wait.pid, &wait.mode, &wait.kind);
                format!(
                    "{pid} waits{waited}: {mode} on {kind}{relation}, blocked by {}",
                    pids(&wait.blocked_by)
                )
            })
            .collect(),
        Fact::Unknown(why) => vec![format!("unknown: {why}")],
    }
}

fn checksums(facts: &Facts) -> Vec<String> {
    match &facts.checksums {
        Fact::Known(checksums) if !checksums.enabled => {
            vec!["off: a page that is damaged is not noticed".to_owned()]
        }
        Fact::Known(checksums) if checksums.failed.is_empty() => vec!["none failed".to_owned()],
        Fact::Known(checksums) => checksums
            .failed
            .iter()
            .map(|database| format!("{}: {} failed", database.database, show_count(database.failures)))
            .collect(),
        Fact::Unknown(why) => vec![format!("unknown: {why}")],
    }
}

fn rate(transactions: Transactions) -> String {
    let all = transactions.committed.saturating_add(transactions.rolled_back);
    let part = transactions.rate(1).map_or_else(String::new, |rate| format!(", {:.2} %", rate * 100.0));
    let over = transactions.over_us.map_or_else(String::new, |us| format!(" within {}", time(us)));
    format!("{} of {} transactions{part}{over}", show_count(transactions.rolled_back), show_count(all))
}

fn answered(url: &str, answer: &Fact<u16>, took_us: u64) -> String {
    match answer {
        Fact::Known(code) => format!("{url}: {code} in {}", time(took_us)),
        Fact::Unknown(why) => format!("{url}: {why}"),
    }
}

fn metrics(metrics: &Metrics) -> Vec<String> {
    let Metrics { url, answer, samples, took_us } = metrics;
    let mut line = answered(url, answer, *took_us);
    if answer.known().is_some() {
        line = format!("{line}, {} samples of databases, connections and queries", show_count(*samples));
    }
    vec![line]
}
