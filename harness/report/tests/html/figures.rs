//! That the page says what the record says: read from the document, and compared with the run.

use std::collections::BTreeMap;
use std::time::Duration;

use pgdrill_model::evidence::CheckStatus;
use pgdrill_model::run::Run;
use pgdrill_model::units::{show_count, show_duration};
use pgdrill_model::verdict::Verdict;
use pgdrill_report::html::{Terms, runs};
use pgdrill_testkit::sample;
use serde_json::Value;

use super::browser::Browser;
use super::{NOW, every_sample, line, page};

/// Every table by its caption, as rows of texts; of several with the same caption all rows.
const TABLES: &str = "(() => { const tables = {}; \
    for (const table of document.querySelectorAll('table')) { \
      const rows = [...table.tBodies].flatMap(body => [...body.rows]); \
      (tables[table.caption.textContent] ??= []).push(...rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))); } \
    return tables; })()";

/// The pieces of each picture that a selector finds: how wide each is, of the whole.
fn widths(browser: &mut Browser, selector: &str) -> Vec<Vec<f64>> {
    let pictures = browser.eval(&format!(
        "(() => {{ document.querySelectorAll('details').forEach(details => {{ details.open = true; }}); \
         return [...document.querySelectorAll('{selector}')].map(svg => {{ \
           const whole = svg.querySelector('.track').getBoundingClientRect().width; \
           return [...svg.querySelectorAll('.piece')].map(piece => piece.getBBox().width / whole); }}); }})()"
    ));
    serde_json::from_value(pictures).unwrap()
}

fn tables(browser: &mut Browser) -> BTreeMap<String, Vec<Vec<String>>> {
    let told: BTreeMap<String, Vec<Vec<String>>> = serde_json::from_value(browser.eval(TABLES)).unwrap();
    let plain = |text: &String| text.replace('\u{a0}', " ");
    told.into_iter()
        .map(|(name, rows)| (name, rows.iter().map(|row| row.iter().map(plain).collect()).collect()))
        .collect()
}

fn time(us: u64) -> String {
    show_duration(Duration::from_micros(us))
}

fn text(browser: &mut Browser, selector: &str) -> String {
    let text = browser.eval(&format!("document.querySelector('{selector}')?.textContent ?? ''"));
    text.as_str().unwrap().replace('\u{a0}', " ")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => "PROVEN",
        Verdict::Unverified => "COULD NOT VERIFY",
        Verdict::Disproven => "DISPROVEN",
    }
}

#[test]
fn the_page_says_what_the_record_says() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, run) in every_sample().iter().filter(|(name, _)| *name != "hostile") {
        browser.open(&page(run));
        says_the_verdict(&mut browser, name, run);
        let told = tables(&mut browser);
        says_the_phases(&told, name, run);
        says_the_checks(&told, name, run);
        says_the_tallies(&told, name, run);
        says_the_findings(&mut browser, name, run);
        let steps = told.get("Steps").map_or(0, Vec::len);
        assert_eq!(steps, run.steps.len() + 1, "{name}: and teardown");
        let all = text(&mut browser, "main");
        let facts = [&run.header.id, &run.header.scenario_sha256, &pgdrill_report::record::file_name(run)];
        for fact in facts.into_iter().chain(&run.not_tested) {
            // Those of checks that did not run are in the table of checks.
            let of_a_check = run.checks.iter().any(|record| fact.starts_with(&format!("{}: ", record.check)));
            assert!(of_a_check || all.contains(fact.as_str()), "{name}: {fact}");
        }
        assert!(all.contains(&format!("--seed {}", run.header.seed)), "{name}");
    }
}

fn says_the_verdict(browser: &mut Browser, name: &str, run: &Run) {
    let headline = text(browser, "h1");
    assert_eq!(headline.split_once(' ').unwrap().1, word(run.verdict), "{name}");
    assert_eq!(text(browser, "header .lead"), run.reason, "{name}");
    assert!(text(browser, "article h3").contains(word(run.verdict)), "{name}");
    assert_eq!(text(browser, "article .reason"), run.reason, "{name}");
}

fn says_the_phases(told: &BTreeMap<String, Vec<Vec<String>>>, name: &str, run: &Run) {
    let phases: Vec<_> = run.recoveries.iter().flat_map(|recovery| &recovery.phases).collect();
    let rows = told.get("Phases of the recovery time").map_or(&[][..], Vec::as_slice);
    assert_eq!(rows.len(), phases.len(), "{name}");
    for (row, phase) in rows.iter().zip(phases) {
        assert_eq!(row[0].split(' ').next().unwrap(), phase.name, "{name}");
        let took = if phase.took_us == 0 { "-".to_owned() } else { time(phase.took_us) };
        assert_eq!(row[1], took, "{name}: {}", phase.name);
    }
}

fn says_the_checks(told: &BTreeMap<String, Vec<Vec<String>>>, name: &str, run: &Run) {
    let rows = told.get("Checks").map_or(&[][..], Vec::as_slice);
    assert_eq!(rows.len(), run.checks.len(), "{name}");
    for (row, record) in rows.iter().zip(&run.checks) {
        let status = match record.status {
            CheckStatus::Held => "held",
            CheckStatus::Failed => "FAILED",
            CheckStatus::NotRun => "NOT RUN",
        };
        assert_eq!(
            (row[0].split(',').next().unwrap(), row[1].as_str()),
            (record.check.name(), status),
            "{name}"
        );
        assert_eq!(row[4], record.summary, "{name}");
    }
}

fn says_the_tallies(told: &BTreeMap<String, Vec<Vec<String>>>, name: &str, run: &Run) {
    if run.tallies.is_empty() {
        return;
    }
    let rows = &told["Acknowledged transactions"];
    for (at, tally) in run.tallies.iter().enumerate() {
        for (what, count) in [
            ("acknowledged", tally.acknowledged),
            ("required", tally.required),
            ("recovered", tally.recovered),
            ("lost", tally.lost),
            ("unexpected", tally.unexpected),
            ("indeterminate", tally.indeterminate),
            ("after the point", tally.after_target),
        ] {
            let row = rows.iter().find(|row| row[0] == what).unwrap();
            assert_eq!(row[at + 1], show_count(count), "{name}: {what} of {}", tally.server);
        }
    }
}

fn says_the_findings(browser: &mut Browser, name: &str, run: &Run) {
    let told = browser.eval("[...document.querySelectorAll('.findings > li')].map(item => item.textContent)");
    let told: Vec<String> = serde_json::from_value(told).unwrap();
    let told: Vec<String> = told.iter().map(|text| text.replace('\u{a0}', " ")).collect();
    for finding in &run.findings {
        let item =
            told.iter().find(|item| item.starts_with(finding.code.name()) && item.contains(&finding.message));
        // Those that only say that a check did not run are told together.
        let together = told.iter().any(|item| {
            finding.check.is_some_and(|check| item.contains("did not run") && item.contains(check.name()))
        });
        assert!(item.is_some() || together, "{name}: {}: {}", finding.code, finding.message);
    }
    let bad = run.findings.iter().any(|finding| finding.code.name() == "ROW_COUNT_MISMATCH");
    assert_eq!(told.iter().any(|item| item.starts_with("ROW_COUNT_MISMATCH")), bad, "{name}");
}

/// Lengths of a picture are the times of the record.
#[test]
fn phases_and_transactions_are_as_long_as_they_are() {
    let Some(mut browser) = Browser::start() else { return };
    let mut seen = 0;
    for (name, run) in every_sample() {
        browser.open(&page(&run));
        let timed: Vec<_> = run.recoveries.iter().filter(|recovery| !recovery.phases.is_empty()).collect();
        let strips = widths(&mut browser, "svg.strip");
        let small: Vec<f64> =
            widths(&mut browser, "article td svg.small").into_iter().map(|pieces| pieces[0]).collect();
        let mut small = small.into_iter();
        for (recovery, strip) in timed.iter().zip(&strips) {
            let total: u64 = recovery.phases.iter().map(|phase| phase.took_us).sum();
            let sum: f64 = strip.iter().sum();
            let target = run.objectives.iter().find(|objective| objective.name == "rto");
            let target = target.and_then(|objective| objective.target_us).or(run.header.rto_us).unwrap_or(0);
            // All of it against the objective, and then phase by phase.
            let whole = total.max(target) as f64 * 1.03;
            near(sum, total as f64 / whole, name);
            for (phase, width) in recovery.phases.iter().zip(strip) {
                near(*width, phase.took_us as f64 / whole, name);
                near(small.next().unwrap(), phase.took_us as f64 / total as f64, name);
                seen += 1;
            }
        }
        for (tally, strip) in run.tallies.iter().zip(&strips[timed.len()..]) {
            let parts = [tally.recovered, tally.lost, tally.not_promised, tally.after_target];
            let whole: u64 = parts.iter().sum();
            let parts: Vec<u64> = parts.into_iter().filter(|count| *count > 0).collect();
            assert_eq!(parts.len(), strip.len(), "{name}");
            for (count, width) in parts.iter().zip(strip) {
                near(*width, *count as f64 / whole as f64, name);
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

fn near(found: f64, expected: f64, name: &str) {
    assert!((found - expected).abs() < 0.002, "{name}: {found} is not {expected}");
}

#[test]
fn the_worst_of_those_that_count_decides() {
    let Some(mut browser) = Browser::start() else { return };
    let mut told = |runs_of: &[Run], terms: &Terms<'_>, now: i64| -> (String, Value) {
        browser.open(&runs(runs_of, now, terms));
        let marks =
            browser.eval("[...document.querySelectorAll('.because li')].map(item => item.textContent)");
        (text(&mut browser, "h1").split_once(' ').unwrap().1.to_owned(), marks)
    };
    // It failed once and was mended: that decides only where each run counts.
    let mended = line(8);
    assert_eq!(mended[6].verdict, Verdict::Disproven);
    let (verdict, because) = told(&mended, &Terms::default(), NOW);
    assert_eq!(verdict, "PROVEN");
    assert!(because.to_string().contains("1 were not proven"), "{because}");
    assert_eq!(told(&mended, &Terms { every_run: true, ..Terms::default() }, NOW).0, "DISPROVEN");
    // Too old, or not to be read: nobody knows.
    let short = Terms { max_age: Some(Duration::from_secs(60)), ..Terms::default() };
    let (verdict, because) = told(&mended, &short, NOW);
    assert_eq!(verdict, "COULD NOT VERIFY");
    assert!(because.to_string().contains("STALE:"), "{because}");
    let refused = ["x.json: not a record".to_owned()];
    let (verdict, because) = told(&mended, &Terms { refused: &refused, ..Terms::default() }, NOW);
    assert_eq!(verdict, "COULD NOT VERIFY");
    assert!(because.to_string().contains("x.json: not a record"), "{because}");
    assert_eq!(told(&[], &Terms::default(), NOW).0, "COULD NOT VERIFY");
    let mixed = [sample::proven(), sample::unverified(), sample::interrupted()];
    assert_eq!(told(&mixed, &Terms { every_run: true, ..Terms::default() }, NOW).0, "COULD NOT VERIFY");
}

#[test]
fn who_notices_what_and_the_runbook_are_told_as_by_the_other_faces() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&runs(&[sample::noticed(), sample::incident()], NOW, &Terms::default()));
    let told = tables(&mut browser);
    let row = &told["Who notices what"][0];
    assert_eq!(row[0..3], ["heap-bit-flip", "1", "noticed"], "{row:?}");
    assert_eq!(row.iter().filter(|cell| cell.starts_with('●')).count(), 1, "{row:?}");
    let steps = pgdrill_model::runbook::of(&[sample::incident()]);
    let rows: Vec<_> = told["Steps of the runbook"].iter().filter(|row| row.len() == 4).collect();
    assert_eq!(rows.len(), steps.len());
    for (row, (entry, state)) in rows.iter().zip(&steps) {
        assert!(row[0].ends_with(state.name()) && row[1] == entry.does, "{row:?}");
    }
    assert!(text(&mut browser, "main").contains("Without one of these, nobody would have noticed"));
}
