//! Drills that must be proven: every way of taking and unpacking a backup that there is.

use pgdrill_model::check::Check;
use rstest::rstest;

use crate::desk::{Desk, findings};

/// A small drill with changes that are only in the archived WAL.
fn drill(backup: &str, recover: &str) -> String {
    format!(
        "title: a small drill
data: {{ orders: 2_500 }}
steps:
  - backup: {backup}
  - sql: UPDATE \"Order\" SET \"fee\" = \"fee\" + 0.01 WHERE \"id\" % 7 = 0
  - switch-wal
  - disaster: lose-primary
  - recover: {recover}
  - check: all
objectives: {{ rto: 10m }}
"
    )
}

#[rstest]
#[case::tar_gzip("{ format: tar, compress: gzip }", "{ by: tar }")]
#[case::tar("{ format: tar, compress: none }", "{}")]
#[case::plain("{ format: plain }", "{ by: copy }")]
#[case::native_tar_gzip("{ format: tar, compress: gzip }", "{ by: native }")]
#[case::native_tar_fetched("{ format: tar, compress: none, wal: fetch }", "{ by: native }")]
#[case::native_plain_without_wal("{ format: plain, wal: none }", "{ by: native }")]
fn every_form_of_backup_comes_back_whole(#[case] backup: &str, #[case] recover: &str) {
    let desk = Desk::new();
    let done = desk.drill(&drill(backup, recover), &[]);
    done.ends_with(0);
    let record = desk.record();
    assert_eq!(record["verdict"], "proven");
    assert_eq!(findings(&record), []);
    let checks = record["checks"].as_array().unwrap();
    assert_eq!(checks.len(), Check::all_of(false).len());
    assert!(checks.iter().all(|check| check["status"] == "held" && check["examined"].as_u64() > Some(0)));
    let rto = record["recoveries"][0]["rto_us"].as_u64().unwrap();
    let phases = record["recoveries"][0]["phases"].as_array().unwrap();
    // Each phase is cut to whole microseconds, so together they may lack a few.
    let together: u64 = phases.iter().map(|phase| phase["took_us"].as_u64().unwrap()).sum();
    assert!(rto - together <= phases.len() as u64, "{together} of {rto}");
    assert_eq!(record["recoveries"][0]["timeline"], 2);
    assert_eq!(record["recoveries"][0]["quarantine"]["archive_mode"], "off");
}

/// The data, and so the fingerprints, are frozen: the same for this seed on every machine and every version.
#[test]
fn seed_42_gives_the_same_fingerprints_for_ever() {
    let desk = Desk::new();
    desk.drill(
        "title: t\ndata: { orders: 2_500 }\nsteps:\n  - backup\n  - disaster: kill\n  - recover\n  - check: { fingerprints: all }\n",
        &[],
    )
    .ends_with(0);
    let record = desk.record();
    assert_eq!(record["load"]["sha256"], "4747f8e3ee310120bb3c42ab895d77004fed105325c49ac3d2817bf3a78a70bb");
    let content = &record["baseline"]["content"];
    let expected = [
        ("AuditLog", "392787229512545425439:-26094716111853023019"),
        ("Order", "247080920301697050376:375004877016141469641"),
        ("Position", "31880591118736213086:152552400975442859402"),
        ("Strategy", "20740661917641355082:-13258596339830735172"),
        ("User", "11170274329852510987:-2610669501655748680"),
    ];
    for (table, fingerprint) in expected {
        assert_eq!(content[format!("trading.public.{table}")]["fingerprint"], fingerprint, "{table}");
    }
}

#[test]
fn a_drill_of_few_checks_says_what_it_is_proven_for() {
    let desk = Desk::new();
    let done = desk.drill(
        "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: { row-counts: all }\n",
        &[],
    );
    done.ends_with(0);
    assert!(done.stdout.contains("proven for: row-counts"), "{}", done.stdout);
    let record = desk.record();
    let not_tested = record["not_tested"].as_array().unwrap();
    assert!(
        not_tested.iter().any(|line| line.as_str().unwrap().starts_with("fingerprints:")),
        "{not_tested:?}"
    );
}
