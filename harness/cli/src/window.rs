//! How far WAL can be recovered, in words: the paragraph that `verify` and `wal` print of it.

use std::fmt::Write;

use pgdrill_backup::wal::{Ending, Kind, Run, Survey};
use pgdrill_model::units::{show_bytes, show_count};

use crate::progress::clean;

/// Width of the words that lines begin with.
const LABEL: usize = 10;

/// How many runs are told one by one.
const RUNS: usize = 10;

/// The paragraph of a survey.
pub fn text(survey: &Survey) -> String {
    let mut text = "Recoverable window\n".to_owned();
    let Some(window) = &survey.window else {
        line(&mut text, "nothing", "there is no WAL segment");
        if survey.files.data_directory {
            line(&mut text, "hint", "this is a data directory; its WAL is in pg_wal");
        }
        return text;
    };
    let newest = window.timelines.last().unwrap_or(&window.timeline);
    let oldest = window.timelines.first().unwrap_or(&window.timeline);
    line(
        &mut text,
        "from",
        &format!("{} on timeline {oldest}, segment {}", window.begin, window.first_segment),
    );
    line(&mut text, "to", &format!("{} on timeline {newest}, segment {}", window.end, window.last_segment));
    line(&mut text, "holds", &holds(window));
    if let Some(last) = &window.last_commit {
        line(
            &mut text,
            "last",
            &format!("transaction {}, committed {}, at {}", last.xid, last.time, last.lsn),
        );
    }
    ends(&mut text, &window.ends);
    if let Some(refused) = &survey.refused {
        line(&mut text, "REFUSED", &format!("recovery to the newest timeline: {}", clean(refused)));
    }
    if let Some(strayed) = window.strayed {
        let (at, wrong, right) = (strayed.at, strayed.timeline, strayed.expected);
        let what = format!(
            "from {at} on, the segments of timeline {right} are missing, and those of timeline {wrong} are replayed in \
             their place"
        );
        line(&mut text, "STRAYS", &what);
    }
    for run in survey.beyond.iter().take(RUNS) {
        line(&mut text, "LOST", &format!("behind the break: {}", run_in_words(run)));
    }
    more(&mut text, "LOST", survey.beyond.len());
    for run in survey.branches.iter().take(RUNS) {
        line(&mut text, "branch", &format!("timeline {}: {}", run.timeline, run_in_words(run)));
    }
    more(&mut text, "branch", survey.branches.len());
    notes(&mut text, survey);
    text
}

/// How reading ended.
pub fn ends(text: &mut String, ends: &Ending) {
    let place = format!("byte {} of segment {} ({})", ends.offset, ends.segment, ends.at);
    match ends.kind {
        Kind::Clean => line(text, "ends", &format!("in good order at {}: {}", ends.at, clean(&ends.why))),
        Kind::Partial => {
            line(text, "ends", &clean(&ends.why));
            line(
                text,
                "hint",
                "PostgreSQL does not read it; copied without .partial in its name it would be read",
            );
        }
        Kind::Unread => line(text, "UNREAD", &format!("{place}: {}", clean(&ends.why))),
        Kind::Broken => {
            line(text, "BREAKS", &format!("at {place}: {}", clean(&ends.why)));
            if ends.cuts_a_record {
                line(text, "", "within a record that began before");
            }
            line(text, "", "PostgreSQL takes it for the end of the WAL, and promotes there");
            if let Some(says) = &ends.postgres_says {
                line(text, "", &format!("its log then says: {}", clean(says)));
            }
        }
    }
}

/// A line of a paragraph.
pub fn line(text: &mut String, label: &str, words: &str) {
    let _ = writeln!(text, "  {label:<LABEL$}{words}");
}

fn holds(run: &Run) -> String {
    let segments = if run.segments == 1 { "segment" } else { "segments" };
    let (count, records, commits) =
        (show_count(run.segments), show_count(run.records), show_count(run.commits));
    format!("{count} {segments}, {records} records, {commits} commits")
}

fn run_in_words(run: &Run) -> String {
    let mut words = format!("{} to {}, {}", run.first_segment, run.last_segment, holds(run));
    if let (Some(first), Some(last)) = (&run.first_commit, &run.last_commit) {
        let _ = write!(words, " from {} to {}, up to {}", first.time, last.time, run.end);
    }
    if run.ends.kind == Kind::Broken {
        let _ = write!(words, "; it breaks at {}: {}", run.ends.at, clean(&run.ends.why));
    }
    words
}

fn more(text: &mut String, label: &str, count: usize) {
    if count > RUNS {
        line(text, label, &format!("and {} more", count - RUNS));
    }
}

fn notes(text: &mut String, survey: &Survey) {
    let files = &survey.files;
    let all = files.segments + files.compressed + files.unread;
    line(text, "archive", &format!("{} segments, {}", show_count(all), show_bytes(files.bytes)));
    if files.compressed > 0 {
        let what = format!("{} segments are compressed; restore_command must unpack them", files.compressed);
        line(text, "note", &what);
    }
    if files.unread > 0 {
        line(
            text,
            "note",
            &format!("{} segments are packed in a way that pgdrill does not read", files.unread),
        );
    }
    if files.foreign_count > 0 {
        let names = files.foreign.iter().take(3).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
        line(text, "note", &format!("{} files that are no WAL: {names}", files.foreign_count));
    }
    for timeline in survey.timelines.iter().filter(|timeline| timeline.wrong.is_some()) {
        let wrong = timeline.wrong.as_deref().unwrap_or_default();
        line(text, "DAMAGED", &format!("history of timeline {}: {}", timeline.timeline, clean(wrong)));
    }
}
