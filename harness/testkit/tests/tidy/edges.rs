//! Which crate may depend on which: everything points down, and what comes from outside stays behind one door.

use crate::Problem;

/// Each crate with those of ours that it may depend on. The command line wires everything together, and benches
/// measure everything; nobody depends on them.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ondisk", &[]),
    ("ledger", &[]),
    ("backup", &["model", "ondisk"]),
    ("repository", &["model", "ondisk", "backup"]),
    ("fetch", &["model"]),
    ("engine", &["model", "ondisk", "ledger", "backup", "repository"]),
    ("runtime", &["model"]),
    ("report", &["model"]),
    (
        "cli",
        &["model", "ondisk", "backup", "repository", "fetch", "engine", "runtime", "report", "trading-app"],
    ),
    ("testkit", &["model"]),
    ("trading-app", &[]),
    ("fuzz", &["model", "ondisk", "backup", "repository"]),
    ("fuzz/libfuzzer", &["fuzz"]),
    ("benches", &["model", "ondisk", "ledger", "backup", "engine", "runtime", "report"]),
];

/// What the tests of a crate may lean on beside that: those of the engine play whole drills, on a real runtime, to the
/// sealed record.
const FOR_TESTS: &[(&str, &[&str])] = &[("engine", &["runtime", "report"])];

/// Crates of others, with those of ours that may name them, in tests too.
const CONFINED: &[(&[&str], &[&str])] = &[
    (&["testcontainers", "bollard"], &["runtime"]),
    (&["tokio-postgres"], &["engine", "trading-app"]),
    (&["rustls", "rustls-native-certs"], &["engine", "fetch"]),
    (&["tokio-rustls"], &["engine"]),
    (&["object_store", "reqwest", "md-5"], &["fetch"]),
    (&["hyper", "hyper-util", "http-body-util"], &["engine", "trading-app"]),
    (&["axum"], &["trading-app"]),
    (&["clap", "clap_complete", "clap_mangen", "indicatif", "anstream", "anstyle"], &["cli"]),
    (&["anyhow", "tracing-subscriber", "assert_cmd"], &["cli"]),
    (&["quick-junit", "comfy-table", "maud", "unicode-width"], &["report"]),
    (&["ed25519-dalek"], &["report"]),
    (&["base64"], &["report", "fetch"]),
    (&["serde-saphyr", "schemars", "humantime"], &["model"]),
    (&["strsim"], &["model", "repository"]),
    (&["rand", "rand_chacha"], &["engine", "benches"]),
    (
        &["tokio", "tokio-util", "async-trait"],
        &["model", "fetch", "engine", "runtime", "cli", "testkit", "trading-app", "benches"],
    ),
    (&["tracing"], &["engine", "runtime", "cli"]),
    (&["statrs"], &["model"]),
    (&["criterion"], &["benches"]),
];

/// What must not even be wished for, although [`CONFINED`] would let the crate in.
const REFUSED: &[(&str, &str)] = &[("model", "tokio"), ("model", "tokio-util")];

/// Features without which the product is wrong. A library that only tests have may turn one on for them, so no other test would
/// notice that it is missing: `jsonschema` does so with the first.
const NEEDED: &[(&str, &str)] = &[("serde_json", "float_roundtrip"), ("serde_json", "preserve_order")];

/// The name by which the tables know the crate of a manifest: its directory.
fn crate_of(path: &str) -> &str {
    let directory = path.trim_end_matches("/Cargo.toml");
    let below = ["harness/", "fixtures/"].iter().find_map(|top| directory.strip_prefix(top));
    below.unwrap_or(directory)
}

/// The crate of ours that a dependency is.
fn ours(dependency: &str) -> Option<&str> {
    if dependency == "pgdrill" { Some("cli") } else { dependency.strip_prefix("pgdrill-") }
}

/// Every dependency of a manifest, and whether only tests have it.
fn dependencies(text: &str) -> Vec<(String, bool)> {
    fn of(table: &toml::Table, found: &mut Vec<(String, bool)>) {
        for (kind, for_tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let names =
                table.get(kind).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
            found.extend(names.map(|name| (name.clone(), for_tests)));
        }
    }
    let manifest: toml::Table = text.parse().unwrap();
    let mut found = Vec::new();
    of(&manifest, &mut found);
    for (_, target) in manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten() {
        target.as_table().into_iter().for_each(|table| of(table, &mut found));
    }
    found
}

/// Edges between our crates that point sideways or up.
pub fn inward(path: &str, text: &str) -> Vec<Problem> {
    let from = crate_of(path);
    let allowed = EDGES.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| allowed);
    let leaned_on = FOR_TESTS.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| allowed);
    dependencies(text)
        .iter()
        .filter_map(|(dependency, for_tests)| Some((ours(dependency)?, *for_tests)))
        .filter(|(to, _)| !allowed.contains(to))
        .filter(|(to, for_tests)| !(*for_tests && leaned_on.contains(to)))
        // Tests may lean on the test kit, and the test kit's own tests on anything.
        .filter(|(to, for_tests)| !(*for_tests && (*to == "testkit" || from == "testkit")))
        .map(|(to, _)| format!("{path}: {from} must not depend on {to}; move what it needs down, or ask the other way"))
        .collect()
}

/// Crates of others where they must not be.
pub fn outward(path: &str, text: &str) -> Vec<Problem> {
    let from = crate_of(path);
    let mut problems = Vec::new();
    for (dependency, _) in dependencies(text) {
        let confined = CONFINED.iter().find(|(names, _)| names.contains(&dependency.as_str()));
        if let Some((_, homes)) = confined
            && (!homes.contains(&from) || REFUSED.contains(&(from, dependency.as_str())))
        {
            problems.push(format!("{path}: {dependency} is confined to {}", homes.join(", ")));
        }
    }
    problems
}

/// Features that the workspace does not ask for.
pub fn features(text: &str) -> Vec<Problem> {
    let manifest: toml::Table = text.parse().unwrap();
    let asks = |name: &str, feature: &str| {
        let asked = manifest.get("workspace")?.get("dependencies")?.get(name)?.get("features")?;
        asked.as_array()?.iter().any(|asked| asked.as_str() == Some(feature)).then_some(())
    };
    let missing = NEEDED.iter().filter(|(name, feature)| asks(name, feature).is_none());
    missing.map(|(name, feature)| format!("Cargo.toml: {name} needs its feature {feature}")).collect()
}

/// Crates that the table of edges does not know, and rows of it that no crate has.
pub fn table(manifests: &[&str]) -> Vec<Problem> {
    let crates: Vec<&str> = manifests.iter().map(|path| crate_of(path)).collect();
    let unknown = crates.iter().filter(|name| !EDGES.iter().any(|(known, _)| known == *name));
    let gone = EDGES.iter().map(|(name, _)| name).filter(|name| !crates.contains(name));
    unknown
        .map(|name| format!("{name}: a new crate needs a row in the table of edges"))
        .chain(gone.map(|name| format!("{name}: this row of the table of edges has no crate")))
        .collect()
}

#[test]
fn an_upward_and_a_sideways_edge_are_seen() {
    let upward = "[dependencies]\npgdrill-model.workspace = true\npgdrill-engine.workspace = true\n";
    assert_eq!(inward("harness/backup/Cargo.toml", upward).len(), 1);
    let sideways = "[target.'cfg(unix)'.dependencies]\npgdrill-runtime = { path = \"../runtime\" }\n";
    assert_eq!(inward("harness/report/Cargo.toml", sideways).len(), 1);
    let of_tests = "[dev-dependencies]\npgdrill-testkit.workspace = true\npgdrill-runtime.workspace = true\n";
    assert_eq!(inward("harness/engine/Cargo.toml", of_tests).len(), 0);
    assert_eq!(inward("harness/engine/Cargo.toml", &of_tests.replace("dev-", "")).len(), 2);
    assert_eq!(inward("harness/report/Cargo.toml", of_tests).len(), 1);
    assert_eq!(inward("harness/testkit/Cargo.toml", of_tests).len(), 0);
    assert_eq!(inward("harness/engine/Cargo.toml", "[dependencies]\npgdrill-testkit = '*'\n").len(), 1);
    assert_eq!(inward("harness/runtime/Cargo.toml", "[dependencies]\npgdrill = '*'\n").len(), 1);
    let of_a_fixture = "[dependencies]\npgdrill-trading-app.workspace = true\n";
    assert_eq!(inward("harness/engine/Cargo.toml", of_a_fixture).len(), 1);
    assert_eq!(inward("harness/cli/Cargo.toml", of_a_fixture).len(), 0);
    assert_eq!(inward("fixtures/trading-app/Cargo.toml", upward).len(), 2);
}

#[test]
fn a_confined_crate_elsewhere_is_seen() {
    assert_eq!(outward("harness/cli/Cargo.toml", "[dependencies]\nbollard = '*'\n").len(), 1);
    assert_eq!(outward("harness/model/Cargo.toml", "[dependencies]\ntokio = '*'\n").len(), 1);
    assert_eq!(outward("harness/report/Cargo.toml", "[dev-dependencies]\ntokio = '*'\n").len(), 1);
    assert_eq!(outward("harness/runtime/Cargo.toml", "[dependencies]\nbollard = '*'\n").len(), 0);
    assert_eq!(outward("fixtures/trading-app/Cargo.toml", "[dependencies]\naxum = '*'\n").len(), 0);
    assert_eq!(outward("harness/engine/Cargo.toml", "[dependencies]\naxum = '*'\n").len(), 1);
}

#[test]
fn a_feature_that_only_tests_have_is_seen() {
    let with = |features: &str| {
        format!("[workspace.dependencies]\nserde_json = {{ version = '1', features = [{features}] }}\n")
    };
    assert_eq!(features(&with("'preserve_order', 'float_roundtrip'")), Vec::<Problem>::new());
    assert_eq!(features(&with("'preserve_order'")).len(), 1);
    assert_eq!(features("[workspace.dependencies]\nserde_json = '1'\n").len(), 2);
}

#[test]
fn a_crate_without_a_row_and_a_row_without_a_crate_are_seen() {
    let all: Vec<String> = EDGES.iter().map(|(name, _)| format!("harness/{name}/Cargo.toml")).collect();
    let mut paths: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(table(&paths), Vec::<Problem>::new());
    paths[0] = "harness/moon/Cargo.toml";
    assert_eq!(table(&paths).len(), 2);
}
