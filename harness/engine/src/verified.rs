//! A stored backup of the drill, by pgdrill's own reading of it: what `pgdrill verify` does. One without a manifest is read
//! as well; which WAL it needs, the drill knows that took it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use pgdrill_backup::verify::{ChainReport, Options, Progress, verify_chain};
use pgdrill_backup::wal::range::Range;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::BackupEvidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Member;
use pgdrill_model::scenario::{BackupTool, WalMethod};
use pgdrill_model::units::Lsn;

use crate::barman;
use crate::drill::on_a_thread;
use crate::workspace::Workspace;

/// The backups that a drill has taken, by their names.
pub type Backups = BTreeMap<String, BackupEvidence>;

/// Reads a backup, with those that it builds upon.
///
/// # Errors
///
/// A bug, when the thread died. What cannot be read is in the report.
pub async fn read(workspace: &Workspace, chain: &[Member], taken: &Backups) -> Result<ChainReport, Unable> {
    let sources: Vec<PathBuf> = chain.iter().map(|member| barman::stored(workspace, member, taken)).collect();
    let without_wal = chain.iter().any(|member| member.how.wal == WalMethod::None);
    let options = Options {
        // A backup without WAL of its own needs what was archived while it was taken.
        wal_elsewhere: without_wal.then(|| workspace.path("archive")),
        needs: chain.last().and_then(|newest| needs(newest, taken)),
        jobs: thread::available_parallelism().map_or(1, usize::from),
        ..Options::default()
    };
    let progress = Arc::new(Progress::default());
    let mut report = on_a_thread(move || verify_chain(sources, &options, &progress)).await?;
    for (member, report) in chain.iter().zip(&mut report.members) {
        if has_no_manifest(member) {
            report.findings.retain(|finding| finding.code != Code::ManifestMissing);
        }
    }
    Ok(report)
}

/// Whether a backup never had a manifest, so that none is missing. The record says what was not looked at.
pub fn has_no_manifest(member: &Member) -> bool {
    member.how.tool == BackupTool::LowLevel
}

/// The WAL that a backup needs which has no manifest to say so.
pub fn needs(member: &Member, taken: &Backups) -> Option<Range> {
    let BackupEvidence { timeline, start_lsn: Lsn(start), end_lsn: Lsn(end), .. } =
        *taken.get(&member.name).filter(|_| has_no_manifest(member))?;
    Some(Range { timeline, start, end })
}
