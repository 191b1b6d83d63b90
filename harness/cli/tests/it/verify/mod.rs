//! `pgdrill verify` on real backups, each damaged in one way.
//!
//! Each table has a row for each damage: what is done, what must be said of it, and how `pg_verifybackup` of the major
//! that made the backup ends on the very same files. It is run on each, which shows that the damage is one, and that
//! pgdrill says no less. Where the two may differ, the row says why.

mod chains;
mod copy;
mod files;
mod increments;
mod manifest;
mod named;
mod negative;
mod pages;
pub mod stock;
mod tars;
mod wal;

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Stdio;

use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done};
use copy::Copy;
use stock::{Origin, Stock};

/// How `pg_verifybackup` must end.
#[derive(Clone, Copy)]
enum Theirs {
    /// With 0 where pgdrill does, else with 1.
    Same,
    /// With another code, and why.
    Ends(i32, #[allow(dead_code, reason = "told to who reads the table")] &'static str),
    /// It is not asked, and why.
    NotAsked(#[allow(dead_code, reason = "told to who reads the table")] &'static str),
    /// A tar: 18 is the first that reads one, and never its WAL.
    Tar,
}

/// One damage.
struct Row {
    id: String,
    /// The backup that is damaged.
    of: &'static str,
    damage: fn(&Copy<'_>),
    /// The arguments of both programs; the backup where there are none.
    args: fn(&Copy<'_>) -> Vec<String>,
    /// Arguments of pgdrill alone.
    more: fn(&Copy<'_>) -> Vec<String>,
    /// The backup is given on standard input.
    stdin: bool,
    exit: i32,
    /// Parts of what is said on standard error after `pgdrill: error: `, with facts in braces.
    says: Vec<&'static str>,
    /// A part of the code of some finding.
    code: &'static str,
    theirs: Theirs,
    majors: RangeInclusive<u16>,
    /// Root is allowed too much for this damage to be one.
    unprivileged: bool,
}

/// A damage of the plain backup with a tablespace, which is to be found.
fn row(id: impl Into<String>, damage: fn(&Copy<'_>)) -> Row {
    Row {
        id: id.into(),
        of: "plain",
        damage,
        args: |copy| vec![copy.backup.display().to_string()],
        more: |_| Vec::new(),
        stdin: false,
        exit: 1,
        says: Vec::new(),
        code: "",
        theirs: Theirs::Same,
        majors: 13..=18,
        unprivileged: false,
    }
}

impl Row {
    fn of(self, backup: &'static str) -> Self {
        Self { of: backup, ..self }
    }

    fn args(self, args: fn(&Copy<'_>) -> Vec<String>) -> Self {
        Self { args, ..self }
    }

    fn more(self, more: fn(&Copy<'_>) -> Vec<String>) -> Self {
        Self { more, ..self }
    }

    fn on_stdin(self) -> Self {
        Self { stdin: true, ..self }
    }

    fn says(mut self, words: &'static str) -> Self {
        self.says.push(words);
        self
    }

    fn code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// Nothing is wrong, or nothing that was asked for.
    fn passes(self) -> Self {
        Self { exit: 0, ..self }
    }

    /// It could not be told whether the backup is good.
    fn unverified(self) -> Self {
        Self { exit: 2, ..self }
    }

    fn theirs(self, theirs: Theirs) -> Self {
        Self { theirs, ..self }
    }

    fn only(self, majors: RangeInclusive<u16>) -> Self {
        Self { majors, ..self }
    }

    fn unprivileged(self) -> Self {
        Self { unprivileged: true, ..self }
    }

    /// How `pg_verifybackup` of a major ends, where it is asked.
    fn ends(&self, major: u16) -> Option<i32> {
        match self.theirs {
            Theirs::Same => Some(i32::from(self.exit != 0)),
            Theirs::Ends(code, _) => Some(code),
            Theirs::NotAsked(_) => None,
            Theirs::Tar => (major >= 18).then(|| i32::from(self.exit != 0)),
        }
    }
}

/// What a program said after its name and `error: `.
fn errors<'a>(program: &str, text: &'a str) -> Vec<&'a str> {
    let begins = format!("{program}: error: ");
    text.lines().filter_map(|line| line.strip_prefix(&begins)).collect()
}

/// Without the name of the archive: 18 prints it after its memory was freed, and so at times something else.
fn unnamed(words: &str) -> String {
    match words.split_once(" in archive \"") {
        Some((before, rest)) => {
            format!("{before} in archive{}", rest.split_once('"').map_or("", |(_, rest)| rest))
        }
        None => words.to_owned(),
    }
}

/// Each damage of a table on backups of each major.
#[rstest]
fn every_damage_is_found(
    #[values(
        manifest::rows as fn() -> Vec<Row>,
        files::rows,
        wal::rows,
        pages::rows,
        tars::rows,
        increments::rows,
        negative::rows
    )]
    rows: fn() -> Vec<Row>,
    #[values(Origin::Host, Origin::Container(13), Origin::Container(17), Origin::Container(18))]
    origin: Origin,
) {
    let desk = Desk::new();
    let Some(stock) = Stock::of(origin, &desk) else { return };
    let rows: Vec<Row> =
        rows().into_iter().filter(|row| row.majors.contains(&stock.major) && stock.has(row.of)).collect();
    let program = desk.path("pgdrill");
    if rows.iter().any(|row| row.unprivileged) {
        // Where any account can run it.
        fs::copy(assert_cmd::cargo::cargo_bin!("pgdrill"), &program).unwrap();
    }
    let theirs = desk.path("theirs");
    fs::create_dir(&theirs).unwrap();
    stock.give(&theirs);
    let copies: Vec<Copy<'_>> = rows
        .iter()
        .map(|row| {
            let original = desk.path(&format!("original-{}", row.of));
            if !original.exists() {
                stock.fetch(row.of, &original);
            }
            let copy = Copy::new(&stock, &original, desk.path(&row.id));
            (row.damage)(&copy);
            if row.unprivileged {
                stock.give(&copy.root);
            }
            copy
        })
        .collect();
    let script = script(&stock, &rows, &copies, &theirs);
    let said = stock.run(&desk.path(""), &script);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let mut wrong = Vec::new();
    for (row, copy) in rows.iter().zip(&copies) {
        let before = wrong.len();
        let their_words = their_words(row, copy, &theirs, &mut wrong);
        let ours = ours(row, copy, &desk, &program);
        judge(row, copy, &ours, &desk, &mut wrong);
        // The words are those of 18, whatever the major of the backup.
        if stock.major == 18 && matches!(row.theirs, Theirs::Same | Theirs::Tar) {
            let our_words: Vec<String> = errors("pgdrill", &ours.stderr).into_iter().map(unnamed).collect();
            let missing = errors("pg_verifybackup", &their_words);
            let missing = missing.into_iter().filter(|words| !our_words.contains(&unnamed(words)));
            wrong.extend(missing.map(|words| format!("{}: pg_verifybackup 18 also says: {words}", row.id)));
        }
        if wrong.len() > before {
            wrong.push(format!("    ours: {}", ours.stderr.trim().replace('\n', "\n          ")));
            wrong.push(format!("    theirs: {}", their_words.trim().replace('\n', "\n            ")));
        }
        // Nobody can remove what is in a directory that nobody may enter.
        let _ = std::process::Command::new("chmod").args(["-R", "u+rwx"]).arg(&copy.root).status();
    }
    assert!(wrong.is_empty(), "on backups of PostgreSQL {}:\n{}", stock.major, wrong.join("\n"));
}

/// Runs `pg_verifybackup` on each copy: in one place, because a container takes half a second to start, and side by
/// side, because pg_waldump waits five seconds for a segment that is not there.
fn script(stock: &Stock, rows: &[Row], copies: &[Copy<'_>], theirs: &Path) -> String {
    let mut script = "export LC_ALL=C\n".to_owned();
    for (row, copy) in rows.iter().zip(copies).filter(|(row, _)| row.ends(stock.major).is_some()) {
        let mut arguments = (row.args)(copy);
        if matches!(row.theirs, Theirs::Tar) && !arguments.iter().any(|argument| argument == "-n") {
            arguments.push("-n".to_owned());
        }
        let arguments: Vec<String> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
        let answer = theirs.join(&row.id);
        script += &format!(
            "(pg_verifybackup {} >'{1}.out' 2>&1; echo $? >'{1}.code') &\n",
            arguments.join(" "),
            answer.display()
        );
    }
    script + "wait\n"
}

/// What `pg_verifybackup` said of a copy. It must have ended as the row says: else the damage is none.
fn their_words(row: &Row, copy: &Copy<'_>, theirs: &Path, wrong: &mut Vec<String>) -> String {
    let stock = copy.stock;
    let Some(ends) = row.ends(stock.major) else { return String::new() };
    let words = fs::read(theirs.join(format!("{}.out", row.id))).unwrap();
    let words = String::from_utf8_lossy(&words).into_owned();
    let code = fs::read_to_string(theirs.join(format!("{}.code", row.id))).unwrap();
    // The words of a row are those of 18.
    let said = errors("pg_verifybackup", &words);
    if stock.major == 18 && matches!(row.theirs, Theirs::Same | Theirs::Tar) {
        let unsaid =
            row.says.iter().filter(|words| !words.contains(" archive ")).map(|words| copy.fill(words));
        let unsaid = unsaid.filter(|words| !said.iter().any(|line| line.contains(words.as_str())));
        wrong.extend(unsaid.map(|words| format!("{}: pg_verifybackup 18 does not say: {words}", row.id)));
    }
    if code.trim() != ends.to_string() {
        wrong.push(format!("{}: pg_verifybackup ended with {}, not {ends}", row.id, code.trim()));
    }
    words
}

/// Runs pgdrill on a copy.
fn ours(row: &Row, copy: &Copy<'_>, desk: &Desk, program: &Path) -> Done {
    let report = copy.root.with_extension("json");
    let mut command = if row.unprivileged { copy.stock.unprivileged(program) } else { desk.command(&[]) };
    if row.unprivileged {
        fs::write(&report, "").unwrap();
        copy.stock.give(&report);
    }
    command.arg("verify").args((row.args)(copy)).args((row.more)(copy)).arg("--json").arg(&report);
    let stdin = row.stdin.then(|| fs::File::open(&copy.backup).unwrap());
    command.current_dir(desk.path("")).stdin(stdin.map_or_else(Stdio::null, Stdio::from));
    Done::of(&command.output().unwrap())
}

/// Whether pgdrill ended as the row says, and said what it must.
fn judge(row: &Row, copy: &Copy<'_>, ours: &Done, desk: &Desk, wrong: &mut Vec<String>) {
    let id = &row.id;
    if ours.code != row.exit {
        wrong.push(format!("{id}: pgdrill ended with {}, not {}", ours.code, row.exit));
    }
    let said = errors("pgdrill", &ours.stderr);
    for words in &row.says {
        let words = copy.fill(words);
        if !said.iter().any(|line| line.contains(&words)) {
            wrong.push(format!("{id}: pgdrill does not say: {words}"));
        }
    }
    if row.exit == 0 && !said.is_empty() {
        wrong.push(format!("{id}: pgdrill finds something wrong: {said:?}"));
    }
    if row.exit != 0 && said.is_empty() {
        wrong.push(format!("{id}: pgdrill does not say what is wrong"));
    }
    if ours.stdout.contains("backup successfully verified") != (row.exit == 0) {
        wrong.push(format!("{id}: pgdrill printed: {}", ours.stdout));
    }
    let report = fs::read(desk.path(id).with_extension("json")).unwrap_or_default();
    let Ok(report) = serde_json::from_slice::<Value>(&report) else {
        wrong.push(format!("{id}: there is no report"));
        return;
    };
    let verdict = ["proven", "disproven", "unverified"][row.exit as usize];
    if report["verdict"] != verdict {
        wrong.push(format!("{id}: the report's verdict is {}, not {verdict}", report["verdict"]));
    }
    let codes: Vec<&str> = report["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    if row.exit != 0 && !codes.iter().any(|code| code.contains(row.code)) {
        wrong.push(format!("{id}: no finding's code has {} in it: {codes:?}", row.code));
    }
}
