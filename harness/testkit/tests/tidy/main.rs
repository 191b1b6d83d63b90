//! The rules of the house that no compiler keeps. Each rule is a function from text to problems, is tried below on a
//! bad sample, and then on the whole source tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod edges;
mod files;
mod pipelines;
mod rust;
mod tree;

use tree::Tree;

/// A rule that was broken, in words that say where, what, and what to do: `harness/a.rs:3: ...`.
type Problem = String;

fn none(problems: &[Problem]) {
    assert!(problems.is_empty(), "{} to tidy up:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn crates_depend_only_downwards() {
    none(&Tree::read().manifests().flat_map(|(path, text)| edges::inward(path, text)).collect::<Vec<_>>());
}

#[test]
fn crates_of_others_stay_where_they_are_confined() {
    none(&Tree::read().manifests().flat_map(|(path, text)| edges::outward(path, text)).collect::<Vec<_>>());
}

#[test]
fn the_product_asks_for_what_it_needs_of_a_crate() {
    none(&edges::features(&std::fs::read_to_string("../../Cargo.toml").unwrap()));
}

#[test]
fn every_crate_is_in_the_table_of_edges() {
    none(&edges::table(&Tree::read().manifests().map(|(path, _)| path).collect::<Vec<_>>()));
}

#[test]
fn modules_do_not_name_what_is_above_them() {
    none(&Tree::read().rust().flat_map(|(path, text)| rust::siblings(path, text)).collect::<Vec<_>>());
}

#[test]
fn every_module_is_named_for_what_it_holds() {
    none(&Tree::read().rust().flat_map(|(path, text)| rust::names(path, text)).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is_for() {
    none(&Tree::read().rust().flat_map(|(path, text)| rust::purpose(path, text)).collect::<Vec<_>>());
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    none(&Tree::read().rust().flat_map(|(path, text)| rust::length(path, text)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    none(&Tree::read().texts().flat_map(|(path, text)| files::unfinished(path, text)).collect::<Vec<_>>());
}

#[test]
fn no_path_of_a_workstation_is_written_down() {
    none(&Tree::read().texts().flat_map(|(path, text)| files::workstation(path, text)).collect::<Vec<_>>());
}

#[test]
fn no_line_ends_in_spaces_or_holds_a_tab() {
    none(&Tree::read().texts().flat_map(|(path, text)| files::blanks(path, text)).collect::<Vec<_>>());
}

#[test]
fn every_scenario_tells_its_story() {
    none(&Tree::read().texts().flat_map(|(path, text)| files::story(path, text)).collect::<Vec<_>>());
}

#[test]
fn every_script_stops_at_its_first_error_and_can_be_run() {
    let tree = Tree::read();
    let scripts = tree.texts().flat_map(|(path, text)| files::script(path, text, tree.executable(path)));
    none(&scripts.collect::<Vec<_>>());
}

#[test]
fn pipelines_are_pinned_bounded_and_keep_secrets() {
    let tree = Tree::read();
    let rules = [pipelines::pinned, pipelines::bounded, pipelines::injected, pipelines::secret];
    none(
        &tree
            .texts()
            .flat_map(|(path, text)| rules.iter().flat_map(move |rule| rule(path, text)))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn versions_agree_wherever_they_are_written() {
    let tree = Tree::read();
    let manifest = tree.texts().find(|(path, _)| *path == "Cargo.toml").unwrap().1;
    let version = pipelines::version(manifest);
    none(&pipelines::versions(manifest));
    none(&tree.texts().flat_map(|(path, text)| pipelines::images(path, text, &version)).collect::<Vec<_>>());
}
