//! Rules about Rust files: what they say they are for, how long they are, what they are called, whom they name.

use crate::Problem;

/// Lines of code that can be read in one sitting.
const LONGEST: usize = 500;

/// Characters below which the first comment of a file says nothing.
const SHORTEST_PURPOSE: usize = 20;

/// Names that say where something was put, not what it is.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "imp", "shared", "stuff",
];

/// Modules of one crate that must not name others of it, because those are above them: steps are made of tools,
/// checks and data, the loop is made of steps, and all of it stands on a few modules that know no drill. The other
/// direction is free.
const SIBLINGS: &[(&str, &[&str], &[&str])] = &[
    (
        "harness/engine/src",
        &["tool", "check", "data", "content", "recovery", "server", "session", "drill", "record"],
        &["step", "execute"],
    ),
    (
        "harness/engine/src",
        &["clock", "journal", "log", "settings", "workspace"],
        &["step", "execute", "check", "tool", "data", "content", "recovery", "server", "drill"],
    ),
];

/// The first comment of a file must say what the file is for.
pub fn purpose(path: &str, text: &str) -> Vec<Problem> {
    let comment: String =
        text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect::<Vec<_>>().join(" ");
    if comment.trim().chars().count() >= SHORTEST_PURPOSE {
        return Vec::new();
    }
    vec![format!("{path}: begin with `//!` and a sentence that says what the file is for")]
}

/// Lines of code: without blank lines, comments, and the tests at the foot.
fn lines_of_code(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.trim().starts_with("mod tests {")) {
            break;
        }
        count += usize::from(!line.is_empty() && !line.starts_with("//"));
    }
    count
}

/// A file must not be longer than can be read in one sitting.
pub fn length(path: &str, text: &str) -> Vec<Problem> {
    let lines = lines_of_code(text);
    if lines <= LONGEST {
        return Vec::new();
    }
    vec![format!(
        "{path}: {lines} lines of code, and {LONGEST} can be read in one sitting; find the seam and split it"
    )]
}

/// A module must be named for what it holds.
pub fn names(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for part in path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            problems.push(format!("{path}: `{part}` says nothing; name it for what it holds"));
        }
    }
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "mod" && EMPTY_NAMES.contains(&pair[1])) {
            if !line.trim_start().starts_with("//") && !line.contains('"') {
                problems.push(format!(
                    "{path}:{}: `{}` says nothing; name it for what it holds",
                    number + 1,
                    pair[1]
                ));
            }
        }
    }
    problems
}

/// Modules of the crate's root that a line of code names: `a` and `b` of `crate::{a, b::c}`. The root is `crate`, or
/// as many `super` as the file is deep.
fn named(text: &str, depth: usize) -> Vec<(usize, String)> {
    let roots = [String::from("crate::"), "super::".repeat(depth)];
    let code: String = text
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for root in roots.iter().filter(|root| !root.is_empty()) {
        for (at, _) in code.match_indices(root.as_str()) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let number = code[..at].matches('\n').count() + 1;
            let rest = &code[at + root.len()..];
            found.extend(first_names(rest).into_iter().map(|name| (number, name)));
        }
    }
    found
}

/// The first name of each path in `a::b` or `{a, b::{c, d}, e}`.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut begins = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                names.push(word(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// A module must not name one of its siblings that is above it.
pub fn siblings(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (directory, below, above) in SIBLINGS {
        let Some(inside) = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let parts: Vec<&str> =
            inside.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
        if !parts.first().is_some_and(|module| below.contains(module)) {
            continue;
        }
        for (number, name) in
            named(text, parts.len()).into_iter().filter(|(_, name)| above.contains(&name.as_str()))
        {
            problems.push(format!("{path}:{number}: {} must not name {name}, which is above it", parts[0]));
        }
    }
    problems
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_seen() {
    assert_eq!(purpose("a.rs", "use b;\n").len(), 1);
    assert_eq!(purpose("a.rs", "//! Being built.\n").len(), 1);
    assert_eq!(purpose("a.rs", "\n//! A comment that comes too late to be the first.\n").len(), 1);
    assert_eq!(purpose("a.rs", "//! Says what\n//! it is for.\n").len(), 0);
}

#[test]
fn only_code_counts_for_the_length() {
    let text = "//! Doc.\n\n// Comment.\nlet a = 1;\n    /// Doc.\nlet b = 2; // why\n#[cfg(test)]\nmod tests {\n    x\n}\n";
    assert_eq!(lines_of_code(text), 2);
    let long = "let a = 1;\n".repeat(LONGEST + 1);
    assert_eq!(length("a.rs", &long).len(), 1);
    assert!(length("a.rs", &long)[0].contains("501 lines"));
    assert_eq!(length("a.rs", &"let a = 1;\n".repeat(LONGEST)).len(), 0);
}

#[test]
fn an_empty_name_is_seen() {
    assert_eq!(names("harness/model/src/util.rs", "").len(), 1);
    assert_eq!(names("harness/model/src/common/mod.rs", "").len(), 1);
    assert_eq!(names("a.rs", "pub(crate) mod helpers {\n").len(), 1);
    assert_eq!(names("harness/model/src/utility.rs", "// mod util\nlet text = \"mod util\";\n").len(), 0);
}

#[test]
fn a_sibling_above_is_seen() {
    let lines = [
        "use crate::step::Step;",
        "use crate::{drill::Drill, step::{a, b}};",
        "use crate::{\n    drill,\n    step,\n};",
        "let x = crate::execute::run();",
        "use super::super::step;",
    ];
    for line in lines {
        assert_eq!(siblings("harness/engine/src/check/catalog.rs", line).len(), 1, "{line}");
        assert_eq!(siblings("harness/engine/src/step/backup.rs", line).len(), 0, "{line}");
    }
    for line in
        ["// crate::step", "use crate::drill::{step, execute};", "use super::step;", "use other_crate::step;"]
    {
        assert_eq!(siblings("harness/engine/src/check/catalog.rs", line).len(), 0, "{line}");
    }
    assert_eq!(siblings("harness/engine/src/tool.rs", "use super::step;").len(), 1);
    assert_eq!(siblings("harness/engine/src/tool/mod.rs", "use super::step;").len(), 1);
}
