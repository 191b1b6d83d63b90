//! Drills in containers: the same scenarios, the same verdicts, and what is said when containers cannot be had.

use std::path::Path;

use pgdrill_testkit::docker;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Cell, Desk, Done, findings};

const DRILL: &str =
    "title: t\ndata: { orders: 10 }\nsteps:\n  - backup\n  - disaster: lose-primary\n  - recover\n";

const MAJORS: [u16; 4] = [13, 15, 17, 18];

#[test]
fn the_smoke_drills_are_proven_on_every_major_and_told_in_one_table() {
    if !docker::required_or_skip(&MAJORS) {
        return;
    }
    let desk = Desk::new();
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/smoke");
    let arguments = ["--runtime", "docker", "--postgres", "13,15,17,18", "--json", "runs.json"];
    let done = desk.pgdrill(&[&["run", smoke.to_str().unwrap()], arguments.as_slice()].concat());
    done.ends_with(0);
    desk.assert_clean();
    assert_eq!(done.stdout.lines().last(), Some("8 drills: 8 proven"));
    let object: Value = serde_json::from_slice(&std::fs::read(desk.path("runs.json")).unwrap()).unwrap();
    let mut majors = Vec::new();
    for run in object["runs"].as_array().unwrap() {
        let major = run["postgres"].as_u64().unwrap();
        majors.push(major);
        assert_eq!((&run["runtime"], &findings(run)), (&"docker".into(), &vec![]));
        for place in run["places"].as_array().unwrap() {
            let facts = &place[1];
            assert_eq!(facts["image"], format!("pgdrill/postgres:{major}"));
            assert!(facts["image_digest"].as_str().unwrap().starts_with("sha256:"), "{facts}");
            assert!(facts["postgres"].as_str().unwrap().contains(&format!(" {major}.")), "{facts}");
            assert_eq!(facts["shared"], Value::Array(Vec::new()), "nothing of the host is shared");
        }
    }
    majors.sort_unstable();
    assert_eq!(majors, [13, 13, 15, 15, 17, 17, 18, 18]);
}

/// What a container cannot do is not the backup's fault, and is said with what to do about it.
#[rstest]
#[case::no_image(&["--image", "nobody/has-this:{major}", "--postgres", "15"], "IMAGE_MISSING", "nobody/has-this:15")]
#[case::another_major(&["--image", "pgdrill/postgres:15", "--postgres", "17"], "IMAGE_UNSUITABLE", "15")]
#[case::a_locale_that_is_not_there(&["--postgres", "15"], "LOCALE_MISSING", "xx_YY.UTF-8")]
fn what_a_container_lacks_is_named(#[case] arguments: &[&str], #[case] code: &str, #[case] words: &str) {
    if !docker::required_or_skip(&[15]) {
        return;
    }
    let desk = Desk::new();
    let text = if code == "LOCALE_MISSING" {
        format!("{DRILL}cluster: {{ locale: xx_YY.UTF-8 }}\n")
    } else {
        DRILL.to_owned()
    };
    let done = desk.drill(&text, &[&["--runtime", "docker"], arguments].concat());
    done.ends_with(2);
    let (found, _, message) = &findings(&desk.record())[0];
    assert_eq!(found, code, "{message}");
    assert!(message.contains(words), "{message}");
    assert!(done.stdout.contains("hint:"), "{}", done.stdout);
}

#[test]
fn without_an_engine_containers_cannot_be_asked_for() {
    let desk = Desk::new();
    let scenario = desk.scenario(DRILL);
    let mut command = desk.command(&["run", scenario.to_str().unwrap(), "--runtime", "docker"]);
    let output = command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap();
    Done::of(&output).ends_with(2);
    desk.assert_clean();
    let found = &findings(&desk.record())[0];
    assert_eq!(found.0, "ENGINE_UNUSABLE", "{}", found.2);
    assert!(found.2.contains("/nonexistent/docker.sock"), "{}", found.2);
}

#[test]
fn without_an_engine_drills_run_on_this_host_and_say_so() {
    let desk = Desk::new();
    let scenario = desk.scenario(DRILL);
    let mut command = desk.command(&["run", scenario.to_str().unwrap(), "--runtime", "auto"]);
    let output = command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap();
    let done = Done::of(&output);
    done.ends_with(0);
    desk.assert_clean();
    assert_eq!(desk.record()["runtime"], "local");
    assert!(done.stderr.contains("drills run on this host: containers cannot be used: "), "{}", done.stderr);
}

#[test]
fn where_containers_can_be_used_they_are() {
    if !docker::required_or_skip(&[17]) {
        return;
    }
    let desk = Desk::new();
    desk.drill(DRILL, &["--runtime", "auto", "--postgres", "17"]).ends_with(0);
    assert_eq!(desk.record()["runtime"], "docker");
}

/// Two drills that live at the same time, one in containers: cleaning leaves both alone.
#[test]
fn cleaning_leaves_containers_of_the_living_alone() {
    if !docker::required_or_skip(&[17]) {
        return;
    }
    let desk = Desk::new();
    let text = DRILL.replace("  - disaster", "  - sql: SELECT pg_sleep(5)\n  - disaster");
    let mut child = desk.start_in(Cell::docker(17), &text);
    desk.wait_for_step(&mut child, 3);
    let clean = desk.pgdrill(&["clean"]);
    clean.ends_with(0);
    // The drill has its own copy of the cluster that it made.
    let removed: Vec<&str> = clean.stdout.lines().collect();
    assert!(removed.len() == 1 && removed[0].starts_with("removed 1 template of clusters, "), "{removed:?}");
    Done::of(&child.wait_with_output().unwrap()).ends_with(0);
    desk.assert_clean();
}

#[test]
fn doctor_tells_what_there_is_of_docker() {
    if !docker::required_or_skip(&MAJORS) {
        return;
    }
    let desk = Desk::new();
    let done = desk.pgdrill(&["doctor", "--runtime", "docker"]);
    done.ends_with(0);
    for words in
        ["engine docker", "PostgreSQL 13 in pgdrill/postgres:13, sha256:", "can write files and sockets"]
    {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    assert!(!done.stdout.contains("ipcrm"), "nothing of the host is wanted: {}", done.stdout);
    let mut command = desk.command(&["doctor", "--runtime", "docker"]);
    let output = command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap();
    let done = Done::of(&output);
    done.ends_with(2);
    assert!(done.stdout.contains("MISSING  docker"), "{}", done.stdout);
    desk.assert_clean();
}
