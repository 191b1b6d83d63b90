//! `pgdrill wal`: lists the transactions of a WAL archive, marks those that may be the accident somebody looks for, and
//! tells how to stop a recovery right before each. No server is needed, and nothing is written.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::bail;
use pgdrill_backup::wal::listing::{self, Bound, Listing, Unlisted, Wanted};
use pgdrill_backup::wal::{self, Deed, Kind, Rows, Transaction};
use pgdrill_model::units::{show_bytes, show_count};

use crate::args::{Moment, Wal};
use crate::exit::Exit;
use crate::progress::clean;
use crate::{examination, printer, window};

/// How often a long reading says something.
const EVERY: Duration = Duration::from_secs(5);

/// How many relations of a transaction are told.
const RELATIONS: usize = 5;

pub(super) fn run(args: &Wal) -> anyhow::Result<Exit> {
    in_order(args)?;
    let directories: Vec<&Path> = args.directories.iter().map(PathBuf::as_path).collect();
    let wanted = Wanted {
        from: args.from.map(bound),
        to: args.to.map(bound),
        timeline: args.timeline,
        limit: args.limit,
        many: args.rows,
    };
    let told = Mutex::new(Instant::now());
    let progress = |bytes: u64| say_progress(&told, bytes);
    let listing = match listing::list(&directories, &wanted, &progress) {
        Ok(listing) => listing,
        Err(unlisted) => return Ok(say_unlisted(&unlisted, &directories)),
    };
    let exit = exit(&listing);
    if examination::write(args.json.as_deref(), &serde_json::to_value(&listing)?)? {
        return Ok(exit);
    }
    let mut text = text(&listing, args);
    match &listing.ends {
        // What lies behind the break is worth another look.
        Some(ends) if ends.kind == Kind::Broken => {
            match wal::survey(&directories, None, super::jobs(None), &progress) {
                Ok(survey) => {
                    if survey.window.as_ref().is_none_or(|window| window.ends != *ends) {
                        window::ends(&mut text, ends);
                    }
                    let _ = write!(text, "\n{}", window::text(&survey));
                }
                Err(_) => window::ends(&mut text, ends),
            }
        }
        Some(ends) => window::ends(&mut text, ends),
        None => {
            window::line(&mut text, "ends", "at the bound that was given; what is behind was not looked at");
        }
    }
    printer::out(&text)?;
    Ok(exit)
}

fn bound(moment: Moment) -> Bound {
    match moment {
        Moment::Position(lsn) => Bound::Position(lsn.0),
        Moment::Time(time) => Bound::Time(time),
    }
}

/// Refuses a range that holds nothing.
fn in_order(args: &Wal) -> anyhow::Result<()> {
    let reversed = match (args.from, args.to) {
        (Some(Moment::Position(from)), Some(Moment::Position(to))) => from > to,
        (Some(Moment::Time(from)), Some(Moment::Time(to))) => from > to,
        _ => false,
    };
    if reversed {
        bail!("--from is behind --to: nothing lies between them; exchange the two");
    }
    Ok(())
}

fn say_progress(told: &Mutex<Instant>, bytes: u64) {
    if let Ok(mut last) = told.lock()
        && last.elapsed() >= EVERY
    {
        *last = Instant::now();
        printer::say(&format!("  ...  {} read", show_bytes(bytes)));
    }
}

fn say_unlisted(unlisted: &Unlisted, directories: &[&Path]) -> Exit {
    let names = directories.iter().map(|directory| clean(&directory.display().to_string()));
    let names = names.collect::<Vec<_>>().join(", ");
    let (words, hint, exit) = match unlisted {
        Unlisted::Unreadable(error) => (
            format!("cannot read {}", clean(&error.to_string())),
            "name a directory that holds WAL segments, and run as an account that may read it".to_owned(),
            Exit::Unverified,
        ),
        Unlisted::NoTimeline(timeline) => (
            format!("there is no WAL of timeline {timeline} in {names}"),
            "leave --timeline out to follow the newest".to_owned(),
            Exit::Disproven,
        ),
        Unlisted::Empty(files) if files.data_directory => {
            let pg_wal = directories.first().map(|directory| directory.join("pg_wal"));
            (
                format!("there is no WAL segment in {names}: it is a data directory"),
                format!("its WAL is in {}", clean(&pg_wal.unwrap_or_default().display().to_string())),
                Exit::Disproven,
            )
        }
        Unlisted::Empty(files) => {
            let hint = if files.unread > 0 {
                format!(
                    "{} segments are packed in a way that pgdrill does not read; unpack them",
                    files.unread
                )
            } else if files.partial.is_empty() {
                "name the directory to which archive_command or pg_receivewal writes".to_owned()
            } else {
                "what is there has the ending .partial; copy it to a name without that to have it read"
                    .to_owned()
            };
            let exit = if files.unread > 0 { Exit::Unverified } else { Exit::Disproven };
            (format!("there is no WAL segment in {names}"), hint, exit)
        }
    };
    printer::say(&format!("pgdrill: {words}"));
    printer::say(&format!("  hint: {hint}"));
    exit
}

fn exit(listing: &Listing) -> Exit {
    match listing.ends.as_ref().map(|ends| ends.kind) {
        Some(Kind::Unread) => Exit::Unverified,
        Some(Kind::Broken) => Exit::Disproven,
        _ if listing.begin.is_none() => Exit::Disproven,
        _ => Exit::Proven,
    }
}

fn text(listing: &Listing, args: &Wal) -> String {
    let mut text = String::new();
    if !listing.notable.is_empty() {
        let _ = writeln!(text, "Transactions that drop, truncate, or change many rows");
        listing.notable.iter().for_each(|transaction| notable(&mut text, transaction));
        left_out(&mut text, listing.notable_count, listing.notable.len());
        text.push('\n');
    }
    let head = if args.from.is_some() || args.to.is_some() { "Commits in the range" } else { "Commits" };
    let _ = writeln!(text, "{head}");
    if !listing.transactions.is_empty() {
        table(&mut text, &listing.transactions, args.rows);
    }
    left_out(&mut text, listing.commits, listing.transactions.len());
    text.push_str("\nRead\n");
    if let (Some(begin), Some(end)) = (listing.begin, listing.end) {
        let (timeline, major) = (listing.timeline, listing.major.unwrap_or_default());
        window::line(
            &mut text,
            "from",
            &format!("{begin} to {end} along timeline {timeline}, PostgreSQL {major}"),
        );
    }
    window::line(&mut text, "commits", &show_count(listing.commits));
    if let Some(last) = &listing.last_commit {
        let what = format!("transaction {}, committed {}, at {}", last.xid, last.time, last.lsn);
        window::line(&mut text, "last", &what);
    }
    text
}

fn left_out(text: &mut String, count: u64, shown: usize) {
    let hidden = count.saturating_sub(shown as u64);
    if hidden > 0 {
        let _ = writeln!(text, "  {} earlier ones are not shown; --limit N shows more", show_count(hidden));
    }
}

/// A transaction that somebody may look for, and how to stop before it.
fn notable(text: &mut String, transaction: &Transaction) {
    let commit = &transaction.commit;
    let _ = writeln!(text, "! {} xid {} {}  {}", commit.lsn, commit.xid, commit.time, what(transaction));
    let at = transaction.stop_before;
    let _ = write!(text, "    stop before it: recovery_target_lsn = '{at}', recovery_target_inclusive = off");
    if transaction.before_commit {
        text.push_str("\n    (not by its xid: a part of it takes effect before the commit)\n");
    } else {
        let _ = writeln!(
            text,
            "\n    or: recovery_target_xid = '{}', recovery_target_inclusive = off",
            commit.xid
        );
    }
}

/// The commits in aligned columns.
fn table(text: &mut String, transactions: &[Transaction], many: u64) {
    let head = ["LSN", "XID", "TIME", "RECORDS", "BYTES"].map(str::to_owned);
    let rows = transactions.iter().map(|transaction| {
        let commit = &transaction.commit;
        [
            commit.lsn.to_string(),
            commit.xid.to_string(),
            commit.time.clone(),
            transaction.records.to_string(),
            transaction.bytes.to_string(),
        ]
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let [lsn, xid, time, records, bytes] = widths;
    let marks = std::iter::once((" ", "WHAT".to_owned())).chain(
        transactions
            .iter()
            .map(|transaction| (if transaction.is_notable(many) { "!" } else { " " }, what(transaction))),
    );
    for (row, (mark, what)) in rows.iter().zip(marks) {
        let _ = writeln!(
            text,
            "{mark} {:<lsn$}  {:>xid$}  {:<time$}  {:>records$}  {:>bytes$}  {what}",
            row[0], row[1], row[2], row[3], row[4]
        );
    }
}

/// What a transaction did, in one line.
fn what(transaction: &Transaction) -> String {
    let mut parts: Vec<String> = transaction.deeds.iter().map(deed).collect();
    let mut relations: Vec<&Rows> = transaction.relations.iter().collect();
    relations.sort_by_key(|rows| std::cmp::Reverse((rows.deletes, rows.updates, rows.inserts)));
    for rows in relations.iter().take(RELATIONS) {
        let counted = [("DELETE", rows.deletes), ("UPDATE", rows.updates), ("INSERT", rows.inserts)];
        let counted = counted.iter().filter(|(_, count)| *count > 0);
        let counted = counted.map(|(verb, count)| format!("{verb} {}", show_count(*count)));
        parts.push(format!("{} in {}", counted.collect::<Vec<_>>().join(" "), rows.name()));
    }
    if relations.len() > RELATIONS {
        parts.push(format!("{} more relations", relations.len() - RELATIONS));
    }
    if transaction.other_rows > 0 {
        parts.push(format!("{} rows of others", show_count(transaction.other_rows)));
    }
    if parts.is_empty() && transaction.catalog_rows > 0 {
        parts.push(format!("catalog, {} rows", show_count(transaction.catalog_rows)));
    }
    if transaction.subtransactions > 0 {
        parts.push(format!("{} subtransactions", show_count(transaction.subtransactions)));
    }
    if let Some(gid) = &transaction.gid {
        parts.push(format!("prepared as '{}'", clean(gid)));
    }
    parts.join("; ")
}

fn deed(deed: &Deed) -> String {
    let files = |verb: &str, count: u64, of: &[String]| {
        let shown = of.iter().take(RELATIONS).cloned().collect::<Vec<_>>().join(" ");
        let more = if count > RELATIONS as u64 { " ..." } else { "" };
        format!("{verb} of {} files: {shown}{more}", show_count(count))
    };
    match deed {
        Deed::CreateDatabase { database } => format!("CREATE DATABASE {database}"),
        Deed::DropDatabase { database } => format!("DROP DATABASE {database}"),
        Deed::CreateTablespace { tablespace, path } => {
            format!("CREATE TABLESPACE {tablespace} at '{}'", clean(path))
        }
        Deed::DropTablespace { tablespace } => format!("DROP TABLESPACE {tablespace}"),
        Deed::Drop { files: count, of } => files("DROP", *count, of),
        Deed::Truncate { files: count, of } => files("TRUNCATE", *count, of),
        Deed::Rewrite { files: count, of } => files("rewrite", *count, of),
    }
}
