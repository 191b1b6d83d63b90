//! A recovery from a dump that the drill took: a new cluster as the lost one was made, the roles, and each database. What is
//! expected is what the quiet server held when the dump was taken.

use std::path::Path;

use pgdrill_backup::archive::{self, Snapshot};
use pgdrill_backup::parts::Packed;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::RecoveryEvidence;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Recovery};
use pgdrill_model::scenario::Method;
use pgdrill_repository::dump::Form;

use super::{Dumped, Load, files, load};
use crate::archiving;
use crate::drill::{Drill, on_a_thread};
use crate::recovery::phases::Clocked;
use crate::recovery::unpack::SCRATCH;

/// What goes to the server is checked there before, so that psql runs nothing but a dump.
const GLOBALS: &str = "globals.sql";

/// Recovers as far as a server that the application has written to.
///
/// # Errors
///
/// What keeps a recovery from being made; that it went wrong is a finding.
pub async fn recover(
    drill: &mut Drill<'_>,
    recovery: &Recovery,
    evidence: &mut RecoveryEvidence,
    clocked: &mut Clocked,
) -> Result<Vec<Finding>, Unable> {
    let newest = recovery.backups.last().and_then(|chain| chain.last());
    let newest = newest.ok_or_else(|| Unable::bug("a recovery of no backup"))?.clone();
    let dumped = drill.dumps.get(&newest.name).cloned();
    let dumped = dumped.ok_or_else(|| Unable::bug("a dump is loaded that was not taken"))?;
    let name = recovery.server;
    evidence.by = dumped.parts.first().map_or("psql", |part| part.form.program()).to_owned();
    evidence.backups = vec![newest.name.clone()];
    // No operator waits for the archive to be taken down.
    let began = drill.clock.elapsed();
    let directory = drill.workspace.path(archiving::directory(&drill.made.archive));
    let snapshot = on_a_thread(move || archive::snapshot(&directory, &Snapshot::new())).await?;
    let snapshot = snapshot.map_err(|error| Unable::new(Code::WorkspaceUnusable, error.to_string()))?;
    clocked.set_aside(drill.clock.elapsed().saturating_sub(began));
    drill.workspace.need_dir(Path::new(SCRATCH))?;
    load::open(drill, name, &[SCRATCH], vec![newest.clone()]).await?;
    drill.recovered()?.archive = Some(snapshot);
    let load = match at_hand(drill, &newest, dumped.clone()).await? {
        Ok(load) => load,
        Err(finding) => return Ok(vec![*finding]),
    };
    clocked.fetched(drill.clock.elapsed());
    let cluster = drill.made.cluster.clone();
    load::begin(drill, name, &cluster).await?;
    clocked.started(drill.clock.elapsed());
    let mut findings = load::run(drill, name, &load).await?;
    findings.extend(drill.primary_is_gone().await?);
    if !findings.is_empty() {
        return Ok(findings);
    }
    drill.recovered()?.base = Some(dumped.base);
    load::close(drill, name, evidence, clocked).await
}

/// The dump as the programs in the server's place read it: SQL is unpacked, and read for what psql would run.
async fn at_hand(
    drill: &Drill<'_>,
    member: &Member,
    dumped: Dumped,
) -> Result<Result<Load, Box<Finding>>, Unable> {
    let owner = drill.workspace.owner().map(|owner| (owner.uid, owner.gid));
    let scratch = drill.workspace.path(SCRATCH);
    let packed = match member.how.compress.method {
        Method::None => Packed::No,
        Method::Gzip => Packed::Gzip,
        Method::Lz4 => Packed::Lz4,
        Method::Zstd => Packed::Zstd,
    };
    let Dumped { globals, mut parts, .. } = dumped;
    let mut sql = vec![(globals, Packed::No, scratch.join(GLOBALS))];
    for (number, part) in (1..).zip(&mut parts).filter(|(_, part)| part.form == Form::Sql) {
        let copy = scratch.join(format!("{number}.sql"));
        sql.push((std::mem::replace(&mut part.path, copy.clone()), packed, copy));
    }
    for (from, packed, to) in sql {
        let path = from.clone();
        let copied = on_a_thread(move || files::copy(&from, packed, &to, owner)).await?;
        if let Err(finding) = files::judge(copied, &path, true)? {
            return Ok(Err(finding));
        }
    }
    Ok(Ok(Load { globals: Some(scratch.join(GLOBALS)), parts, own: true }))
}
