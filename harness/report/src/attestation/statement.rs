//! What is signed: an in-toto Statement v1 about the records of a directory, with the predicate `test-result` v0.1.
//!
//! Of in-toto's predicates this is the one that says what drills say: which tests passed, and by which configuration. A test is a
//! line of the history (a scenario on a major, a runtime and a class of machine), its result that of its newest drill; the
//! configuration is the scenario files. in-toto expects what was tested as subjects. A restore is no file; so the subjects are the
//! evidence: the chain as it was when it was signed, and each record. `pgdrill` in the predicate, an extension field, says what
//! the predicate has no words for.

use std::collections::{BTreeMap, BTreeSet};

use pgdrill_model::history::Kind;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::CHAIN;
use crate::words;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// What a statement needs to know of a record.
#[derive(Clone, Debug)]
pub struct Drill {
    /// The name of its file.
    pub name: String,
    /// The SHA-256 of its file.
    pub sha256: String,
    kind: Kind,
    scenario_sha256: String,
    verdict: Verdict,
    started_unix_us: i64,
    ended_unix_us: i64,
}

impl Drill {
    /// Of the run in a file.
    pub fn of(name: String, sha256: String, run: &Run) -> Self {
        Self {
            name,
            sha256,
            kind: Kind::of(run),
            scenario_sha256: run.header.scenario_sha256.clone(),
            verdict: run.verdict,
            started_unix_us: run.started_unix_us,
            ended_unix_us: run.started_unix_us.saturating_add_unsigned(run.took_us),
        }
    }
}

/// The result of all tests together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// The newest drill of each line is proven.
    Passed,
    /// None is disproven, and one could not verify.
    Warned,
    /// One is disproven.
    Failed,
}

impl Outcome {
    fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Proven => Self::Passed,
            Verdict::Unverified => Self::Warned,
            Verdict::Disproven => Self::Failed,
        }
    }

    /// As in a statement.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Warned => "WARNED",
            Self::Failed => "FAILED",
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    pub subject: Vec<Descriptor>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    pub predicate: Predicate,
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Descriptor {
    pub name: String,
    pub digest: Digest,
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digest {
    pub sha256: String,
}

impl Descriptor {
    fn new(name: &str, sha256: &str) -> Self {
        Self { name: name.to_owned(), digest: Digest { sha256: sha256.to_owned() } }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate {
    pub result: Outcome,
    configuration: Vec<Descriptor>,
    passed_tests: Vec<String>,
    warned_tests: Vec<String>,
    failed_tests: Vec<String>,
    pub pgdrill: Extension,
}

/// What is ours.
#[derive(Serialize, Deserialize)]
pub(super) struct Extension {
    version: String,
    pub signed_at: String,
    pub chain: Chain,
    newest: Vec<Newest>,
}

/// The chain as it was signed.
#[derive(Serialize, Deserialize)]
pub(super) struct Chain {
    pub records: u64,
    pub head: String,
}

/// The newest drill of a line.
#[derive(Serialize, Deserialize)]
struct Newest {
    test: String,
    verdict: Verdict,
    ended_at: String,
    record: String,
}

fn instant(unix_us: i64) -> String {
    words::strftime(unix_us, "%Y-%m-%dT%H:%M:%SZ")
}

/// The statement about the records of a chain, as what is signed; and the result that it says.
///
/// # Errors
///
/// When it cannot become JSON, which it always can.
pub fn statement(
    chain: &[u8],
    head: &str,
    drills: &[Drill],
    version: &str,
    now_unix_us: i64,
) -> Result<(Vec<u8>, Outcome), serde_json::Error> {
    let mut newest: BTreeMap<&Kind, &Drill> = BTreeMap::new();
    for drill in drills {
        let known = newest.entry(&drill.kind).or_insert(drill);
        if (known.started_unix_us, &known.name) < (drill.started_unix_us, &drill.name) {
            *known = drill;
        }
    }
    let tests = |of: Outcome| {
        let with = newest.iter().filter(|(_, drill)| Outcome::of(drill.verdict) == of);
        with.map(|(kind, _)| test(kind)).collect::<Vec<_>>()
    };
    let result = newest.values().map(|drill| Outcome::of(drill.verdict)).max().unwrap_or(Outcome::Warned);
    let configuration: BTreeSet<Descriptor> =
        newest.values().map(|drill| Descriptor::new(&drill.kind.scenario, &drill.scenario_sha256)).collect();
    let of_the_chain = Descriptor::new(CHAIN, &hex::encode(Sha256::digest(chain)));
    let of_records = drills.iter().map(|drill| Descriptor::new(&drill.name, &drill.sha256));
    let statement = Statement {
        kind: STATEMENT.to_owned(),
        subject: [of_the_chain].into_iter().chain(of_records).collect(),
        predicate_type: TEST_RESULT.to_owned(),
        predicate: Predicate {
            result,
            configuration: configuration.into_iter().collect(),
            passed_tests: tests(Outcome::Passed),
            warned_tests: tests(Outcome::Warned),
            failed_tests: tests(Outcome::Failed),
            pgdrill: Extension {
                version: version.to_owned(),
                signed_at: instant(now_unix_us),
                chain: Chain { records: drills.len() as u64, head: head.to_owned() },
                newest: newest
                    .iter()
                    .map(|(kind, drill)| Newest {
                        test: test(kind),
                        verdict: drill.verdict,
                        ended_at: instant(drill.ended_unix_us),
                        record: drill.name.clone(),
                    })
                    .collect(),
            },
        },
    };
    Ok((serde_json::to_vec(&statement)?, result))
}

/// The name of a line: `smoke/restore-plain on 15 local, linux x86_64, 2 CPUs`.
fn test(kind: &Kind) -> String {
    format!("{} on {} {}, {}", kind.scenario, kind.postgres, kind.runtime, kind.machine)
}

impl Statement {
    /// Reads what was signed; none where it is not about evidence. Fields that are not known are passed over, as in-toto wants.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let statement: Self = serde_json::from_slice(payload).ok()?;
        let ours = statement.kind == STATEMENT && statement.predicate_type == TEST_RESULT;
        (ours && statement.subject.first().is_some_and(|first| first.name == CHAIN)).then_some(statement)
    }

    /// The records that it is about.
    pub fn records(&self) -> &[Descriptor] {
        self.subject.get(1..).unwrap_or_default()
    }

    /// The SHA-256 of the chain that it is about.
    pub fn chain_sha256(&self) -> Option<&str> {
        self.subject.first().map(|first| first.digest.sha256.as_str())
    }
}

#[cfg(test)]
mod tests {
    use pgdrill_testkit::sample;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn drill(name: &str, run: &Run) -> Drill {
        Drill::of(name.to_owned(), format!("sha of {name}"), run)
    }

    fn said(drills: &[Drill]) -> Value {
        let (bytes, _) = statement(b"the chain", "the head", drills, "1.2.3", 1_795_374_900_000_000).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_statement_is_of_the_form_of_in_toto_and_names_every_file() {
        let run = sample::proven();
        let said = said(&[drill("a.json", &run), drill("b.json", &run)]);
        assert_eq!(said["_type"], STATEMENT);
        assert_eq!(said["predicateType"], TEST_RESULT);
        let subject = said["subject"].as_array().unwrap();
        let names: Vec<_> = subject.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, [CHAIN, "a.json", "b.json"]);
        assert_eq!(subject[0]["digest"]["sha256"], hex::encode(Sha256::digest("the chain")));
        assert_eq!(subject[2]["digest"]["sha256"], "sha of b.json");
        let predicate = &said["predicate"];
        assert_eq!(predicate["result"], "PASSED");
        assert_eq!(predicate["configuration"].as_array().unwrap().len(), 1);
        assert_eq!(predicate["configuration"][0]["name"], run.header.scenario.as_str());
        assert_eq!(predicate["configuration"][0]["digest"]["sha256"], run.header.scenario_sha256.as_str());
        let tests = predicate["passedTests"].as_array().unwrap();
        let test = tests[0].as_str().unwrap();
        assert!(tests.len() == 1 && test.starts_with("smoke/restore-tar-gzip on 15 "), "{test}");
        assert_eq!(
            (&predicate["warnedTests"], &predicate["failedTests"]),
            (&Value::Array(vec![]), &Value::Array(vec![]))
        );
        let ours = &predicate["pgdrill"];
        assert_eq!((&ours["version"], &ours["signed_at"]), (&"1.2.3".into(), &"2026-11-22T19:15:00Z".into()));
        assert_eq!((&ours["chain"]["records"], &ours["chain"]["head"]), (&2.into(), &"the head".into()));
        assert_eq!(
            (&ours["newest"][0]["record"], &ours["newest"][0]["verdict"]),
            (&"b.json".into(), &"proven".into())
        );
    }

    #[rstest]
    #[case(&[Verdict::Proven, Verdict::Proven], "PASSED", [2, 0, 0])]
    #[case(&[Verdict::Proven, Verdict::Unverified], "WARNED", [1, 1, 0])]
    #[case(&[Verdict::Disproven, Verdict::Unverified], "FAILED", [0, 1, 1])]
    fn the_worst_of_the_lines_is_the_result(
        #[case] verdicts: &[Verdict],
        #[case] result: &str,
        #[case] counts: [usize; 3],
    ) {
        let drills: Vec<Drill> = verdicts
            .iter()
            .enumerate()
            .map(|(number, verdict)| {
                let mut run = sample::proven();
                run.header.scenario = format!("s/{number}");
                run.verdict = *verdict;
                drill(&format!("{number}.json"), &run)
            })
            .collect();
        let said = said(&drills);
        let predicate = &said["predicate"];
        let count = |key: &str| predicate[key].as_array().unwrap().len();
        assert_eq!(predicate["result"], result);
        assert_eq!(["passedTests", "warnedTests", "failedTests"].map(count), counts);
    }

    #[test]
    fn what_was_mended_since_is_not_held_against_anybody() {
        let (mut old, new) = (sample::proven(), sample::proven());
        old.verdict = Verdict::Disproven;
        old.started_unix_us -= 1;
        // Whatever the order in the chain.
        for drills in [[drill("a", &old), drill("b", &new)], [drill("b", &new), drill("a", &old)]] {
            let said = said(&drills);
            assert_eq!(said["predicate"]["result"], "PASSED");
            assert_eq!(said["predicate"]["pgdrill"]["newest"].as_array().unwrap().len(), 1);
            assert_eq!(said["predicate"]["pgdrill"]["newest"][0]["record"], "b");
        }
    }

    #[test]
    fn only_a_statement_about_evidence_is_read() {
        let whole = said(&[drill("a.json", &sample::proven())]);
        let read = |value: &Value| Statement::read(value.to_string().as_bytes());
        let statement = read(&whole).unwrap();
        assert_eq!((statement.records().len(), statement.predicate.result), (1, Outcome::Passed));
        let mut more = whole.clone();
        more["predicate"]["url"] = "https://example.com".into();
        assert!(read(&more).is_some(), "a field of a later version");
        let edits: [fn(&mut Value); 5] = [
            |it| it["_type"] = "https://in-toto.io/Statement/v0.1".into(),
            |it| it["predicateType"] = "https://slsa.dev/provenance/v1".into(),
            |it| it["predicate"]["pgdrill"] = Value::Null,
            |it| it["subject"] = Value::Array(vec![]),
            |it| it["subject"][0]["name"] = "a.tar".into(),
        ];
        for edit in edits {
            let mut other = whole.clone();
            edit(&mut other);
            assert!(read(&other).is_none(), "{other}");
        }
        assert!(Statement::read(b"hello").is_none());
    }
}
