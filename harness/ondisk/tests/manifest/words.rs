//! What `pg_verifybackup` 18 says of bad manifests (`src/bin/pg_verifybackup/t/005_bad_manifest.pl`, and what that
//! leaves out), word by word.

use pgdrill_ondisk::manifest::Manifest;
use rstest::rstest;

use crate::{compared, made};

/// What is wrong with a manifest. Where `pg_verifybackup` 18 is at hand, it must say the same.
fn words(manifest: impl AsRef<[u8]>) -> String {
    let manifest = manifest.as_ref();
    let words = Manifest::read(manifest).unwrap_err().to_string();
    for (_, program) in compared::programs().iter().filter(|(major, _)| *major >= 18) {
        assert_eq!(compared::asked(program, manifest), Err(words.clone()));
    }
    words
}

/// A manifest that goes on as given behind its version.
fn with(rest: &str) -> String {
    format!("{{\"PostgreSQL-Backup-Manifest-Version\": 1, {rest}")
}

#[rstest]
#[case::empty("", "The input string ended unexpectedly.")]
#[case::opened("{", "The input string ended unexpectedly.")]
#[case::nothing_in_it("{}", "unexpected object end")]
#[case::list("[]", "unexpected array start")]
#[case::scalar("true", "unexpected scalar")]
#[case::no_version(r#"{"not-expected": 1}"#, "expected version indicator")]
#[case::version_is_a_word(
    r#"{"PostgreSQL-Backup-Manifest-Version": "phooey"}"#,
    "manifest version not an integer"
)]
#[case::version_is_a_list(r#"{"PostgreSQL-Backup-Manifest-Version": []}"#, "unexpected array start")]
#[case::version_unknown(r#"{"PostgreSQL-Backup-Manifest-Version": 9876599}"#, "unexpected manifest version")]
#[case::version_empty(r#"{"PostgreSQL-Backup-Manifest-Version": ""}"#, "unexpected manifest version")]
#[case::only_a_version(r#"{"PostgreSQL-Backup-Manifest-Version": 1}"#, "unexpected object end")]
#[case::list_for_a_manifest(r#"[{"PostgreSQL-Backup-Manifest-Version": 1}]"#, "unexpected array start")]
fn beginnings(#[case] manifest: &str, #[case] what: &str) {
    assert_eq!(words(manifest), format!("could not parse backup manifest: {what}"));
}

#[rstest]
#[case::files_scalar(r#""Files": true}"#, "unexpected scalar")]
#[case::unknown_key(r#""Oops": 1}"#, "unrecognized top-level field")]
#[case::files_object(r#""Files": {}}"#, "unexpected object start")]
#[case::file_scalar(r#""Files": [1]}"#, "unexpected scalar")]
#[case::file_list(r#""Files": [[]]}"#, "unexpected array start")]
#[case::system_identifier(r#""System-Identifier": "abc"}"#, "system identifier in manifest not an integer")]
#[case::no_path(r#""Files": [{}]}"#, "missing path name")]
#[case::two_paths(
    r#""Files": [{"Path": "x", "Encoded-Path": "1234"}]}"#,
    "both path name and encoded path name"
)]
#[case::unknown_file_key(r#""Files": [{"Oops": 1}]}"#, "unexpected file field")]
#[case::no_size(r#""Files": [{"Path": "x"}]}"#, "missing size")]
#[case::size_is_a_word(r#""Files": [{"Path": "x", "Size": "Oops"}]}"#, "file size is not an integer")]
#[case::size_is_nothing(r#""Files": [{"Path": "x", "Size": null}]}"#, "file size is not an integer")]
#[case::size_is_a_fraction(r#""Files": [{"Path": "x", "Size": 1.5}]}"#, "file size is not an integer")]
#[case::size_is_an_object(r#""Files": [{"Path": "x", "Size": {}}]}"#, "unexpected object start")]
#[case::size_is_a_list(r#""Files": [{"Path": "x", "Size": []}]}"#, "unexpected array start")]
#[case::odd_path(r#""Files": [{"Encoded-Path": "123", "Size": 0}]}"#, "could not decode file name")]
#[case::bad_path(r#""Files": [{"Encoded-Path": "0g", "Size": 0}]}"#, "could not decode file name")]
#[case::no_algorithm(
    r#""Files": [{"Path": "x", "Size": 100, "Checksum": "Oops"}]}"#,
    "checksum without algorithm"
)]
#[case::ranges_scalar(r#""WAL-Ranges": true}"#, "unexpected scalar")]
#[case::ranges_object(r#""WAL-Ranges": {}}"#, "unexpected object start")]
#[case::no_timeline(r#""WAL-Ranges": [{}]}"#, "missing timeline")]
#[case::unknown_range_key(r#""WAL-Ranges": [{"Oops": 1}]}"#, "unexpected WAL range field")]
#[case::no_start(r#""WAL-Ranges": [{"Timeline": 1}]}"#, "missing start LSN")]
#[case::no_end(r#""WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/0"}]}"#, "missing end LSN")]
#[case::timeline_is_a_word(
    r#""WAL-Ranges": [{"Timeline": true, "Start-LSN": "0/0", "End-LSN": "0/0"}]}"#,
    "timeline is not an integer"
)]
#[case::bad_start(
    r#""WAL-Ranges": [{"Timeline": 1, "Start-LSN": "oops", "End-LSN": "0/0"}]}"#,
    "could not parse start LSN"
)]
#[case::bad_end(
    r#""WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/0", "End-LSN": "oops"}]}"#,
    "could not parse end LSN"
)]
#[case::after_the_checksum(r#""Manifest-Checksum": "0", "Files": []}"#, "unexpected object field")]
#[case::one_line(r#""Files": [], "Manifest-Checksum": null}"#, "expected at least 2 lines")]
#[case::no_last_newline(
    "\"Files\": [],\n\"Manifest-Checksum\": null}\n ",
    "last line not newline-terminated"
)]
#[case::cut_in_a_string(r#""Files": [{"Path": "base/1/12"#, "Token \"\"base/1/12\" is invalid.")]
#[case::cut_in_a_word(r#""Files": [tru"#, "Token \"tru\" is invalid.")]
#[case::cut_after_a_file(
    "\"Files\": [{\"Path\": \"x\", \"Size\": 1},\n",
    "The input string ended unexpectedly."
)]
#[case::bad_number(r#""Files": [{"Size": 01}]"#, "Token \"01\" is invalid.")]
#[case::number_with_a_tail(r#""Files": [{"Size": 1.e5x}]"#, "Token \"1.e5x\" is invalid.")]
#[case::minus_alone(r#""Files": [{"Size": -}]"#, "Token \"-\" is invalid.")]
#[case::punctuation(r#""Files": ;"#, "Token \";\" is invalid.")]
#[case::zero_byte("\"Files\": \0", "Token \"\" is invalid.")]
#[case::no_colon(r#""Files" []"#, "Expected \":\", but found \"[\".")]
#[case::no_value(r#""Files": }"#, "Expected JSON value, but found \"}\".")]
#[case::no_element(r#""Files": [,"#, "Expected JSON value, but found \",\".")]
#[case::no_comma_in_a_list(
    r#""Files": [{"Path": "x", "Size": 1} {"#,
    "Expected \",\" or \"]\", but found \"{\"."
)]
#[case::no_comma_in_an_object(r#""Files": [] "x""#, "Expected \",\" or \"}\", but found \"\"x\"\".")]
#[case::trailing_comma(r#""Files": [], }"#, "Expected string, but found \"}\".")]
#[case::object_of_numbers(r#""Files": [{1"#, "Expected string or \"}\", but found \"1\".")]
#[case::more_behind("\"Manifest-Checksum\": \"0\"}\n{", "Expected end of input, but found \"{\".")]
#[case::bad_escape(r#""Files": [{"Path": "a\qb""#, "Escape sequence \"\\q\" is invalid.")]
#[case::bad_long_escape(r#""Files": [{"Path": "a\éb""#, "Escape sequence \"\\é\" is invalid.")]
#[case::bad_unicode(r#""Files": [{"Path": "\u12x4""#, r#""\u" must be followed by four hexadecimal digits."#)]
#[case::zero(r#""Files": [{"Path": "\u0000""#, r"\u0000 cannot be converted to text.")]
#[case::two_high(
    r#""Files": [{"Path": "\ud800\ud800""#,
    "Unicode high surrogate must not follow a high surrogate."
)]
#[case::low_alone(r#""Files": [{"Path": "\udc00""#, "Unicode low surrogate must follow a high surrogate.")]
#[case::high_alone(r#""Files": [{"Path": "\ud800""#, "Unicode low surrogate must follow a high surrogate.")]
#[case::high_and_text(
    r#""Files": [{"Path": "\ud800x""#,
    "Unicode low surrogate must follow a high surrogate."
)]
#[case::high_and_escape(
    r#""Files": [{"Path": "\ud800\n""#,
    "Unicode low surrogate must follow a high surrogate."
)]
#[case::control("\"Files\": [{\"Path\": \"a\nb\"", "Character with value 0x0a must be escaped.")]
fn behind_the_version(#[case] rest: &str, #[case] what: &str) {
    assert_eq!(words(with(rest)), format!("could not parse backup manifest: {what}"));
}

#[rstest]
#[case::unknown_algorithm(
    r#""Files": [{"Path": "x", "Size": 100, "Checksum-Algorithm": "Oops", "Checksum": "00"}]}"#,
    r#"unrecognized checksum algorithm: "Oops""#
)]
#[case::odd_checksum(
    r#""Files": [{"Path": "x", "Size": 100, "Checksum-Algorithm": "CRC32C", "Checksum": "0"}]}"#,
    r#"invalid checksum for file "x": "0""#
)]
#[case::checksum_of_words(
    r#""Files": [{"Path": "x", "Size": 100, "Checksum-Algorithm": "NONE", "Checksum": "Oops"}]}"#,
    r#"invalid checksum for file "x": "Oops""#
)]
#[case::duplicate(
    r#""Files": [{"Path": "x", "Size": 1}, {"Path": "y", "Size": 1}, {"Encoded-Path": "78", "Size": 2}]}"#,
    r#"duplicate path name in backup manifest: "x""#
)]
#[case::duplicate_before_another_mistake(
    r#""Files": [{"Path": "x", "Size": 1}, {"Path": "x", "Size": 1}, {}"#,
    r#"duplicate path name in backup manifest: "x""#
)]
#[case::duplicate_up_to_its_zero_byte(
    r#""Files": [{"Encoded-Path": "7800", "Size": 1}, {"Path": "x", "Size": 1}]}"#,
    r#"duplicate path name in backup manifest: "x""#
)]
#[case::own_checksum_null(
    "\"Files\": [],\n\"Manifest-Checksum\": null}\n",
    r#"invalid manifest checksum: "null""#
)]
#[case::own_checksum_short(
    "\"Files\": [],\n\"Manifest-Checksum\": \"00\"}\n",
    r#"invalid manifest checksum: "00""#
)]
fn without_the_prefix(#[case] rest: &str, #[case] what: &str) {
    assert_eq!(words(with(rest)), what);
}

#[test]
fn own_checksum_of_words_or_of_another_text() {
    let bad = "Z".repeat(64);
    let manifest = with(&format!("\"Files\": [],\n\"Manifest-Checksum\": \"{bad}\"}}\n"));
    assert_eq!(words(manifest), format!("invalid manifest checksum: \"{bad}\""));

    let mut manifest = made::sealed(with("\"Files\": [],\n").as_bytes());
    assert!(Manifest::read(&manifest).is_ok());
    let digit = manifest.len() - 4;
    manifest[digit] = if manifest[digit] == b'0' { b'1' } else { b'0' };
    assert_eq!(words(&manifest), "manifest checksum mismatch");
    assert_eq!(
        words(&manifest[..manifest.len() - 1]),
        "could not parse backup manifest: expected at least 2 lines"
    );
}

/// PostgreSQL reads what is larger than 128 kB in pieces, by another parser.
#[rstest]
#[case::no_element(200_000, "[,", "Expected array element or \"]\", but found \",\".")]
#[case::last_line_is_the_last_piece(200_000, "[]}\n", "unexpected object end")]
fn large_manifests(#[case] blanks: usize, #[case] rest: &str, #[case] what: &str) {
    let blanks = " ".repeat(blanks);
    assert_eq!(
        words(with(&format!("{blanks}\"Files\": {rest}"))),
        format!("could not parse backup manifest: {what}")
    );
}

#[test]
fn lines_are_looked_for_in_the_last_piece() {
    let blanks = " ".repeat(200_000);
    let manifest = with(&format!("\"Files\": [],\n\"Manifest-Checksum\": \"{blanks}\"}}\n"));
    assert_eq!(words(manifest), "could not parse backup manifest: expected at least 2 lines");
}

#[test]
fn a_duplicate_is_found_among_many() {
    let files: Vec<String> =
        (0..1000).map(|file| format!("{{\"Path\": \"{}\", \"Size\": 1}}", file % 999)).collect();
    let manifest = with(&format!("\"Files\": [{}]", files.join(",")));
    assert_eq!(words(manifest), "duplicate path name in backup manifest: \"0\"");
}

/// Nothing is nested deeper than a manifest is, so no depth can exhaust the stack.
#[test]
fn depth_is_refused_where_it_begins() {
    let deep = "[".repeat(1 << 20);
    assert_eq!(words(&deep), "could not parse backup manifest: unexpected array start");
    let files = with(&format!("\"Files\": {deep}"));
    assert_eq!(words(files), "could not parse backup manifest: unexpected array start");
}

#[test]
fn a_long_token_is_not_repeated_in_full() {
    let long = "x".repeat(1 << 20);
    let refused = Manifest::read(with(&format!("\"Files\": {long}")).as_bytes()).unwrap_err();
    assert!(refused.to_string().len() < 2000);
}
