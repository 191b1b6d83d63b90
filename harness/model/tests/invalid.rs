//! The words for mistaken scenario files: each file under `fixtures/invalid` has beside it the exact text
//! that its author gets to read. `UPDATE=1 cargo test -p pgdrill-model --test invalid` rewrites them; read
//! what changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use pgdrill_model::scenario::{Mistakes, parse};
use rstest::rstest;

#[rstest]
fn a_mistaken_file_gets_its_words(#[files("../../fixtures/invalid/*.yaml")] path: PathBuf) {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let file = format!("{stem}.yaml");
    let bytes = std::fs::read(&path).unwrap();
    let mistakes = match String::from_utf8(bytes) {
        Ok(text) => {
            parse(stem, &file, &text).expect_err("the file is in fixtures/invalid and has no mistake")
        }
        Err(_) => Mistakes::not_utf8(&file),
    };
    let words = mistakes.to_string();
    let kept = path.with_extension("txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&kept, &words).unwrap();
    }
    let Ok(wanted) = std::fs::read_to_string(&kept) else {
        panic!("{} is missing; run with UPDATE=1 to write it, and read it.\n\n{words}", kept.display());
    };
    assert_eq!(words, wanted, "{file} gets other words; run with UPDATE=1 to accept them");
}

#[test]
fn every_text_belongs_to_a_file() {
    for entry in std::fs::read_dir("../../fixtures/invalid").unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("yaml").exists(), "{} belongs to no scenario", path.display());
    }
}
