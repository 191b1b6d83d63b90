//! The pipelines of `ci/pipelines` as their schedulers run them: the very lines that stand in the files, on real drills. Only the places
//! where things are installed are others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::desk::{BAD, Desk, Done, GOOD};

fn top() -> PathBuf {
    fs::canonicalize("../..").unwrap()
}

fn pipeline(path: &str) -> String {
    fs::read_to_string(top().join("ci/pipelines").join(path)).unwrap()
}

/// A desk on which a release is installed, with two drills of its own to run.
fn installed() -> Desk {
    let desk = Desk::new();
    let release = desk.path("release");
    fs::create_dir_all(release.join("bin")).unwrap();
    symlink(assert_cmd::cargo::cargo_bin!("pgdrill"), release.join("bin/pgdrill")).unwrap();
    symlink(top().join("ci"), release.join("ci")).unwrap();
    for (name, text) in [("smoke/good", GOOD), ("smoke/other", GOOD), ("pitr/bad", BAD), ("pitr/good", GOOD)]
    {
        let path = release.join(format!("scenarios/{name}.yaml"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    desk
}

/// A text of a pipeline, with the places of this desk.
fn here(desk: &Desk, text: &str) -> String {
    let release = desk.path("release").display().to_string();
    let state = desk.path("state").display().to_string();
    let text = text.replace("/usr/share/pgdrill", &release).replace("/opt/pgdrill", &release);
    text.replace("/var/lib/pgdrill", &state)
        .replace("/evidence", &state)
        .replace("%S", &state)
        .replace("%C", &state)
}

/// Runs a script with these variables alone beside those of an account.
fn run(desk: &Desk, shell: &[&str], script: &str, env: &[(String, String)]) -> Done {
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .arg(here(desk, script))
        .current_dir(desk.path("."))
        .stdin(Stdio::null())
        .env_clear();
    let bin = desk.path("release/bin").display().to_string();
    command.env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap()));
    command
        .env("PGDRILL_WORKSPACE", desk.path("w"))
        .env("PGDRILL_RUNTIME", "local")
        .env("HOME", desk.path("."));
    for (name, value) in env {
        command.env(name, here(desk, value));
    }
    Done::of(&command.output().unwrap())
}

/// The lines of a block scalar behind a line that ends with this, without their indent.
fn block(text: &str, behind: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.trim() == behind).unwrap();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let deep = indent(lines[at + 1]);
    let own = lines[at + 1..].iter().take_while(|line| line.trim().is_empty() || indent(line) >= deep);
    own.map(|line| format!("{}\n", line.get(deep..).unwrap_or_default())).collect()
}

/// The variables of a container that have a value in the file.
fn variables(manifest: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        Some((
            pair[0].strip_prefix("- name: ")?.to_owned(),
            pair[1].strip_prefix("value: ")?.trim_matches('"').to_owned(),
        ))
    });
    pairs.collect()
}

fn set(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Scenario, seed and verdict of each record in directories: what a run came to, without its times.
fn told(directories: &[PathBuf]) -> BTreeSet<(String, String, String)> {
    let mut told = BTreeSet::new();
    for directory in directories {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.path().extension().is_some_and(|ending| ending == "json") {
                let record: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
                let field = |name: &str| record.pointer(name).unwrap_or(&Value::Null).to_string();
                let new = told.insert((field("/scenario"), field("/seed"), field("/verdict")));
                assert!(new, "{} tells what another record tells", entry.path().display());
            }
        }
    }
    told
}

fn is_junit(path: &Path, tests: usize) {
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.matches("<testsuite ").count(), tests, "{text}");
}

#[test]
fn the_indexes_of_a_job_together_are_the_run_in_one_piece() {
    let desk = installed();
    let text = pipeline("kubernetes/indexed-job.yaml");
    let parts: Vec<&str> = text.split("\n---\n").collect();
    let (shards, report) = (parts[1], parts[2]);
    for index in 0..3 {
        let mut env = variables(shards);
        assert!(
            env.contains(&("SHARDS".to_owned(), "3".to_owned())) && shards.contains("completions: 3\n"),
            "{env:?}"
        );
        env.push(("JOB_COMPLETION_INDEX".to_owned(), index.to_string()));
        let done = run(&desk, &["bash", "-euc"], &block(shards, "- |"), &env);
        assert!([0, 1].contains(&done.code), "{index}: {} {}", done.stdout, done.stderr);
        let reports = desk.path(&format!("state/part-{index}/nightly"));
        assert!(reports.join("junit.xml").exists() && !reports.join("history.txt").exists());
    }
    let parts: Vec<PathBuf> = (0..3).map(|index| desk.path(&format!("state/part-{index}"))).collect();
    let whole = desk.pgdrill(&["run", "release/scenarios/smoke", "release/scenarios/pitr"]);
    whole.ends_with(1);
    let one_piece = told(&[desk.path("e")]);
    assert_eq!(one_piece.len(), 4, "{one_piece:?}");
    assert_eq!(told(&parts), one_piece);

    let done = run(&desk, &["bash", "-euc"], &block(report, "- |"), &variables(report));
    done.ends_with(1);
    is_junit(&desk.path("state/nightly/junit.xml"), 4);
    let history = fs::read_to_string(desk.path("state/nightly/history.txt")).unwrap();
    assert!(history.contains("4 drills") && history.contains("0 of 1"), "{history}");
    assert!(fs::read_to_string(desk.path("state/nightly/pgdrill.prom")).unwrap().contains("pgdrill_runs"));
}

#[test]
fn a_part_that_did_not_run_for_too_long_is_noticed_by_the_report() {
    let desk = installed();
    fs::remove_file(desk.path("release/scenarios/pitr/bad.yaml")).unwrap();
    let text = pipeline("kubernetes/indexed-job.yaml");
    let parts: Vec<&str> = text.split("\n---\n").collect();
    let mut env = variables(parts[1]);
    env.push(("JOB_COMPLETION_INDEX".to_owned(), "0".to_owned()));
    run(&desk, &["bash", "-euc"], &block(parts[1], "- |"), &env).ends_with(0);
    let mut env = variables(parts[2]);
    run(&desk, &["bash", "-euc"], &block(parts[2], "- |"), &env).ends_with(0);
    env.retain(|(name, _)| name != "NIGHTLY_MAX_AGE");
    env.push(("NIGHTLY_MAX_AGE".to_owned(), "1ms".to_owned()));
    let done = run(&desk, &["bash", "-euc"], &block(parts[2], "- |"), &env);
    done.ends_with(2);
    assert!(done.stdout.contains("STALE:"), "{}", done.stdout);
}

#[test]
fn the_action_of_github_publishes_and_hands_on_its_exit_code() {
    let desk = installed();
    let text = pipeline("github-actions/action.yml");
    let script = block(&text, "run: |");
    let mut env = set(&[
        ("GITHUB_ACTION_PATH", "/opt/pgdrill/ci/pipelines/github-actions"),
        ("GITHUB_OUTPUT", "/evidence/output"),
        ("GITHUB_STEP_SUMMARY", "/evidence/summary"),
        ("SCENARIOS", "release/scenarios/smoke release/scenarios/pitr/bad.yaml"),
        ("POSTGRES", ""),
        ("PGDRILL", "pgdrill"),
        ("PGDRILL_EVIDENCE", "/evidence/runs"),
        ("NIGHTLY_OUT", "/evidence/nightly"),
        ("NIGHTLY_MAX_AGE", "26h"),
        ("NIGHTLY_WEBHOOK", ""),
    ]);
    for (name, _) in env.iter().filter(|(name, _)| !name.starts_with("GITHUB_")) {
        assert!(text.contains(&format!("        {name}: ${{{{ inputs.")), "{name} is set by the action");
    }
    fs::create_dir_all(desk.path("state")).unwrap();
    // As GitHub's runner does it.
    let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"];
    run(&desk, &shell, &script, &env).ends_with(1);
    let outputs = fs::read_to_string(desk.path("state/output")).unwrap();
    let reports = desk.path("state/nightly");
    assert_eq!(outputs, format!("exit-code=1\nreports={}\n", reports.display()));
    assert!(fs::read_to_string(desk.path("state/summary")).unwrap().contains("DISPROVEN"));
    is_junit(&reports.join("junit.xml"), 3);

    // What is no major reaches pgdrill as it was given.
    env.retain(|(name, _)| name != "POSTGRES");
    env.push(("POSTGRES".to_owned(), "nine".to_owned()));
    let done = run(&desk, &shell, &script, &env);
    done.ends_with(64);
    assert!(done.stderr.contains("'nine'"), "{}", done.stderr);
}

#[test]
fn the_job_of_gitlab_leaves_its_artifacts_where_it_says() {
    let desk = installed();
    let text = pipeline("gitlab/.gitlab-ci.yml");
    let lines = block(&text, "script:");
    let script: String = lines.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    let variables = block(&text, "variables:");
    let env: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    run(&desk, &["sh", "-ec"], &script, &env).ends_with(0);
    let junit = text.lines().find_map(|line| line.trim().strip_prefix("junit: ")).unwrap();
    is_junit(&desk.path(junit), 2);
    assert!(desk.path(".pgdrill/runs/chain.txt").exists() && text.contains("      - .pgdrill/runs/\n"));
}

#[test]
fn the_stage_of_jenkins_leaves_its_reports_where_the_steps_look() {
    let desk = installed();
    let text = pipeline("jenkins/Jenkinsfile");
    let script = text.lines().find_map(|line| line.trim().strip_prefix("sh '")?.strip_suffix('\'')).unwrap();
    let own = text.lines().filter_map(|line| line.trim().split_once(" = '"));
    let env: Vec<(String, String)> =
        own.map(|(name, value)| (name.to_owned(), value.trim_end_matches('\'').to_owned())).collect();
    assert!(env.len() >= 6, "{env:?}");
    run(&desk, &["sh", "-ec"], script, &env).ends_with(0);
    assert!(text.contains("junit testResults: 'pgdrill-reports/junit.xml'"));
    is_junit(&desk.path("pgdrill-reports/junit.xml"), 2);
    assert!(desk.path("state/runs/chain.txt").exists());
}

#[test]
fn the_unit_of_systemd_keeps_its_state_where_it_may_write() {
    let desk = installed();
    let text = pipeline("systemd/pgdrill-nightly.service");
    let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let own = text.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let mut env: Vec<(String, String)> =
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    // Its socket's path would be too long on this desk.
    env.retain(|(name, _)| name != "PGDRILL_WORKSPACE");
    run(&desk, &["sh", "-ec"], command, &env).ends_with(0);
    is_junit(&desk.path("state/pgdrill/nightly/junit.xml"), 2);
    assert!(
        desk.path("state/pgdrill/runs/chain.txt").exists() && text.contains("\nStateDirectory=pgdrill\n")
    );
}

#[test]
fn the_cron_job_of_kubernetes_writes_to_its_volumes_alone() {
    let desk = installed();
    let text = pipeline("kubernetes/cronjob.yaml");
    let line = |key: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        found.trim_matches(['[', ']']).replace(", ", " ")
    };
    let command = line("command: ").strip_prefix("tini -- ").unwrap().to_owned();
    let before: BTreeSet<_> =
        fs::read_dir(desk.path(".")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    run(&desk, &["sh", "-ec"], &format!("{command} {}", line("args: ")), &variables(&text)).ends_with(0);
    is_junit(&desk.path("state/nightly/junit.xml"), 2);
    let after: BTreeSet<_> =
        fs::read_dir(desk.path(".")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    let new: Vec<_> = after.difference(&before).map(|name| name.to_string_lossy()).collect();
    assert_eq!(new, ["state", "w"], "of which the first is the volume of evidence, the second the workspace");
}

#[test]
fn a_step_that_is_none_is_usage() {
    let desk = installed();
    let env = set(&[("NIGHTLY_STEP", "merge")]);
    let done = run(&desk, &["sh", "-ec"], "/opt/pgdrill/ci/nightly.sh release/scenarios/smoke", &env);
    done.ends_with(64);
    assert!(done.stderr.contains("NIGHTLY_STEP is drills or report"), "{}", done.stderr);
}
