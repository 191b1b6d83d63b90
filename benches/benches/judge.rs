//! Ten million transactions: how long it takes to write them into a ledger, to read it, to judge a database by it and to
//! add up what its tables must hold, and how much memory the program had at its peak. Once, not in a loop: criterion
//! would measure neither.
//!
//!     cargo bench -p pgdrill-benches --bench judge [-- MILLIONS]

use std::process::ExitCode;
use std::time::Instant;

use pgdrill_ledger::judge::{Question, Required, judge};
use pgdrill_ledger::{
    Appender, Change, Commit, Found, History, Leg, Level, Reader, Record, Replayed, Sums, Table, expected,
};

const WRITERS: u64 = 8;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that people run")]
fn main() -> ExitCode {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok());
    let each = (asked.unwrap_or(10.0) * 1_000_000.0) as u64 / WRITERS;
    let path = std::env::temp_dir().join(format!("pgdrill-bench-ledger-{}", std::process::id()));
    let done = measure(&path, each.max(1));
    let _ = std::fs::remove_file(&path);
    match done {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("judge: {words}");
            ExitCode::FAILURE
        }
    }
}

fn measure(path: &std::path::Path, each: u64) -> Result<String, String> {
    let began = Instant::now();
    let commits = write(path, each).map_err(|error| error.to_string())?;
    let written = began.elapsed();
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    let mut found = Found::new();
    for seq in 1..=each {
        (0..WRITERS as u16).for_each(|writer| found.add(writer, seq, 1));
    }
    let total = each * WRITERS;

    let began = Instant::now();
    let history = History::read(path).map_err(|error| error.to_string())?;
    let read = began.elapsed();
    let line = Leg::only(1);
    let reached = commits.last().map_or(0, |commit| commit.lsn_end);
    let replayed = Some(Replayed { from: 0, reached, path: &line, commits: &commits });
    let required = Required::Everything;
    let judgement = judge(&Question { history: &history, line: &line, required, replayed, found: &found });
    let judged = began.elapsed() - read;
    let reader = Reader::open(path).map_err(|error| error.to_string())?;
    let tables = expected::tables(reader, &judgement).map_err(|error| error.to_string())?;
    let whole = began.elapsed();
    if judgement.recovered.count != total || !judgement.holds() || tables.len() != 3 {
        return Err(format!("{} of {total} recovered", judgement.recovered.count));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim().to_owned();
    Ok(format!(
        "{total} transactions, {} bytes each, written in {:.1} s\nread {:.2} s, judged {:.2} s, added up {:.2} s: {:.2} s\n\
         peak memory {peak}, with the commits of the WAL and what was found",
        bytes / total.max(1),
        written.as_secs_f64(),
        read.as_secs_f64(),
        judged.as_secs_f64(),
        (whole - read - judged).as_secs_f64(),
        whole.as_secs_f64()
    ))
}

/// Writes a ledger whose writers take turns, and gives the commits as the WAL has them.
fn write(path: &std::path::Path, each: u64) -> Result<Vec<Commit>, pgdrill_ledger::Trouble> {
    let mut appender = Appender::create(path, "bench", 1)?;
    for _ in 0..WRITERS {
        appender.open_writer(1, 0)?;
    }
    let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64;
    let mut commits = Vec::with_capacity((each * WRITERS) as usize);
    for seq in 1..=each {
        // All send, then all are answered, as happens under load.
        for writer in 0..WRITERS {
            let number = seq * WRITERS + writer;
            let mut moved = Sums::row(hash(number), hash(number + 1));
            moved -= Sums::row(hash(number + 2), hash(number + 3));
            let row = |salt: u64| Sums::row(hash(number ^ salt), hash(number ^ salt << 1));
            let changes = [
                Change { table: Table::Order, group: Some(seq), sums: row(0x5a5a) },
                Change { table: Table::AuditLog, group: Some(seq), sums: row(0xa5a5) },
                Change { table: Table::Position, group: None, sums: moved },
            ];
            let before = number * 1_000;
            let writer = writer as u16;
            appender.append(&Record::Sent { writer, seq, xid: number, before, changes: &changes })?;
            let (lsn_start, lsn_end) = (before + 600, before + 640);
            commits.push(Commit {
                branch: 1,
                xid: number as u32,
                lsn_start,
                lsn_end,
                time_us: number as i64 * 100,
            });
        }
        for writer in 0..WRITERS {
            let number = seq * WRITERS + writer;
            let (after, time_us) = (Some(number * 1_000 + 4_000), number as i64 * 100);
            let (writer, level, cancelled) = (writer as u16, Level::On, false);
            appender.append(&Record::Acknowledged { writer, seq, after, time_us, level, cancelled })?;
        }
    }
    appender.close(0)?;
    Ok(commits)
}
