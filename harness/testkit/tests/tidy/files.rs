//! Rules about all files: finished, free of the machine that they were written on, and clean at the edges; and about
//! scenarios and scripts, which are read and run by people who did not write them.

use crate::Problem;

/// Words that promise something for later. Put together here, so that this file keeps its own rule.
fn promises() -> [String; 4] {
    [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]].map(|parts| parts.concat())
}

/// Directories of one person's machine, or of one job's.
fn workstations() -> [String; 3] {
    ["work", "home", "root"].map(|name| format!("/{name}/"))
}

/// Files that are damaged on purpose, or that a program wrote.
fn foreign(path: &str) -> bool {
    let of_a_corpus = path.strip_prefix("fixtures/fuzz/").is_some_and(|path| path.contains('/'));
    of_a_corpus
        || path.starts_with("fixtures/invalid/")
        || path.ends_with(".lock")
        || path.contains("/tests/expected/")
}

/// Nothing is left for later in the source: what is not done is not there, and what is wanted is in the tracker.
pub fn unfinished(path: &str, text: &str) -> Vec<Problem> {
    if foreign(path) {
        return Vec::new();
    }
    let promises = promises();
    let word = |line: &str| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.find(|word| promises.iter().any(|promise| promise == word)).map(str::to_owned)
    };
    text.lines()
        .enumerate()
        .filter_map(|(number, line)| Some((number + 1, word(line)?)))
        .map(|(number, word)| format!("{path}:{number}: {word}: finish it, or take it out"))
        .collect()
}

/// No absolute path of the machine that a file was written on.
pub fn workstation(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for directory in workstations() {
            // Within a relative path the same letters mean something else.
            let absolute = |at: usize| {
                !line[..at].ends_with(|c: char| {
                    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '*')
                })
            };
            if line.match_indices(&directory).any(|(at, _)| absolute(at)) {
                problems.push(format!("{path}:{}: {directory} is a directory of one machine", number + 1));
            }
        }
    }
    problems
}

/// No spaces at the end of a line, no tabs, and a line break at the end of the file.
pub fn blanks(path: &str, text: &str) -> Vec<Problem> {
    if foreign(path) || text.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            problems.push(format!("{path}:{}: spaces at the end of the line", number + 1));
        } else if line.contains('\t') {
            problems.push(format!("{path}:{}: a tab; write spaces", number + 1));
        }
    }
    if !text.ends_with('\n') {
        problems.push(format!("{path}: the last line has no line break"));
    }
    problems
}

/// Characters below which a comment tells no story.
const SHORTEST_STORY: usize = 80;

/// A scenario begins with a comment that tells what happened to whom, and why it is worth a drill.
pub fn story(path: &str, text: &str) -> Vec<Problem> {
    let scenario = path.starts_with("scenarios/") && (path.ends_with(".yaml") || path.ends_with(".yml"));
    let comment: String = text.lines().map_while(|line| line.strip_prefix('#')).collect();
    if !scenario || comment.trim().chars().count() >= SHORTEST_STORY {
        return Vec::new();
    }
    vec![format!(
        "{path}: begin with a comment that tells the story: what was lost, what must come back, and why"
    )]
}

/// A script of the house has a shebang, stops at its first error and at its first unset variable, and can be run. A
/// part of one, which another reads, names its shell in the first line instead, and cannot.
pub fn script(path: &str, text: &str, executable: bool) -> Vec<Problem> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let place = path.starts_with("ci/") || path.starts_with(".ci/");
    let is_script = text.starts_with("#!") || name.ends_with(".sh") || !name.contains('.');
    let foreign = ["Dockerfile", "Jenkinsfile"].contains(&name);
    if !place || !is_script || foreign {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if text.starts_with("# shellcheck shell=") {
        if executable {
            problems.push(format!("{path}: it is read by another, so it need not be executable"));
        }
        return problems;
    }
    if !text.starts_with("#!") {
        problems.push(format!("{path}: begin with a shebang"));
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    if !first.is_some_and(|command| command.starts_with("set -eu")) {
        problems.push(format!("{path}: the first command must be `set -eu`"));
    }
    if !executable {
        problems.push(format!("{path}: make it executable"));
    }
    problems
}

#[test]
fn a_promise_is_seen_and_a_word_that_holds_one_is_not() {
    for promise in promises() {
        assert_eq!(
            unfinished("a.rs", &format!("one\n// {promise}: later\n")),
            [format!("a.rs:2: {promise}: finish it, or take it out")]
        );
        assert_eq!(unfinished("a.rs", &format!("{promise}S {}", promise.to_lowercase())).len(), 0);
    }
}

#[test]
fn a_path_of_a_workstation_is_seen_and_a_relative_one_is_not() {
    for directory in workstations() {
        assert_eq!(workstation("a.rs", &format!("let path = \"{directory}x\";\n")).len(), 1);
        assert_eq!(workstation("a.rs", &format!("let path = \"target{directory}x\";\n")).len(), 0);
    }
}

#[test]
fn spaces_at_the_end_tabs_and_a_missing_line_break_are_seen() {
    assert_eq!(
        blanks("a.md", "one \ntwo\tthree\nfour"),
        [
            "a.md:1: spaces at the end of the line",
            "a.md:2: a tab; write spaces",
            "a.md: the last line has no line break"
        ]
    );
    assert_eq!(blanks("fixtures/invalid/a.yaml", "one \t"), Vec::<Problem>::new());
}

#[test]
fn a_scenario_without_a_story_is_seen() {
    assert_eq!(story("scenarios/smoke/a.yaml", "title: A\n").len(), 1);
    assert_eq!(story("scenarios/smoke/a.yaml", "# Short.\ntitle: A\n").len(), 1);
    let told = format!(
        "# {}\n# {}\ntitle: A\n",
        "The disk of the primary died in the night.", "What is left is a backup of the evening."
    );
    assert_eq!(story("scenarios/smoke/a.yaml", &told).len(), 0);
    assert_eq!(story("fixtures/a.yaml", "title: A\n").len(), 0);
}

#[test]
fn a_careless_script_is_seen() {
    assert_eq!(script("ci/a", "cargo test\n", false).len(), 3);
    assert_eq!(script("ci/a.sh", "#!/bin/sh\n# Comment.\ncd /\nset -eu\n", true).len(), 1);
    assert_eq!(script("ci/a", "#!/usr/bin/env bash\n# Comment.\n\nset -euo pipefail\n", true).len(), 0);
    assert_eq!(script("ci/deny.toml", "x = 1\n", false).len(), 0);
    assert_eq!(script("ci/a/Jenkinsfile", "pipeline {}\n", false).len(), 0);
    // The engine's scripts are templates, and answer the server by their own rules.
    assert_eq!(script("harness/engine/src/sh/archive.sh", "cp a b\n", false).len(), 0);
}
