//! What databases hold beside plain tables: all of it comes back, and where it does not, that is seen.

use rstest::rstest;

use crate::desk::{Cell, Desk, findings, shipped};

const ID: &str = "restore/what-databases-hold";

#[rstest]
#[case::on_the_host(Cell::LOCAL)]
#[case::in_a_container(Cell::in_turn(&[13, 17, 18], ID))]
fn everything_comes_back(#[case] cell: Cell) {
    if !cell.is_there() {
        return;
    }
    Desk::new().drill_in(cell, &shipped(ID)).ends_with(0);
}

#[rstest]
#[case::a_byte_of_a_large_object(
    "SELECT lo_put(4712, 300000, 'X'::bytea)",
    &[("FINGERPRINT_MISMATCH", "bank.pg_catalog.pg_largeobject")]
)]
#[case::a_large_object(
    "SELECT lo_unlink(4711)",
    &[("ROW_COUNT_MISMATCH", "bank.pg_catalog.pg_largeobject"), ("FINGERPRINT_MISMATCH", "bank.pg_catalog.pg_largeobject"),
      ("CATALOG_MISMATCH", "the large objects of postgres"),
    ("QUERY_FAILED", "large object 4711 does not exist")]
)]
#[case::a_row_of_a_partition(
    "DELETE FROM booking WHERE at > '2026-01-01' AND n = 7",
    &[("ROW_COUNT_MISMATCH", "bank.public.booking_2026"), ("FINGERPRINT_MISMATCH", "bank.public.booking_2026")]
)]
#[case::a_partition_that_is_none_any_more(
    "ALTER TABLE booking DETACH PARTITION booking_2026",
    &[("CATALOG_MISMATCH", "booking_2026")]
)]
#[case::an_extension("DROP EXTENSION pgcrypto", &[("CATALOG_MISMATCH", "the extension pgcrypto")])]
#[case::a_policy("DROP POLICY own ON account", &[("CATALOG_MISMATCH", "own")])]
#[case::a_value_of_an_enumeration("ALTER TYPE state ADD VALUE 'frozen'", &[("CATALOG_MISMATCH", "state")])]
#[case::a_materialized_view(
    "UPDATE account SET balance = 1 WHERE balance = 2; REFRESH MATERIALIZED VIEW total",
    &[("FINGERPRINT_MISMATCH", "bank.public.account"), ("FINGERPRINT_MISMATCH", "bank.public.total")]
)]
#[case::a_sequence("SELECT setval('ticket', 4000)", &[("SEQUENCE_BEHIND", "ticket")])]
fn what_does_not_come_back_is_seen(#[case] sql: &str, #[case] expected: &[(&str, &str)]) {
    let desk = Desk::new();
    let recover = "  - recover: { to: latest }\n";
    let text = shipped(ID);
    assert!(text.contains(recover));
    let changed = format!("{recover}  - sql: {{ database: bank, run: {} }}\n", serde_json::json!(sql));
    desk.drill(&text.replace(recover, &changed), &[]).ends_with(1);
    let found = findings(&desk.record());
    for (code, words) in expected {
        assert!(
            found.iter().any(|(of, _, message)| of == code && message.contains(words)),
            "{code} {words}: {found:#?}"
        );
    }
    let known = |of: &str| expected.iter().any(|(code, _)| *code == of);
    assert!(found.iter().all(|(code, ..)| known(code)), "{found:#?}");
}
