//! The recovery point: where recovery stopped, by what the server left and says, against where it had to stop.

use std::collections::BTreeMap;
use std::fs;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::{NotGivenEvidence, PointEvidence, RecoveryEvidence};
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::Lsn;
use pgdrill_ondisk::wal::Lineage;
use pgdrill_ondisk::{history, segment};

use crate::archiving;
use crate::drill::{Drill, Lost};
use crate::recovery::aim::Aim;
use crate::recovery::wal_end;
use crate::session::SUPERUSER;

/// When the last transaction was committed that was replayed, in microseconds since 1970. It stays after promotion.
const LAST_COMMIT: &str = "SELECT (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint";

/// The log of what a restored server fetched, within the workspace.
pub fn fetch_log(server: Name) -> String {
    format!("log/fetch-{}.log", server.name())
}

/// Takes from the log of fetches how far the archive was read.
pub fn note_fetched(drill: &Drill<'_>, server: Name, evidence: &mut RecoveryEvidence) {
    let log = fs::read_to_string(drill.workspace.path(fetch_log(server))).unwrap_or_default();
    let given: Vec<(&str, &str)> = answers(&log).filter(|(_, said)| *said == "0").collect();
    evidence.segments = given.len() as u64;
    evidence.last_segment = given.last().map(|(name, _)| (*name).to_owned());
    // What was asked for more than once counts by its last answer.
    let last: BTreeMap<&str, &str> = answers(&log).collect();
    let archive = drill.workspace.path(archiving::WAL);
    // Replay goes upwards: the highest ended it.
    let refused = last.into_iter().rev().find(|(name, said)| *said != "0" && archive.join(name).is_file());
    evidence.not_given = refused
        .map(|(name, said)| NotGivenEvidence { segment: name.to_owned(), exit_code: said.parse().ok() });
}

/// The segments that a log of fetches names, each with what was answered.
fn answers(log: &str) -> impl Iterator<Item = (&str, &str)> {
    log.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let name = words.next()?;
        (name.len() == 24).then_some(())?;
        Some((name, words.next()?))
    })
}

/// Takes from the new timeline's history where the old one ended, and asks the server for its last commit.
///
/// # Errors
///
/// `SERVER_LOST`.
pub async fn note(
    drill: &mut Drill<'_>,
    server: Name,
    aim: &Aim,
    evidence: &mut RecoveryEvidence,
) -> Result<(), Unable> {
    let wal = drill.workspace.data(server).join("pg_wal");
    let newest = fs::read_dir(wal).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let timeline = u32::from_str_radix(name.strip_suffix(".history")?, 16).ok()?;
        Some((timeline, entry.path()))
    });
    let Some((timeline, path)) = newest.max_by_key(|(timeline, _)| *timeline) else { return Ok(()) };
    evidence.timeline = Some(timeline);
    let ancestors = fs::read_to_string(path).ok().and_then(|text| history::read(&text).ok());
    let Some(last) = ancestors.and_then(|all| all.last().copied()) else { return Ok(()) };
    evidence.reached_lsn = Some(Lsn(last.switched_at));
    let session = drill.session(server, Some(SUPERUSER)).await?;
    let commit: Option<i64> =
        session.query_one(LAST_COMMIT, &[]).await.ok().and_then(|row| row.try_get(0).ok()).flatten();
    let size = u64::from(drill.made.wal_segment_megabytes) << 20;
    evidence.reached = Some(PointEvidence {
        lsn: Some(Lsn(last.switched_at)),
        timeline: last.timeline,
        xid: aim.last_commit_before(last.switched_at),
        commit_unix_us: commit,
        segment: Some(segment::name(last.timeline, last.switched_at.saturating_sub(1), size)),
    });
    Ok(())
}

/// Why replay ended where it did, where the WAL breaks before its end.
pub fn why(aim: &Aim, evidence: &RecoveryEvidence) -> Option<Finding> {
    let end = if aim.to_the_end { evidence.archive_end.as_ref().and_then(wal_end::finding) } else { None };
    not_given(evidence).or(end).or_else(|| wal_end::strayed(&aim.chronicle))
}

/// A segment that was archived, and that the server asked for and was not given: PostgreSQL took it for the end.
fn not_given(evidence: &RecoveryEvidence) -> Option<Finding> {
    let NotGivenEvidence { segment, exit_code } = evidence.not_given.as_ref()?;
    let how = match exit_code {
        Some(code) => format!("ended with exit code {code}"),
        None => "said that it had, and there was no file".to_owned(),
    };
    let message = format!("segment {segment} was archived, and restore_command did not give it: it {how}");
    Some(Finding::new(Code::WalNotGiven, Stage::Recover, message).about(segment))
}

/// Judges the recovery point: it must be the one that the WAL says, and where everything was wanted, the WAL must not
/// break before its end.
pub fn judge(drill: &Drill<'_>, aim: &Aim, evidence: &RecoveryEvidence) -> Vec<Finding> {
    if let Some(skipped) = skipped(aim, evidence) {
        return vec![skipped];
    }
    let abandoned = abandoned(drill, aim);
    let broken = why(aim, evidence);
    let short = if broken.is_none() && aim.to_the_end { short_of_the_capture(drill, evidence) } else { None };
    abandoned.into_iter().chain(broken).chain(missed(aim, evidence)).chain(short).collect()
}

/// A recovery that was to bring everything back, and goes along timelines on which the lost server was not: the archive does
/// not know of the one that it was on, and to PostgreSQL there is none then.
fn abandoned(drill: &Drill<'_>, aim: &Aim) -> Option<Finding> {
    (aim.to_the_end && aim.newest).then(|| off_the_way(drill, &aim.lineage)).flatten()
}

/// That a lineage does not lead to where the lost server was.
pub fn off_the_way(drill: &Drill<'_>, lineage: &Lineage) -> Option<Finding> {
    let Lost { timeline: lost, position, .. } = drill.lost?;
    if !lineage.contains(lost) {
        let message = format!(
            "the lost server was on timeline {lost}, and the archive has no history of it that can be followed: replay \
             goes along timeline {}, and what came after timeline {lost} left it is not there",
            lineage.timeline()
        );
        let finding = Finding::new(Code::WalGap, Stage::Recover, message);
        return Some(finding.about(format!("{lost:08X}.history")));
    }
    let left_at = Lsn(lineage.left_at(lost).filter(|left_at| *left_at < position.0)?);
    let newest = lineage.timeline();
    let message = format!(
        "the lost server came to {position} on timeline {lost}, and replay leaves that at {left_at} for timeline {newest}, \
         which another server wrote into the archive: what came between is not there"
    );
    let hint = "a server that was restored from this archive must not archive into it; recover along the right timeline \
                (`timeline:`), and take the files of the other one away";
    Some(
        Finding::new(Code::TargetMissed, Stage::Recover, message)
            .about(format!("{newest:08X}.history"))
            .hint(hint),
    )
}

/// A server that did not recover at all: it is on the timeline that the backup was taken on. Whoever recovers begins a new
/// one.
fn skipped(aim: &Aim, evidence: &RecoveryEvidence) -> Option<Finding> {
    let old = aim.stop.timeline;
    if evidence.timeline.is_some_and(|timeline| timeline > old) {
        return None;
    }
    let message = format!(
        "the server did not recover: it is still on timeline {old}, and has used neither restore_command nor a target"
    );
    let hint = "recovery.signal was not there when it started; what the archive has is not in this server";
    Some(Finding::new(Code::TargetMissed, Stage::Recover, message).hint(hint))
}

/// A server that stopped at another point than the WAL says.
fn missed(aim: &Aim, evidence: &RecoveryEvidence) -> Option<Finding> {
    let reached = evidence.reached_lsn?;
    let wanted = Lsn(aim.stop.replayed_to);
    if !aim.stop.exact || reached == wanted {
        return None;
    }
    let (direction, bytes) =
        if reached < wanted { ("short of", wanted.0 - reached.0) } else { ("beyond", reached.0 - wanted.0) };
    let commits = aim.commits_between(reached.0, wanted.0);
    let segment = evidence.reached.as_ref().and_then(|point| point.segment.clone()).unwrap_or_default();
    let message = format!(
        "the server stopped at {reached}, in {segment}, {direction} {}, which is at {wanted}: {bytes} bytes of WAL and \
         {commits} commits lie between",
        evidence.target
    );
    Some(
        Finding::new(Code::TargetMissed, Stage::Recover, message)
            .with("reached", reached)
            .with("wanted", wanted)
            .with("wal_bytes", bytes)
            .with("commits", commits),
    )
}

/// Notes when the archive ended before the captured position. Only WAL without a commit may lie between: whether that
/// is so is for the content checks to say.
fn short_of_the_capture(drill: &Drill<'_>, evidence: &RecoveryEvidence) -> Option<Finding> {
    let (baseline, reached) = (drill.baselines.last()?, evidence.reached_lsn?);
    if reached >= baseline.lsn {
        return None;
    }
    let missing = baseline.lsn.0 - reached.0;
    let message = format!(
        "recovery ended at {reached}, {missing} bytes of WAL before {}, where the content was captured",
        baseline.lsn
    );
    Some(
        Finding::new(Code::RecoveryShort, Stage::Recover, message)
            .with("reached", reached)
            .with("wanted", baseline.lsn),
    )
}
