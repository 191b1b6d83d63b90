//! The sealed record: a run as JSON that a person can read, with its own hash as the last field. The seal shows
//! that a record was changed or cut since it was written; it does not show by whom it was written.
//!
//! The hash is over the compact JSON of everything but the seal, in the order of the file, so that another tool
//! can check it: `jq -cj 'del(.seal)' FILE | sha256sum`.

use pgdrill_model::redact::Redactor;
use pgdrill_model::run::{Run, SCHEMA};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{json, words};

/// The field that holds the seal.
const SEAL: &str = "seal";

/// Why a file is not a record that can be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON.
    #[error(
        "not a record: it is not JSON ({0}); it may have been cut short, take it from where it was written"
    )]
    NotJson(#[source] serde_json::Error),
    /// It is JSON of another kind.
    #[error("not a record: a record is a JSON object whose field `schema` is \"{SCHEMA}\"")]
    NotARecord,
    /// It is a record of a form that this version does not know.
    #[error(
        "this pgdrill reads records of the form {SCHEMA}, and this one is {schema}; use a pgdrill of its age"
    )]
    OtherVersion {
        /// The form that the record says it has.
        schema: String,
    },
    /// It has no seal.
    #[error(
        "the record has no seal, so nothing says that it is what was written; take it from where it was written"
    )]
    NotSealed,
    /// The seal does not fit the rest.
    #[error(
        "the record was changed after it was sealed: its content has the SHA-256 {found}, and its seal says {sealed}; \
         do not rely on it, take it from where it was written"
    )]
    Tampered {
        /// The hash that the seal holds.
        sealed: String,
        /// The hash of the content.
        found: String,
    },
    /// It is whole, and says something that this version does not know.
    #[error(
        "the record is whole, but this pgdrill cannot read it ({source}); it was written by pgdrill {version}"
    )]
    Unreadable {
        /// The version that wrote it.
        version: String,
        /// What could not be read.
        #[source]
        source: serde_json::Error,
    },
}

/// The run without the secrets that `redactor` knows: what every face should be rendered from.
///
/// # Errors
///
/// When a secret stood where a word of pgdrill's own vocabulary must stand, such as the name of a check.
pub fn redacted(run: &Run, redactor: &Redactor) -> Result<Run, serde_json::Error> {
    let mut value = json::value(run);
    redactor.clean_json(&mut value);
    serde_json::from_value(value)
}

/// The record of a run, without secrets, sealed.
pub fn seal(run: &Run, redactor: &Redactor) -> Vec<u8> {
    let mut value = json::value(run);
    redactor.clean_json(&mut value);
    let sha256 = hash(&value);
    if let Value::Object(fields) = &mut value {
        fields.insert(SEAL.to_owned(), json!({ "algorithm": "sha256", "sha256": sha256 }));
    }
    format!("{value:#}\n").into_bytes()
}

/// Reads a record back, once its form is known and its seal is found whole.
///
/// # Errors
///
/// When it is not a record, of a form that this version does not know, or not what was sealed.
pub fn open(bytes: &[u8]) -> Result<Run, RecordError> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(RecordError::NotJson)?;
    let schema = value.get("schema").and_then(Value::as_str).ok_or(RecordError::NotARecord)?.to_owned();
    if !schema.starts_with("pgdrill.run/") {
        return Err(RecordError::NotARecord);
    }
    // A later form of the same major version only adds fields, and those are passed over.
    if schema != SCHEMA && !schema.starts_with(&format!("{SCHEMA}.")) {
        return Err(RecordError::OtherVersion { schema });
    }
    let seal =
        value.as_object_mut().and_then(|fields| fields.shift_remove(SEAL)).ok_or(RecordError::NotSealed)?;
    let sealed = seal.get("sha256").and_then(Value::as_str).ok_or(RecordError::NotSealed)?.to_owned();
    let found = hash(&value);
    if sealed != found {
        return Err(RecordError::Tampered { sealed, found });
    }
    let version = value.get("version").and_then(Value::as_str).unwrap_or("of an unknown version").to_owned();
    serde_json::from_value(value).map_err(|source| RecordError::Unreadable { version, source })
}

/// The name of a run's record: sorts by time, and tells what was drilled without opening it.
pub fn file_name(run: &Run) -> String {
    let began = words::strftime(run.started_unix_us, "%Y%m%dT%H%M%SZ");
    let header = &run.header;
    format!("{began}-{}-pg{}-{}.json", plain(&header.scenario), header.postgres, plain(&header.id))
}

/// Only what every file system and shell takes as it is.
fn plain(text: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }
    };
    text.chars().map(kept).collect()
}

fn hash(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    hex::encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_testkit::sample;
    use rstest::rstest;

    fn sealed(run: &Run) -> Value {
        serde_json::from_slice(&seal(run, &Redactor::default())).unwrap()
    }

    /// A record whose content was changed by somebody who also made a new seal.
    fn resealed(mut value: Value) -> Vec<u8> {
        value.as_object_mut().unwrap().shift_remove(SEAL);
        let sha256 = hash(&value);
        value[SEAL] = json!({ "algorithm": "sha256", "sha256": sha256 });
        value.to_string().into_bytes()
    }

    #[test]
    fn what_was_sealed_is_what_is_opened() {
        for (name, run) in sample::all() {
            let bytes = seal(&run, &Redactor::default());
            assert!(bytes.ends_with(b"}\n"));
            assert_eq!(open(&bytes).unwrap(), run, "{name}");
        }
        let hostile = sample::hostile();
        assert_eq!(open(&seal(&hostile, &Redactor::default())).unwrap(), hostile);
    }

    proptest::proptest! {
        /// A share of a disk that is used is no whole number; it must be read as the number that was written. That the product
        /// itself does so, and not only tests, is for the tidy test.
        #[test]
        fn a_number_with_a_fraction_does_not_break_the_seal(used in 0.0_f64..1.0) {
            let mut value = sealed(&sample::proven());
            value["used"] = json!(used);
            open(&resealed(value)).unwrap();
        }
    }

    #[test]
    fn the_record_begins_with_its_form_and_ends_with_its_seal() {
        let record = sealed(&sample::proven());
        let fields: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!((fields[0].as_str(), fields[fields.len() - 1].as_str()), ("schema", SEAL));
    }

    #[test]
    fn no_field_can_be_changed_removed_or_added() {
        let record = sealed(&sample::disproven());
        for field in record.as_object().unwrap().keys().filter(|field| *field != SEAL && *field != "schema") {
            let mut changed = record.clone();
            changed[field] = json!("something else");
            let mut removed = record.clone();
            removed.as_object_mut().unwrap().shift_remove(field);
            let mut added = record.clone();
            added[format!("{field}_2")] = json!(1);
            for value in [changed, removed, added] {
                let error = open(value.to_string().as_bytes()).unwrap_err();
                assert!(matches!(error, RecordError::Tampered { .. }), "{field}: {error}");
                assert!(error.to_string().starts_with("the record was changed after it was sealed"));
            }
        }
    }

    #[test]
    fn white_space_is_not_content() {
        let run = sample::proven();
        assert_eq!(open(sealed(&run).to_string().as_bytes()).unwrap(), run);
    }

    #[rstest]
    #[case("", "not a record: it is not JSON")]
    #[case("[1]", "not a record: a record is a JSON object")]
    #[case(r#"{"schema": "pgdrill.report/1"}"#, "not a record: a record is a JSON object")]
    #[case(
        r#"{"schema": "pgdrill.run/2"}"#,
        "this pgdrill reads records of the form pgdrill.run/1, and this one is"
    )]
    #[case(
        r#"{"schema": "pgdrill.run/10"}"#,
        "this pgdrill reads records of the form pgdrill.run/1, and this one is"
    )]
    #[case(r#"{"schema": "pgdrill.run/1"}"#, "the record has no seal")]
    #[case(r#"{"schema": "pgdrill.run/1", "seal": {}}"#, "the record has no seal")]
    fn what_is_no_record_is_refused_in_clear_words(#[case] text: &str, #[case] begins: &str) {
        let error = open(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{error}");
    }

    #[test]
    fn a_record_that_was_cut_short_is_refused() {
        let bytes = seal(&sample::proven(), &Redactor::default());
        assert!(matches!(open(&bytes[..bytes.len() / 2]), Err(RecordError::NotJson(_))));
    }

    #[test]
    fn a_later_minor_form_is_read_and_its_new_fields_are_passed_over() {
        let mut value = sealed(&sample::proven());
        value["schema"] = json!("pgdrill.run/1.4");
        value["moon"] = json!({ "phase": "full" });
        let run = open(&resealed(value)).unwrap();
        assert_eq!(run.verdict, sample::proven().verdict);
    }

    #[test]
    fn a_word_that_is_not_known_is_told_with_the_version_that_knows_it() {
        let mut value = sealed(&sample::proven());
        value["version"] = json!("7.0.0");
        value["verdict"] = json!("perhaps");
        let error = open(&resealed(value)).unwrap_err().to_string();
        assert!(error.contains("perhaps") && error.ends_with("written by pgdrill 7.0.0"), "{error}");
    }

    #[test]
    fn secrets_are_in_no_record() {
        let mut run = sample::disproven();
        run.findings[0].message = "could not connect with hunter2-xyz".to_owned();
        let redactor = Redactor::for_environment([("PGPASSWORD".to_owned(), "hunter2-xyz".to_owned())]);
        let bytes = seal(&run, &redactor);
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
        let opened = open(&bytes).unwrap();
        assert_eq!(opened.findings[0].message, "could not connect with [redacted]");
        assert_eq!(redacted(&run, &redactor).unwrap(), opened);
    }

    #[test]
    fn a_file_name_sorts_by_time_and_is_one_name() {
        assert_eq!(
            file_name(&sample::proven()),
            "20261122T191500Z-smoke-restore-tar-gzip-pg15-m8k2q7x4.json"
        );
        let hostile = file_name(&sample::hostile());
        assert!(hostile.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{hostile}");
    }
}
