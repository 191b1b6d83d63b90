//! Every face of every sample run, compared whole with a file under `expected/`. `UPDATE=1` writes the files anew;
//! a file that is missing is a failure, so that no face goes unread.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;
use pgdrill_report::{Style, html, json, junit, markdown, text};
use pgdrill_testkit::sample;

const AT_80: Style = Style { color: false, width: 80 };

fn compare(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE=1 writes it", path.display()));
    assert!(found == expected, "{name} is another text now; read it, then UPDATE=1:\n{found}");
}

fn runs() -> Vec<Run> {
    sample::all().into_iter().map(|(_, run)| run).collect()
}

#[test]
fn the_report_of_a_drill_for_a_person() {
    for (name, run) in sample::all() {
        compare(&format!("{name}.txt"), &text::drill(&run, AT_80));
    }
}

#[test]
fn the_report_of_a_drill_in_wide_narrow_and_coloured_terminals() {
    let run = sample::disproven();
    compare("disproven-wide.txt", &text::drill(&run, Style { color: false, width: 140 }));
    compare("disproven-narrow.txt", &text::drill(&run, Style { color: false, width: 46 }));
    compare("disproven-coloured.txt", &text::drill(&run, Style { color: true, width: 100 }));
    let run = sample::lossy();
    compare("lossy-wide.txt", &text::drill(&run, Style { color: false, width: 120 }));
}

#[test]
fn a_report_says_that_nothing_was_loaded() {
    let mut run = sample::proven();
    let load = run.load.as_mut().unwrap();
    (load.template, load.took_us) = (Some("0123456789ab".to_owned()), 52_000);
    let text = text::drill(&run, AT_80);
    assert!(text.contains("401 500 rows in 5 tables, 54.8 MiB copied from a template in 52 ms\n"), "{text}");
}

#[test]
fn the_summary_of_many_drills() {
    compare("summary.txt", &text::summary(&runs(), Style { color: false, width: 100 }));
    compare("summary-wide.txt", &text::summary(&runs(), Style { color: false, width: 160 }));
    compare("summary-narrow.txt", &text::summary(&runs(), Style { color: false, width: 50 }));
    compare("summary-one.txt", &text::summary(&[sample::proven()], Style { color: true, width: 100 }));
    let matrix = sample::matrix();
    compare("matrix.txt", &text::summary(&matrix, Style { color: false, width: 100 }));
    compare("matrix-shared.txt", &text::drill(&matrix[1], AT_80));
    compare("kept.txt", &text::summary(&sample::kept(), Style { color: false, width: 120 }));
    assert_eq!(text::summary(&[], AT_80).lines().last(), Some("0 drills"));
}

#[test]
fn the_report_for_a_ci_server() {
    compare("all.junit.xml", &junit::runs(&runs()).unwrap());
}

#[test]
fn the_report_as_markdown() {
    compare("all.md", &markdown::runs(&runs()));
    compare("kept.md", &markdown::runs(&sample::kept()));
    compare("nothing.md", &markdown::runs(&[]));
}

/// Without its style, which is no text.
#[test]
fn the_report_for_a_browser() {
    let now = 1_795_374_900_000_000 + 86_400_000_000;
    let told = |name: &str, runs: &[Run]| {
        let page = html::runs(runs, now, &html::Terms::default());
        let (head, rest) = page.split_once("<style>").unwrap();
        // One element to a line, so that a change is seen where it is.
        let text = format!("{head}{}", rest.split_once("</style>").unwrap().1).replace("><", ">\n<");
        compare(name, &text);
    };
    told("disproven.html", &[sample::disproven()]);
    told("matrix.html", &sample::matrix());
    told("kept.html", &sample::kept());
    told("nothing.html", &[]);
}

#[test]
fn the_report_for_a_program() {
    compare("unverified.json", &json::runs(&[sample::unverified()], 2));
}

#[test]
fn the_report_for_a_program_is_one_object_with_the_worst_verdict() {
    let text = json::runs(&runs(), 130);
    assert!(text.ends_with("}\n") && !text.ends_with("\n\n"));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["schema", "verdict", "exit_code", "detection", "runbook", "runs"]);
    assert_eq!(value["schema"], "pgdrill.report/1");
    assert_eq!(value["verdict"], "disproven");
    assert_eq!(value["exit_code"], 130);
    assert_eq!(value["runs"].as_array().unwrap().len(), runs().len());
    let nothing: serde_json::Value = serde_json::from_str(&json::runs(&[], 2)).unwrap();
    assert_eq!(nothing["verdict"], "unverified");
}

/// Every count that JUnit states is the count of what is there, and a suite is green only where the verdict is.
#[test]
fn junit_counts_are_true_and_nothing_unproven_is_green() {
    for (name, run) in sample::all() {
        let xml = junit::runs(std::slice::from_ref(&run)).unwrap();
        let cases = xml.matches("<testcase ").count();
        assert_eq!(cases, run.steps.len() + run.checks.len() + 1, "{name}");
        let suite = xml.lines().find(|line| line.contains("<testsuite ")).unwrap();
        for (attribute, tag) in [
            ("tests", "<testcase "),
            ("failures", "<failure "),
            ("errors", "<error "),
            ("skipped", "<skipped "),
        ] {
            let stated = suite.split(&format!(" {attribute}=\"")).nth(1).unwrap().split('"').next().unwrap();
            assert_eq!(stated.parse::<usize>().unwrap(), xml.matches(tag).count(), "{name}: {attribute}");
        }
        let verdict = xml.split("<testcase name=\"verdict\"").nth(1).unwrap();
        assert_eq!(verdict.contains("<error "), run.verdict == Verdict::Unverified, "{name}");
        assert_eq!(verdict.contains("<failure "), run.verdict == Verdict::Disproven, "{name}");
        let green = !xml.contains("<failure ") && !xml.contains("<error ");
        assert_eq!(green, run.verdict == Verdict::Proven, "{name}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_or_ends_in_spaces() {
    for (name, run) in sample::all() {
        for width in [40, 46, 60, 72, 80, 100, 120, 132, 200] {
            let style = Style { color: false, width };
            let summaries = [text::summary(&runs(), style), text::summary(&sample::matrix(), style)];
            for text in summaries.into_iter().chain([text::drill(&run, style)]) {
                for line in text.lines() {
                    assert!(
                        unicode_width::UnicodeWidthStr::width(line) <= width,
                        "{name} at {width}: {line}"
                    );
                    assert_eq!(line, line.trim_end(), "{name} at {width}");
                }
            }
        }
    }
}

#[test]
fn colour_says_nothing_that_the_words_do_not_say() {
    for (name, run) in sample::all() {
        let coloured = text::drill(&run, Style { color: true, width: 80 });
        let mut plain = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            plain.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, text::drill(&run, AT_80), "{name}");
    }
}

#[test]
fn text_from_elsewhere_cannot_command_a_terminal() {
    let run = sample::hostile();
    for width in [40, 80, 160] {
        for text in [
            text::drill(&run, Style { color: false, width }),
            text::summary(std::slice::from_ref(&run), Style { color: false, width }),
        ] {
            let obeyed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
            assert_eq!(text.chars().find(|c| obeyed(*c)), None);
            // The text says "PROVEN: all is well" after a line break; no line of ours may begin with it.
            assert!(!text.lines().any(|line| line.starts_with("PROVEN")), "{text}");
        }
    }
    let coloured = text::drill(&run, Style { color: true, width: 80 });
    for sequence in coloured.split('\u{1b}').skip(1) {
        let (code, _) = sequence.split_once('m').unwrap();
        assert!(matches!(code, "[0" | "[1" | "[2" | "[32" | "[33" | "[1;31"), "{code:?}");
    }
}

#[test]
fn text_from_elsewhere_cannot_break_xml_or_json() {
    let run = sample::hostile();
    let xml = junit::runs(std::slice::from_ref(&run)).unwrap();
    assert!(!xml.contains("]]>") && !xml.contains("<x ") && !xml.contains('\u{1b}') && !xml.contains('\0'));
    // What stands between quotes and between tags is the only place for text, and holds no bare bracket.
    assert_eq!(xml.matches('<').count(), xml.matches('>').count());
    assert_eq!(xml.matches("<testcase ").count(), run.steps.len() + run.checks.len() + 1);
    let value: serde_json::Value = serde_json::from_str(&json::runs(&[run], 1)).unwrap();
    assert_eq!(value["runs"][0]["title"], sample::HOSTILE);
}
