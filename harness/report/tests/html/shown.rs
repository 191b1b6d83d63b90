//! How pages look to a browser: nothing is loaded, run or forbidden, everything has a name, and every text can be read.

use pgdrill_report::html::{Terms, runs};
use pgdrill_testkit::sample;
use rstest::rstest;

use super::browser::Browser;
use super::{NOW, every_sample, line, page};

/// Pages of one drill each, of all together, of several majors, of a line of runs, and of nothing.
fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> =
        every_sample().iter().map(|(name, run)| ((*name).to_owned(), page(run))).collect();
    let all: Vec<_> = every_sample().into_iter().map(|(_, run)| run).collect();
    let every_run = Terms { every_run: true, ..Terms::default() };
    let refused = ["a.json: it was changed after it was sealed".to_owned()];
    let strict =
        Terms { max_age: Some(std::time::Duration::from_secs(3_600)), refused: &refused, every_run: false };
    pages.push(("all".to_owned(), runs(&all, NOW, &every_run)));
    pages.push(("matrix".to_owned(), runs(&sample::matrix(), NOW, &Terms::default())));
    pages.push(("history".to_owned(), runs(&line(30), NOW + 86_400_000_000, &strict)));
    pages.push(("nothing".to_owned(), runs(&[], NOW, &Terms::default())));
    pages
}

#[test]
fn nothing_is_loaded_or_run_or_forbidden() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, html) in pages() {
        browser.open(&html);
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
        let asked = browser.requests();
        assert!(asked.len() == 1 && asked[0].ends_with("/page.html"), "{name}: {asked:?}");
        // The one style is the one that the policy lets in.
        assert_eq!(
            browser.eval("getComputedStyle(document.querySelector('.verdict')).borderTopLeftRadius"),
            "10px"
        );
    }
}

/// What the test before would see, if there were anything.
#[test]
fn what_would_be_forbidden_is_forbidden_and_seen() {
    let Some(mut browser) = Browser::start() else { return };
    let html = page(&sample::proven());
    for (what, added) in [
        ("script", "<script>document.title = 'owned'</script>"),
        ("style", "<p style=\"color:red\">x</p>"),
        ("img", "<img src=\"http://127.0.0.1:9/x.png\" alt=\"x\">"),
        ("script", "<p onclick=\"1\" id=\"x\">x</p>"),
    ] {
        browser.open(&html.replace("<footer>", &format!("{added}<footer>")));
        browser.eval("document.getElementById('x')?.click()");
        let complaints = browser.complaints().join("\n");
        assert!(
            complaints.contains("Content Security Policy") && complaints.contains(what),
            "{added}: {complaints}"
        );
        assert_ne!(browser.eval("document.title"), "owned");
    }
}

#[rstest]
#[case(1280, "light")]
#[case(1280, "dark")]
#[case(360, "light")]
#[case(360, "dark")]
fn every_page_can_be_read(#[case] width: u32, #[case] scheme: &str) {
    let Some(mut browser) = Browser::start() else { return };
    browser.show(width, scheme, "screen");
    for (name, html) in pages() {
        browser.open(&html);
        browser.keep(&format!("{name}-{width}-{scheme}.png"));
        assert_eq!(browser.audit(), Vec::<String>::new(), "{name}");
    }
}

/// What the test before would see, if there were anything.
#[test]
fn the_audit_sees_what_is_wrong() {
    let Some(mut browser) = Browser::start() else { return };
    let html = runs(&[sample::disproven(), sample::lossy()], NOW, &Terms::default());
    browser.show(360, "light", "screen");
    for (from, to, seen) in [
        ("scope=\"col\"", "", "no scope"),
        ("role=\"img\"", "", "no role"),
        ("<caption class=\"sr\">Checks</caption>", "", "no caption"),
        ("<h2 ", "<h3 ", "h3 below h1"),
        ("href=\"#drills\"", "href=\"#gone\"", "leads nowhere"),
        ("aria-labelledby", "data-x", "no name"),
        ("--ink: #1a222c", "--ink: #8a929c", "contrast"),
        ("max-width: 78rem", "min-width: 78rem", "wide on 360"),
    ] {
        let changed = html.replace(from, to);
        assert_ne!(changed, html, "{from}");
        // A style that is another has another hash.
        browser.open(&changed.replace("style-src 'sha256-", "style-src 'unsafe-inline' 'sha256_"));
        let wrong = browser.audit().join("\n");
        assert!(wrong.contains(seen), "{seen}: {wrong}");
    }
}

#[test]
fn on_paper_everything_is_open_and_light() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, run) in [("proven", sample::proven()), ("incident", sample::incident())] {
        browser.open(&page(&run));
        browser.eval("document.querySelectorAll('details').forEach(details => { details.open = false; })");
        let hidden = "(() => { let count = 0; \
            for (const cell of document.querySelectorAll('details td, details dd, details p')) { \
              if (cell.textContent.trim() && !cell.checkVisibility({ contentVisibilityAuto: true })) count += 1; } \
            return count; })()";
        browser.show(1280, "dark", "screen");
        assert!(browser.eval(hidden).as_u64().unwrap() > 10, "{name}: on a screen they are folded");
        browser.show(794, "dark", "print");
        assert_eq!(browser.eval(hidden), 0, "{name}");
        let ground = browser.eval("getComputedStyle(document.documentElement).backgroundColor");
        assert_eq!(ground, "rgb(255, 255, 255)", "{name}");
        assert_eq!(browser.audit(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn hostile_names_are_shown_as_text() {
    let Some(mut browser) = Browser::start() else { return };
    let mut run = sample::hostile();
    let script =
        "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></title></style>\u{202e}\u{1b}[31m";
    run.header.scenario = script.to_owned();
    run.reason = script.to_owned();
    run.not_tested.push(script.to_owned());
    run.findings[0].message = script.to_owned();
    let html = page(&run);
    let hidden = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}'..='\u{200f}')
    };
    assert_eq!(html.chars().find(|c| hidden(*c)), None);
    browser.open(&html);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.eval("document.querySelectorAll('script, img, x, style, [onerror], [a]').length"), 1);
    let text = browser.eval("document.body.textContent");
    let text = text.as_str().unwrap();
    let shown = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></title></style>\\u{202e}\\x1b[31m";
    assert!(text.matches(shown).count() > 5, "{text}");
    assert!(text.contains("PROVEN: all is well"), "{text}");
    let title = browser.eval("document.title");
    assert!(title.as_str().unwrap().starts_with("DISPROVEN: "), "{title}");
    assert!(
        browser.eval("document.querySelector('h1').textContent").as_str().unwrap().ends_with(" DISPROVEN")
    );
}
