//! The JSON Schema of scenario files: that it is committed, that every scenario of the repository satisfies
//! it and is read, and that it refuses what the parser refuses, as far as a schema can say so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use pgdrill_model::scenario::{parse, schema};
use serde_json::Value;

const SCENARIOS: &str = "../../scenarios";

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// Every `.yaml` file below `directory`.
fn scenarios(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(scenarios(&path));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn the_committed_schema_is_the_one_that_the_types_give() {
    let path = Path::new(SCENARIOS).join("scenario.schema.json");
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "scenarios/scenario.schema.json is stale; to refresh it: {}",
        "UPDATE=1 cargo test -p pgdrill-model --test schema"
    );
}

#[test]
fn every_scenario_of_the_repository_is_read_and_satisfies_the_schema() {
    let validator = validator();
    let found = scenarios(Path::new(SCENARIOS));
    assert!(!found.is_empty());
    for path in found {
        let name = path.strip_prefix(SCENARIOS).unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario = parse(name.trim_end_matches(".yaml"), name, &text)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(scenario.sha256.len(), 64);
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let complaints: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
}

/// What is refused for a reason that a schema cannot state, or only in a way that nobody understands: the
/// order of steps, how one value bears on another, and how a value was spelled before YAML made a number of
/// it.
const BEYOND: &[&str] = &[
    "action-latest-pause",
    "action-latest-shutdown",
    "application-misplaced",
    "application-not-started",
    "application-while-lost",
    "archive-command-control",
    "archive-command-placeholder",
    "archive-command-receivewal",
    "archive-command-without-name",
    "archive-command-without-path",
    "archive-pgbackrest-words",
    "archive-restore-receivewal",
    "archive-stops-alone",
    "archive-stops-at-the-end",
    "archive-stops-synchronous",
    "archive-stops-twice",
    "archive-synchronous-command",
    "archive-timeout-fraction",
    "archive-timeout-receivewal",
    "as-written-after-recovery",
    "as-written-no-live-server",
    "as-written-no-mark",
    "as-written-no-server-lost",
    "as-written-other-disaster",
    "as-written-own-archive",
    "as-written-pgbackrest-archive",
    "as-written-plain-backup",
    "as-written-safety-copy",
    "as-written-tablespaces",
    "as-written-twice",
    "as-written-writers",
    "backup-after-disaster",
    "barman-archive",
    "barman-archive-pgbackrest",
    "barman-faults",
    "barman-mixed",
    "barman-recover-other",
    "barman-words",
    "check-all-twice",
    "check-before-recover",
    "check-ledger-without-work",
    "check-twice",
    "compress-plain",
    "compress-plain-long",
    "crash-after-disaster",
    "disaster-after-bad-sql",
    "disaster-not-recovered",
    "disaster-twice",
    "expect-contradiction",
    "expect-no-objective",
    "expect-no-rpo",
    "expect-outage-unbounded",
    "expect-proven-finding",
    "expect-rpo-any",
    "expect-stage-too-early",
    "failover-after-disaster",
    "failover-after-recovery",
    "failover-alone",
    "failover-at-the-end",
    "failover-clock",
    "failover-receivewal",
    "failover-then-standby",
    "failover-twice",
    "failover-under-application",
    "failover-under-work",
    "fault-after-disaster",
    "fault-before-disaster",
    "fault-below-checks",
    "fault-does-not-apply",
    "fault-no-next-backup",
    "fault-of-incremental",
    "given-age-of-nothing",
    "given-and-a-primary",
    "given-and-how-it-is-taken",
    "given-and-steps-of-a-primary",
    "given-drift-uncounted",
    "given-not-first",
    "given-not-recovered",
    "given-restore-command",
    "given-rpo",
    "given-to-baseline",
    "given-twice",
    "given-two-sources-of-wal",
    "given-unpacked-by-tar",
    "incremental-first",
    "low-level-checks",
    "low-level-faults",
    "low-level-mixed",
    "low-level-snapshot-of-another",
    "low-level-words",
    "mark-after-disaster",
    "mark-before-backup",
    "mark-below",
    "mark-twice",
    "mark-unknown-in-mapping",
    "mark-unknown-near",
    "meaning-several",
    "objective-rpo",
    "outage-without-application",
    "pg-dump-behind",
    "pg-dump-checks",
    "pg-dump-compress",
    "pg-dump-fault",
    "pg-dump-fault-of-another",
    "pg-dump-mixed",
    "pg-dump-recover-load",
    "pg-dump-replay",
    "pg-dump-sweep",
    "pg-dump-tablespaces",
    "pg-dump-target",
    "pg-dump-time",
    "pg-dump-twice",
    "pg-dump-words",
    "pg-dump-words-of-another",
    "pgbackrest-checks",
    "pgbackrest-compress",
    "pgbackrest-fault-of-archive",
    "pgbackrest-fault-of-backup",
    "pgbackrest-fault-of-restore",
    "pgbackrest-fault-while-taking",
    "pgbackrest-incr-without-full",
    "pgbackrest-last-good",
    "pgbackrest-mixed",
    "pgbackrest-recover-by-tar",
    "pgbackrest-recover-native",
    "pgbackrest-recover-tar",
    "pgbackrest-type-of-another",
    "pgbackrest-without-full",
    "pgbackrest-words",
    "queries-check-without",
    "queries-impossible",
    "queries-not-asked",
    "queries-nothing-recovered",
    "queries-twice",
    "recover-by-of-mark",
    "recover-by-of-several",
    "recover-copy-of-tar",
    "recover-missing",
    "recover-missing-all",
    "recover-tar-of-incremental",
    "recover-tar-of-plain",
    "recover-too-often",
    "recover-twice",
    "recover-without-backup",
    "recover-without-disaster",
    "rollback-not-last",
    "rpo-without-ledger",
    "rpo-without-ledger-at-last",
    "safety-copy-misplaced",
    "safety-copy-twice",
    "setting-case",
    "setting-name-reserved-directive",
    "setting-of-archive",
    "setting-own",
    "sql-without-server",
    "sweep-before-disaster",
    "sweep-objectives",
    "sweep-repeat-more-than-default",
    "sweep-repeat-more-than-targets",
    "sweep-then-check",
    "sweep-while-the-server-goes-on",
    "sweep-without-backup",
    "syntax-anchor",
    "syntax-merge-key",
    "syntax-tag",
    "tablespace-table-twice",
    "target-exclusive-mark",
    "target-exclusive-name",
    "target-only-exclusive",
    "target-three",
    "target-time-impossible",
    "target-two",
    "target-xid-hex",
    "type-orders-exponent",
    "type-orders-hex",
    "type-orders-leading-zero",
    "unknown-target",
    "version-empty",
    "version-too-old",
    "work-after-recovery",
    "work-behind-twice",
    "work-behind-word",
    "work-for-and-transactions",
    "work-sql-beside",
    "work-stop-after-disaster",
    "work-stop-without-behind",
    "work-transactions-word",
    "work-wal-and-for",
    "work-wal-behind",
];

#[test]
fn the_schema_refuses_what_the_parser_refuses_as_far_as_it_can() {
    let validator = validator();
    let mut accepted = Vec::new();
    for path in scenarios(Path::new("../../fixtures/invalid")) {
        // What is not YAML, or not one document, never gets as far as a schema.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let Ok(value) = serde_saphyr::from_str::<Value>(&text) else {
            continue;
        };
        if validator.is_valid(&value) {
            accepted.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    accepted.sort();
    assert_eq!(accepted, BEYOND, "these mistakes are accepted by the schema");
}

#[test]
fn everything_in_the_schema_is_described() {
    fn walk(value: &Value, path: &str, bare: &mut Vec<String>) {
        let Value::Object(object) = value else { return };
        if let Some(Value::Object(properties)) = object.get("properties") {
            for (name, property) in properties {
                let path = format!("{path}/{name}");
                if property.get("description").is_none_or(|text| text.as_str().unwrap().len() < 10) {
                    bare.push(path.clone());
                }
                walk(property, &path, bare);
            }
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(value) = object.get(inner) {
                walk(value, &format!("{path}/{inner}"), bare);
            }
        }
    }
    let mut bare = Vec::new();
    walk(&schema(), "", &mut bare);
    assert!(bare.is_empty(), "no description: {bare:#?}");
}

#[test]
fn a_step_is_one_object_and_nothing_is_a_choice() {
    let text = schema().to_string();
    for keyword in ["oneOf", "anyOf", "allOf", "$ref"] {
        assert!(!text.contains(keyword), "a validator cannot say what is wrong with a {keyword}");
    }
    let schema = schema();
    let step = schema.pointer("/properties/steps/items").unwrap();
    assert_eq!(step["minProperties"], 1);
    assert_eq!(step["maxProperties"], 1);
    assert_eq!(step["additionalProperties"], false);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
