//! What reports tell of points in time: of each server what was found of it, of each loss whether it was measured, and the
//! same whatever names a scenario gives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use pgdrill_model::check::Check;
use pgdrill_model::code::Code;
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::{CheckStatus, Evidence};
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_model::judge::fold;
use pgdrill_model::run::Run;
use pgdrill_model::units::Lsn;
use pgdrill_report::{Style, json, junit, text};
use pgdrill_testkit::sample;
use rstest::rstest;
use unicode_width::UnicodeWidthStr;

const AT_80: Style = Style { color: false, width: 80 };

/// Two recoveries, with evidence changed.
fn changed(change: impl Fn(&mut Evidence)) -> Run {
    let mut events = sample::second_disaster().events;
    for event in &mut events {
        if let Happening::Measured(evidence) = &mut event.what {
            change(evidence);
        }
    }
    fold(&events).unwrap()
}

/// Two recoveries, of whose servers the check of row counts failed, each with words of its own.
fn row_counts_failed_of(servers: &[&str]) -> Run {
    let mut events: Vec<Event> = Vec::new();
    for mut event in sample::second_disaster().events {
        let mut finding = None;
        if let Happening::Measured(Evidence::Check(record)) = &mut event.what
            && record.check == Check::RowCounts
            && servers.contains(&record.server.as_str())
        {
            record.status = CheckStatus::Failed;
            let message = format!("rows of {} are missing", record.server);
            finding = Some(Finding::new(Code::RowCountMismatch, Stage::Check, message).by(Check::RowCounts));
        }
        let found = finding.map(|finding| Event { what: Happening::Found(finding), ..event.clone() });
        events.push(event);
        events.extend(found);
    }
    fold(&events).unwrap()
}

/// The JUnit case of a name, with what is in it.
fn case<'x>(xml: &'x str, name: &str) -> &'x str {
    let mut cases = xml.split("<testcase ").filter(|case| case.starts_with(&format!("name=\"{name}\"")));
    let found = cases.next().unwrap_or_else(|| panic!("no case {name} in {xml}"));
    assert!(cases.next().is_none(), "more than one case {name}");
    found
}

#[rstest]
#[case::the_first(&["restored"])]
#[case::the_second(&["restored-2"])]
#[case::both(&["restored", "restored-2"])]
fn a_case_of_a_check_tells_what_was_found_of_its_own_server(#[case] failed: &[&str]) {
    let xml = junit::runs(&[row_counts_failed_of(failed)]).unwrap();
    for server in ["restored", "restored-2"] {
        let case = case(&xml, &format!("check row-counts, {server}"));
        assert_eq!(case.contains("<failure "), failed.contains(&server), "{case}");
        assert_eq!(
            case.contains(&format!("rows of {server} are missing")),
            failed.contains(&server),
            "{case}"
        );
        let other = if server == "restored" { "restored-2" } else { "restored" };
        assert!(!case.contains(&format!("rows of {other} are missing")), "{case}");
    }
}

#[test]
fn no_two_cases_of_a_drill_have_the_same_name() {
    for run in [sample::second_disaster(), sample::lossy(), sample::sweep()] {
        let xml = junit::runs(&[run]).unwrap();
        let mut names: Vec<&str> =
            xml.split("<testcase name=\"").skip(1).filter_map(|case| case.split('"').next()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }
}

/// A drill that was cut off before the ledger was compared, with an objective or without.
fn cut_off(with_objective: bool) -> Run {
    let mut events = sample::second_disaster().events;
    events.retain(|event| !matches!(event.what, Happening::Measured(Evidence::Tally(_))));
    if let Happening::RunStarted(header) = &mut events[0].what {
        "pitr/cut-off".clone_into(&mut header.scenario);
        header.rpo = header.rpo.filter(|_| with_objective);
    }
    fold(&events).unwrap()
}

#[rstest]
#[case::with_an_objective(true)]
#[case::without_one(false)]
fn a_loss_that_was_not_measured_has_a_row_that_says_so(#[case] with_objective: bool) {
    let run = cut_off(with_objective);
    let objective = if with_objective { "0 transactions" } else { "-" };
    let summary =
        text::summary(&[sample::second_disaster(), run.clone()], Style { color: false, width: 120 });
    let table = summary.split("Loss of acknowledged transactions").nth(1).unwrap();
    let row = table.lines().find(|line| line.contains("pitr/cut-off")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let expected = format!("pitr/cut-off 15 archive_command - - - - {objective} NOT MEASURED");
    assert_eq!(words.join(" "), expected);
    // Where nobody measured any loss there is nothing to compare.
    let nothing = text::summary(&[run.clone(), run], AT_80);
    assert!(!nothing.contains("Loss of acknowledged"), "{nothing}");
}

#[test]
fn a_drill_without_writers_has_no_row_among_the_losses() {
    let runs = [sample::second_disaster(), sample::lossy(), sample::proven()];
    let summary = text::summary(&runs, Style { color: false, width: 120 });
    let table = summary.split("Loss of acknowledged transactions").nth(1).unwrap();
    assert!(!table.contains("smoke/restore-tar-gzip"), "{table}");
}

#[test]
fn where_replay_had_to_stop_is_told_where_that_is_another_place() {
    let by_the_wal = |run: &Run| text::drill(run, AT_80).matches("it had to be ").count();
    assert_eq!(by_the_wal(&sample::second_disaster()), 0);
    let elsewhere = changed(|evidence| {
        if let Evidence::Recovery(recovery) = evidence {
            recovery.reached.as_mut().unwrap().lsn = Some(Lsn(0x0440_0000));
        }
    });
    assert_eq!(by_the_wal(&elsewhere), 2);
    let another_timeline = changed(|evidence| {
        if let Evidence::Recovery(recovery) = evidence {
            recovery.reached.as_mut().unwrap().timeline += 5;
        }
    });
    assert_eq!(by_the_wal(&another_timeline), 2);
    assert!(!text::drill(&another_timeline, AT_80).contains("the WAL says the same"));
    let open = changed(|evidence| {
        if let Evidence::Recovery(recovery) = evidence {
            recovery.wanted.as_mut().unwrap().lsn = None;
        }
    });
    assert_eq!(by_the_wal(&open), 0);
    assert_eq!(text::drill(&open, AT_80).matches("position is").count(), 2);
}

/// The same with names that nobody expects: too long for any column, or meant to command a terminal.
fn named(name: &str) -> Run {
    let run = changed(|evidence| match evidence {
        Evidence::Work(work) => {
            name.clone_into(&mut work.server);
            work.ended_by = Some(name.to_owned());
        }
        Evidence::Mark(mark) => mark.name.push_str(name),
        Evidence::Tally(tally) => {
            tally.server.push_str(name);
            tally.lost = 1;
        }
        Evidence::Recovery(recovery) => {
            recovery.server.push_str(name);
            recovery.target.push_str(name);
            let end = recovery.archive_end.as_mut().unwrap();
            name.clone_into(&mut end.why);
            for point in [&mut recovery.wanted, &mut recovery.reached] {
                point.as_mut().unwrap().segment = Some(name.to_owned());
            }
        }
        Evidence::Check(check) => check.server.push_str(name),
        _ => {}
    });
    assert_eq!((run.tallies.len(), run.recoveries.len(), run.marks.len()), (2, 2, 2));
    run
}

#[rstest]
#[case::one_long_word("x".repeat(400))]
#[case::many_words("a long name ".repeat(60))]
#[case::wide_letters("\u{6f22}\u{5b57}".repeat(120))]
#[case::hostile(sample::HOSTILE.to_owned())]
fn no_name_makes_a_line_too_wide_or_commands_a_terminal(#[case] name: String) {
    let mut run = named(&name);
    run.header.scenario.push_str(&name);
    run.header.archive.clone_from(&name);
    for width in [46, 80, 120] {
        let style = Style { color: false, width };
        for text in [text::drill(&run, style), text::summary(&[run.clone(), run.clone()], style)] {
            for line in text.lines() {
                assert!(line.width() <= width, "at {width}: {line}");
                assert_eq!(line, line.trim_end(), "at {width}");
            }
            let obeyed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
            assert_eq!(text.chars().find(|c| obeyed(*c)), None);
        }
    }
    let xml = junit::runs(std::slice::from_ref(&run)).unwrap();
    assert!(!xml.contains('\u{1b}') && !xml.contains("<x "));
    let value: serde_json::Value = serde_json::from_str(&json::runs(&[run], 1)).unwrap();
    assert_eq!(value["runs"][0]["work"][0]["server"], name.as_str());
}
