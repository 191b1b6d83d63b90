//! Pages of many records: quick, of a size that a phone opens, and with a chart of each line.

use std::time::{Duration, Instant};

use pgdrill_model::run::Run;
use pgdrill_model::units::Major;
use pgdrill_report::html::{Terms, runs};

use super::browser::Browser;
use super::{NOW, every_sample, line};

/// A thousand runs: of each sample, on four majors, an hour apart.
fn thousand() -> Vec<Run> {
    let samples = every_sample();
    (0..1_000)
        .map(|number| {
            let (name, run) = &samples[number % samples.len()];
            let mut run = run.clone();
            run.header.id = format!("r{number}");
            run.header.scenario = format!("{name}/{}", number / samples.len() % 3);
            run.header.postgres = Major([13, 15, 17, 18][number % 4]);
            run.started_unix_us += number as i64 * 3_600_000_000;
            run
        })
        .collect()
}

#[test]
fn a_thousand_records_are_a_page_that_can_be_used() {
    let runs_of = thousand();
    let began = Instant::now();
    let html = runs(&runs_of, NOW, &Terms::default());
    let took = began.elapsed();
    eprintln!("1 000 records: {took:?}, {:.2} MB", html.len() as f64 / 1e6);
    // What is not optimised is not measured.
    assert!(cfg!(debug_assertions) || took < Duration::from_secs(2), "{took:?}");
    assert!(html.len() < 12_000_000, "{}", html.len());
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&html);
    let count = |browser: &mut Browser, what: &str| {
        browser.eval(&format!("document.querySelectorAll('{what}').length")).as_u64().unwrap()
    };
    let lines = pgdrill_model::history::lines(&runs_of);
    assert_eq!(count(&mut browser, "#drills > .scroll tbody tr"), lines.len() as u64);
    assert_eq!(count(&mut browser, "#earlier tbody tr"), (runs_of.len() - lines.len()) as u64);
    assert!(count(&mut browser, "article") <= 250);
    let charted = lines.iter().filter(|line| line.runs().len() > 1).count() as u64;
    assert_eq!(count(&mut browser, "figure.chart"), charted);
}

/// Points of a chart stand where their times are: later to the right, longer further up.
#[test]
fn a_chart_shows_times_where_they_are() {
    let Some(mut browser) = Browser::start() else { return };
    let runs_of = line(30);
    browser.open(&runs(&runs_of, NOW, &Terms::default()));
    let dots = browser.eval(
        "(() => { const svg = document.querySelector('figure.chart svg'); \
         const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2]; \
         return [...svg.querySelectorAll('circle, text.mark')].map(dot => [...middle(dot.getBBox()), dot.tagName]); })()",
    );
    let dots: Vec<(f64, f64, String)> = serde_json::from_value(dots).unwrap();
    assert_eq!(dots.len(), runs_of.len());
    for (pair, runs) in dots.windows(2).zip(runs_of.windows(2)) {
        assert!(pair[0].0 < pair[1].0, "later is further to the right");
        let time = |run: &Run| pgdrill_model::history::recovery_time(run).unwrap();
        let proven = |dot: &(f64, f64, String)| dot.2 == "circle";
        if proven(&pair[0]) && proven(&pair[1]) && time(&runs[0]) != time(&runs[1]) {
            assert_eq!(time(&runs[0]) > time(&runs[1]), pair[0].1 < pair[1].1, "longer is further up");
        }
    }
    let crosses = dots.iter().filter(|dot| dot.2 == "text").count();
    let failed = runs_of.iter().filter(|run| run.verdict != pgdrill_model::verdict::Verdict::Proven).count();
    assert_eq!(crosses, failed);
}
