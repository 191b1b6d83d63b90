//! What a step does, in one line for people. Whatever a scenario says shows here.

use std::fmt;

use super::{Act, Member, NewCluster, Recovery, Server};
use crate::as_written::Stands;
use crate::fault::Site;
use crate::scenario::{
    Action, Backup, BackupFormat, BackupFrom, BackupTool, CheckpointMode, Cluster, CopyBy, Disaster, Given,
    ManifestChecksums, Method, Point, RecoverBy, RecoverFrom, Side, Tablespace, WalMethod,
};
use crate::units::{show_bytes, show_count, show_duration};

/// The first words of a statement: enough to know it again, never a whole one.
fn excerpt(sql: &str) -> String {
    const LONGEST: usize = 60;
    let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= LONGEST {
        return words;
    }
    let cut: String = words.chars().take(LONGEST - 3).collect();
    format!("{}...", cut.trim_end())
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateCluster(cluster) => create(f, cluster),
            Self::LoadData(data) => {
                write!(f, "trading schema and {} orders by binary COPY", show_count(data.orders))
            }
            Self::CreateStandby { takes_over } => {
                f.write_str(
                    "pg_basebackup of the primary into standby/, start it streaming from the primary, wait until it has \
                     caught up; ",
                )?;
                f.write_str(if *takes_over { "it takes over later" } else { "it goes with the disaster" })
            }
            Self::Failover { failover, from, to } => write!(
                f,
                "once the {to} has all WAL of the {from}, SIGKILL the {from} and remove its files, promote the {to}, within {}; \
                 from now on it archives",
                show_duration(failover.within),
                to = to.name(),
                from = from.name(),
            ),
            Self::Backup { name, how, upon, on } => {
                backup(f, name, how, upon.as_deref())?;
                if *on == Server::Primary { Ok(()) } else { write!(f, ", of {}", on.name()) }
            }
            Self::Given { given, .. } => look_at(f, given),
            Self::Sql { sql, on } => {
                write!(f, "on {}: {}", on.name(), excerpt(&sql.run))?;
                if let Some(database) = &sql.database {
                    write!(f, " (in {database})")?;
                }
                if sql.behind { f.write_str(", behind the next steps") } else { Ok(()) }
            }
            Self::Work { work, on } => write!(f, "on {}: {work}; each transaction in the ledger", on.name()),
            Self::StopWork => f.write_str("stop the writers that go on behind"),
            Self::Mark { name, on } => {
                write!(
                    f,
                    "{name}: a transaction, a restore point, the time and the position on {}",
                    on.name()
                )
            }
            Self::Crash { crash, on } => write!(
                f,
                "SIGKILL {}, start it again, wait up to {} until it has recovered by itself",
                on.name(),
                show_duration(crash.within)
            ),
            Self::SwitchWal { switch, .. } => {
                write!(f, "pg_switch_wal(), wait up to {} for the archive", show_duration(switch.within))
            }
            Self::Capture { on, .. } => {
                write!(f, "content of the quiet {}, with its position in the WAL", on.name())
            }
            Self::SafetyCopy { by, of } => match by {
                CopyBy::Copy => {
                    write!(
                        f,
                        "copy what is left of {} to safety-copy/, and compare the copy with it",
                        of.name()
                    )
                }
                CopyBy::Move => write!(f, "move what is left of {} to safety-copy/", of.name()),
            },
            Self::Rollback { rollback, to, quiet } => {
                let name = to.name();
                write!(
                    f,
                    "end what was recovered, put the safety copy back, compare it with what it was, start {name} on it \
                     within {}",
                    show_duration(rollback.within)
                )?;
                if *quiet {
                    f.write_str(", and compare what it holds with what was captured")
                } else {
                    Ok(())
                }
            }
            Self::AsWritten { step, of, .. } => {
                let (how, on) = (
                    if step.corrected { "the corrected commands" } else { "the commands as written" },
                    of.name(),
                );
                let what = if step.row.entry().stands == Stands::Live {
                    "beside the live"
                } else {
                    "on what is left of"
                };
                write!(
                    f,
                    "run {how} of {}, {what} {on}; then see what is there, and start a server on it",
                    step.row
                )
            }
            Self::Watch { watch, on } => {
                write!(f, "look at {} again and again for what alerts", on.name())?;
                if watch.scale == 1 { Ok(()) } else { write!(f, ", times divided by {}", watch.scale) }
            }
            Self::Alert { awaited, cause } => write!(
                f,
                "wait up to {} from step {} on for the alert {}",
                show_duration(awaited.within),
                cause + 1,
                awaited.alert
            ),
            Self::StartApplication { application, on } => {
                match &application.own {
                    None => write!(f, "start the trading API and its web on {} behind PgBouncer", on.name())?,
                    Some(own) => write!(f, "lead PgBouncer to {}, run `{}`", on.name(), excerpt(&own.start))?,
                }
                let within = show_duration(application.within);
                match application.own {
                    None => write!(
                        f,
                        ", wait up to {within} until both are healthy, log in, look at the portfolio, place an order"
                    ),
                    Some(_) => write!(f, ", wait up to {within} until it is healthy"),
                }
            }
            Self::Triage { triage, of, lost } => write!(
                f,
                "ask {}{}, the pooler, the application, the disks and the archive, all at once and within {}: how bad is it, \
                 and why",
                of.name(),
                if *lost { ", which is lost" } else { "" },
                show_duration(triage.within)
            ),
            Self::StopApplication(application) => match &application.own {
                None => f.write_str("stop the trading API and its web"),
                Some(own) => write!(f, "run `{}`", excerpt(&own.stop)),
            },
            Self::Disaster { disaster, on } => lose(f, disaster, on.name()),
            Self::Fault { fault, .. } => {
                let when = match fault.site() {
                    Site::Taking => "while the next backup is taken, ",
                    Site::Restore => "in the next recovery, ",
                    _ => "",
                };
                write!(f, "{when}{}: {}", fault.name(), fault.entry().doc.trim_end_matches('.'))
            }
            Self::Recover(recovery) => recover(f, recovery),
            Self::Repeat(repeat) => {
                let checks: Vec<&str> = repeat.checks.iter().map(|check| check.name()).collect();
                write!(
                    f,
                    "when all held: recover again from the same backup and archive until there are {} recoveries, each \
                     checked by {}",
                    repeat.times,
                    checks.join(", ")
                )
            }
            Self::Mutants(mutants) => {
                let checks: Vec<&str> = mutants.checks.iter().map(|check| check.name()).collect();
                write!(
                    f,
                    "when all held: damage {} copies of the backup and the archive, recover each again, and see whether \
                     it is noticed by the recovery, {}",
                    mutants.faults.len(),
                    checks.join(", ")
                )
            }
            Self::BareRecovery { mark } => write!(
                f,
                "restore the same backup again, tell PostgreSQL alone to stop at {mark}, and hear what it says"
            ),
            Self::Sweep { sweep, .. } => write!(
                f,
                "move a standby through {} recovery points of the archive, check each, and repeat {} of them as \
                 recoveries; within {}",
                show_count(sweep.targets.into()),
                sweep.repeat,
                show_duration(sweep.within)
            ),
            Self::Check { checks, of } => {
                let names: Vec<&str> = checks.iter().map(|check| check.name()).collect();
                write!(f, "{}", names.join(", "))?;
                if *of == Server::Restored(1) { Ok(()) } else { write!(f, "; of {}", of.name()) }
            }
        }
    }
}

fn look_at(f: &mut fmt::Formatter<'_>, given: &Given) -> fmt::Result {
    let which = given.backup.as_deref().map_or(String::new(), |which| format!(" {which}"));
    let of = given.server.as_deref().map_or(String::new(), |server| format!(" of {server}"));
    write!(f, "look at the backup{which}{of} in {}, without writing there", given.path.display())?;
    if !given.upon.is_empty() {
        let upon: Vec<String> = given.upon.iter().map(|path| path.display().to_string()).collect();
        write!(f, "; what it is built on lies in {}", upon.join(", "))?;
    }
    if let Some(command) = &given.restore_command {
        return write!(f, "; its WAL is given by `{}`", excerpt(command));
    }
    let archives: Vec<String> = given.wal.iter().map(|path| path.display().to_string()).collect();
    match archives.as_slice() {
        [] => Ok(()),
        archives => write!(f, "; its WAL lies in {}", archives.join(", ")),
    }
}

fn lose(f: &mut fmt::Formatter<'_>, disaster: &Disaster, server: &str) -> fmt::Result {
    match disaster {
        Disaster::Kill => write!(f, "SIGKILL the {server}; its files stay"),
        Disaster::LosePrimary => write!(f, "SIGKILL the {server} and remove its files with all WAL in them"),
        Disaster::LoseDataKeepWal => {
            write!(f, "SIGKILL the {server} and remove its files; only its pg_wal is saved")
        }
        Disaster::BadSql(sql) => write!(f, "on {server}: {}; then it is stopped in order", excerpt(sql)),
        Disaster::ArchiveStops => write!(f, "from now on nothing reaches the archive; {server} goes on"),
    }
}

fn recover(f: &mut fmt::Formatter<'_>, recovery: &Recovery) -> fmt::Result {
    if recovery.from.steps_back() {
        let names: Vec<&str> = recovery
            .backups
            .iter()
            .filter_map(|chain| chain.last())
            .map(|member| member.name.as_str())
            .collect();
        let names = names.join(", ");
        match recovery.from {
            RecoverFrom::LastProven => {
                write!(
                    f,
                    "verify, recover and check {names} from the newest on, unpack the first that is proven"
                )?;
            }
            _ => write!(f, "verify {names} from the newest on, unpack the first that is good")?,
        }
        return after_unpacking(f, recovery);
    }
    match recovery.backups.as_slice() {
        [_] if recovery.given => f.write_str("restore it in the way of its kind")?,
        [chain] => unpack(f, chain, recovery.by)?,
        chains => {
            let names: Vec<&str> =
                chains.iter().filter_map(|chain| chain.last()).map(|member| member.name.as_str()).collect();
            let which = match recovery.to.at {
                Point::Latest | Point::Immediate => "lies on the way",
                _ => "ends before the target",
            };
            write!(f, "unpack the newest of {} that {which}", names.join(", "))?;
        }
    }
    after_unpacking(f, recovery)
}

fn after_unpacking(f: &mut fmt::Formatter<'_>, recovery: &Recovery) -> fmt::Result {
    let timeline = recovery.timeline;
    let within = show_duration(recovery.within);
    if recovery.backups.iter().flatten().any(|member| member.how.is_dump()) {
        return write!(f, ", to the moment of the dump, first write as trading_app; within {within}");
    }
    match recovery.to.at {
        Point::Latest => write!(f, ", replay the archive to its end on timeline {timeline}")?,
        _ => write!(f, ", replay to {} on timeline {timeline}", recovery.to)?,
    }
    match recovery.action {
        Action::Promote => f.write_str(", promote")?,
        Action::Pause => f.write_str(", pause, then promote")?,
        Action::Shutdown => f.write_str(", shut down, then promote")?,
    }
    let by = if recovery.given { "" } else { " as trading_app" };
    write!(f, ", first write{by}; within {within}")?;
    if recovery.serves { f.write_str("; then it archives as the primary did") } else { Ok(()) }
}

fn create(f: &mut fmt::Formatter<'_>, new: &NewCluster) -> fmt::Result {
    let NewCluster { cluster, tablespaces, archive, summarize_wal, small_archive, settable_clock, settings } =
        new;
    let with = if cluster.checksums { "with" } else { "without" };
    write!(f, "initdb {with} page checksums")?;
    if let Some(locale) = &cluster.locale {
        write!(f, ", locale {}", locale.what)?;
    }
    if let Some(locale) = &cluster.icu_locale {
        write!(f, ", ICU locale {}", locale.what)?;
    }
    if cluster.wal_segment_megabytes != Cluster::default().wal_segment_megabytes {
        write!(f, ", WAL segments of {} MB", cluster.wal_segment_megabytes)?;
    }
    write!(f, ", archive by {archive}, start primary")?;
    for tablespace in tablespaces {
        write!(f, ", {}", of_tablespace(tablespace))?;
    }
    let also = [
        (*summarize_wal, "summarize_wal=on"),
        (*small_archive, "the archive on a small disk of its own"),
        (*settable_clock, "its clock in libfaketime's hands"),
    ];
    for (_, words) in also.iter().filter(|(there, _)| *there) {
        write!(f, ", {words}")?;
    }
    for (name, setting) in settings {
        write!(f, ", {name}={}", setting.value)?;
    }
    Ok(())
}

fn of_tablespace(tablespace: &Tablespace) -> String {
    let name = &tablespace.name;
    if tablespace.tables.is_empty() {
        return format!("empty tablespace {name}");
    }
    let tables: Vec<String> = tablespace.tables.iter().map(|table| format!("\"{table}\"")).collect();
    format!("tablespace {name} for {} with all their indexes", tables.join(", "))
}

fn backup(f: &mut fmt::Formatter<'_>, name: &str, how: &Backup, upon: Option<&str>) -> fmt::Result {
    let of_pgbackrest = how.tool == BackupTool::PgBackRest;
    let first = if of_pgbackrest { how.kind.name() } else { how.format.name() };
    let mut parts = vec![first.to_owned()];
    let compress = how.compress;
    if compress.method != Method::None {
        let mut words = compress.method.name().to_owned();
        if compress.side == Side::Server {
            words.push_str(" by the server");
        }
        if !compress.detail().is_empty() {
            words.push_str(&format!(" at {}", compress.detail().replace(',', ", ")));
        }
        parts.push(words);
    }
    if of_pgbackrest {
        parts.extend(how.bundle.then(|| "small files together".to_owned()));
        write!(f, "pgBackRest ({})", parts.join(", "))?;
        if let Some(upon) = upon {
            write!(f, ", only what changed since {upon},")?;
        }
        return write!(f, " into backup/pgbackrest as {name}");
    }
    if how.tool == BackupTool::Barman {
        let spread = if how.checkpoint == CheckpointMode::Spread { ", checkpoint spread" } else { "" };
        return write!(f, "Barman (backup_method postgres{spread}) into backup/barman as {name}");
    }
    if how.tool == BackupTool::LowLevel {
        return low_level(f, name, how);
    }
    if how.is_dump() {
        parts.extend(how.jobs.map(|jobs| format!("{jobs} connections")));
        let parts = parts.join(", ");
        return write!(
            f,
            "pg_dump of each database ({parts}), pg_dumpall of the globals, into backup/{name}"
        );
    }
    parts.push(match how.manifest {
        ManifestChecksums::None => "manifest without checksums".to_owned(),
        algorithm => format!("{} manifest", algorithm.name()),
    });
    parts.push(
        match how.wal {
            WalMethod::Stream => "WAL streamed",
            WalMethod::Fetch => "WAL fetched",
            WalMethod::None => "no WAL in it",
        }
        .to_owned(),
    );
    if how.checkpoint == CheckpointMode::Spread {
        parts.push("checkpoint spread".to_owned());
    }
    if !how.verify_checksums {
        parts.push("page checksums not verified".to_owned());
    }
    if let Some(rate) = how.max_rate {
        parts.push(format!("at most {} in a second", show_bytes(u64::from(rate) << 10)));
    }
    write!(f, "pg_basebackup ({})", parts.join(", "))?;
    if how.from == BackupFrom::Standby {
        f.write_str(" of the standby")?;
    }
    if let Some(upon) = upon {
        write!(f, ", only what changed since {upon},")?;
    }
    write!(f, " into backup/{name}")
}

fn low_level(f: &mut fmt::Formatter<'_>, name: &str, how: &Backup) -> fmt::Result {
    let copied = if how.snapshot {
        "all files of one moment, at which the server stands still"
    } else {
        "files copied one by one while the server writes"
    };
    let spread = if how.checkpoint == CheckpointMode::Spread { ", checkpoint spread" } else { "" };
    let of = if how.from == BackupFrom::Standby { " of the standby" } else { "" };
    write!(f, "low-level backup ({copied}{spread}){of} into backup/{name}")
}

fn unpack(f: &mut fmt::Formatter<'_>, chain: &[Member], by: Option<RecoverBy>) -> fmt::Result {
    let names: Vec<&str> = chain.iter().map(|member| member.name.as_str()).collect();
    let fitting = || chain.last().map_or(RecoverBy::Tar, |member| RecoverBy::fitting(&member.how));
    match by.unwrap_or_else(fitting) {
        RecoverBy::Tar => write!(f, "unpack backup/{} by tar", names.join(", ")),
        RecoverBy::Copy => write!(f, "unpack backup/{} by cp", names.join(", ")),
        RecoverBy::Combine => write!(f, "pg_combinebackup of {}", names.join(", ")),
        RecoverBy::Native => write!(f, "restore backup/{} by pgdrill, verified on the way", names.join(", ")),
        RecoverBy::PgBackRest => write!(f, "restore {} by pgBackRest", names.join(", ")),
        RecoverBy::Barman => write!(f, "restore {} by barman recover", names.join(", ")),
        RecoverBy::Load => {
            let format = chain.last().map_or(BackupFormat::Custom, |member| member.how.format);
            let program = if format == BackupFormat::Plain { "psql" } else { "pg_restore" };
            write!(f, "initdb, load backup/{} by {program}, the roles first", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile;
    use crate::scenario::parse;
    use crate::units::Major;

    #[test]
    fn a_statement_is_shown_by_its_first_words() {
        assert_eq!(excerpt("SELECT  1\n  + 1"), "SELECT 1 + 1");
        assert_eq!(excerpt(&"x".repeat(80)), format!("{}...", "x".repeat(57)));
    }

    #[test]
    fn whatever_a_backup_says_shows() {
        let text = "
title: A drill
cluster: { locale: C.UTF-8, icu-locale: en-US, checksums: off, wal-segment-size: 1MB }
tablespaces: { history: [AuditLog, Position], empty: [] }
steps:
  - backup: { compress: 'server-zstd:3,workers=2,long', wal: fetch, manifest: none, from: standby }
  - backup:
      { compress: none, wal: none, manifest: crc32c, checkpoint: spread, verify-checksums: off, max-rate: 32M,
        incremental: on }
  - disaster: kill
  - recover
  - check: all
";
        let scenario = parse("a", "a.yaml", text).unwrap();
        let plan = compile(&scenario, Major(17), "local", None).unwrap();
        let shown: Vec<String> = plan.steps.iter().map(|step| step.act.to_string()).collect();
        assert_eq!(
            shown[..5],
            [
                "initdb without page checksums, locale C.UTF-8, ICU locale en-US, WAL segments of 1 MB, archive by \
                 archive_command, start primary, tablespace history for \"AuditLog\", \"Position\" with all their indexes, \
                 empty tablespace empty, summarize_wal=on",
                "trading schema and 10 000 orders by binary COPY",
                "pg_basebackup of the primary into standby/, start it streaming from the primary, wait until it has \
                 caught up; it goes with the disaster",
                "pg_basebackup (tar, zstd by the server at level=3, workers=2, long, manifest without checksums, WAL \
                 fetched) of the standby into backup/backup-1",
                "pg_basebackup (tar, CRC32C manifest, no WAL in it, checkpoint spread, page checksums not verified, at \
                 most 32.0 MiB in a second), only what changed since backup-1, into backup/backup-2",
            ]
        );
        assert!(shown[7].starts_with("pg_combinebackup of backup-1, backup-2, replay"), "{}", shown[7]);
    }
}
