//! Rules about pipelines, which run where nobody watches: actions are pinned, rights are few, no job runs for ever, nothing of an event
//! becomes part of a script, no secret is written down, and images are those of this version.

use crate::Problem;

fn is_workflow(path: &str) -> bool {
    path.starts_with(".github/workflows/") || path == "ci/pipelines/github-actions/nightly.yml"
}

fn is_action(path: &str) -> bool {
    path.ends_with("/action.yml")
}

fn is_pipeline(path: &str) -> bool {
    let told = path.ends_with("/check") || path.ends_with(".md");
    path.starts_with(".github/") || (path.starts_with("ci/pipelines/") && !told)
}

/// What a line says, without its comment and the dash of a list.
fn plain(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') || line.starts_with("//") {
        return "";
    }
    line.strip_prefix("- ").unwrap_or(line)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// An action of others is named with a version, as a branch may become anything over night.
pub fn pinned(path: &str, text: &str) -> Vec<Problem> {
    if !is_workflow(path) && !is_action(path) {
        return Vec::new();
    }
    let is_pinned = |action: &str| {
        let version = action.split_once('@').map_or("", |(_, version)| version);
        let number =
            version.strip_prefix('v').is_some_and(|n| n.chars().all(|c| c.is_ascii_digit() || c == '.'));
        let hash = version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit());
        action.starts_with("./") || number || hash
    };
    let lines = text.lines().enumerate();
    let used =
        lines.filter_map(|(number, line)| Some((number + 1, plain(line).strip_prefix("uses: ")?.trim())));
    used.filter(|(_, action)| !is_pinned(action))
        .map(|(number, action)| format!("{path}:{number}: {action}: name its major version, or a commit"))
        .collect()
}

/// A workflow says what it may do, and that is to read, but for a job that must write and says so itself; each job has an end; and it says
/// what becomes of two at once.
pub fn bounded(path: &str, text: &str) -> Vec<Problem> {
    if !is_workflow(path) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if !text.contains("\npermissions:\n  contents: read\n") {
        problems.push(format!("{path}: give it `permissions:` of `contents: read`, before its jobs"));
    }
    if !text.contains("\nconcurrency:\n") {
        problems.push(format!("{path}: say by `concurrency:` what becomes of two runs at once"));
    }
    let jobs = text.split_once("\njobs:\n").map_or("", |(_, jobs)| jobs);
    let starts = |line: &&str| indent(line) == 2 && line.trim_end().ends_with(':');
    let names: Vec<&str> =
        jobs.lines().filter(starts).map(|line| line.trim().trim_end_matches(':')).collect();
    if names.is_empty() {
        problems.push(format!("{path}: it has no job"));
    }
    for name in names {
        let rest = jobs.split_once(&format!("  {name}:\n")).map_or("", |(_, rest)| rest);
        let own = rest.lines().take_while(|line| line.is_empty() || indent(line) > 2);
        if !own.into_iter().any(|line| indent(line) == 4 && plain(line).starts_with("timeout-minutes: ")) {
            problems.push(format!("{path}: give the job {name} `timeout-minutes:`"));
        }
    }
    problems
}

/// What an event brings reaches a script by its environment: put into its text, a branch's name would be run.
pub fn injected(path: &str, text: &str) -> Vec<Problem> {
    if !is_workflow(path) && !is_action(path) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut script = None;
    for (number, line) in text.lines().enumerate() {
        let at = indent(line);
        if script.is_some_and(|deep| !line.trim().is_empty() && at <= deep) {
            script = None;
        }
        if plain(line).starts_with("run:") {
            script = Some(at + usize::from(line.trim().starts_with("- ")) * 2);
        }
        if script.is_some() && line.contains("${{") {
            problems.push(format!("{path}:{}: hand it to the script by `env:`", number + 1));
        }
    }
    problems
}

/// A webhook's address is a secret: it comes from where secrets are kept, and no other address is in a pipeline either.
pub fn secret(path: &str, text: &str) -> Vec<Problem> {
    if !is_pipeline(path) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = plain(line);
        let is_set = ["NIGHTLY_WEBHOOK:", "NIGHTLY_WEBHOOK =", "NIGHTLY_WEBHOOK=", "webhook: "];
        let is_kept = ["${{ secrets.", "${{ inputs.webhook }}", "credentials('"];
        if is_set.iter().any(|set| line.contains(set)) && !is_kept.iter().any(|kept| line.contains(kept)) {
            problems.push(format!("{path}:{}: take the webhook from a secret", number + 1));
        }
        let next = lines.peek().map_or("", |(_, next)| plain(next));
        if line == "name: NIGHTLY_WEBHOOK" && next != "valueFrom:" {
            problems.push(format!("{path}:{}: take the webhook from a secret", number + 1));
        }
        if line.contains("http://") || line.contains("https://") {
            problems.push(format!("{path}:{}: an address belongs into a variable or a secret", number + 1));
        }
    }
    problems
}

/// The images that pipelines name are of the version that they are released with.
pub fn images(path: &str, text: &str, version: &str) -> Vec<Problem> {
    if !is_pipeline(path) {
        return Vec::new();
    }
    let of_this = format!("pgdrill/pgdrill:{version}-pg");
    let named = text.lines().enumerate().filter(|(_, line)| plain(line).starts_with("image: pgdrill/"));
    named
        .filter(|(_, line)| !line.contains(&of_this))
        .map(|(number, _)| format!("{path}:{}: the image is not of version {version}", number + 1))
        .collect()
}

/// The version of the workspace.
pub fn version(manifest: &str) -> String {
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["workspace"]["package"]["version"].as_str().unwrap().to_owned()
}

/// A dependency on a crate of ours that others may use names the version that is there.
pub fn versions(manifest: &str) -> Vec<Problem> {
    let own = version(manifest);
    let parsed: toml::Table = manifest.parse().unwrap();
    let ours = parsed["workspace"]["dependencies"].as_table().unwrap().iter();
    let ours = ours.filter(|(name, value)| name.starts_with("pgdrill") && value.get("path").is_some());
    ours.filter_map(|(name, value)| Some((name, value.get("version")?.as_str().unwrap_or_default())))
        .filter(|(_, version)| *version != own)
        .map(|(name, version)| format!("Cargo.toml: {name} is {own}, and the table says {version}"))
        .collect()
}

#[test]
fn an_action_that_may_change_is_seen() {
    let hash = "a".repeat(40);
    let text = format!(
        "uses: a/b@v4\n- uses: a/b@main\n  uses: a/b\nuses: ./here\nuses: a/b@{hash}\n# uses: a/b\nuses: a/b@v4-beta\n"
    );
    let problems = pinned(".github/workflows/a.yml", &text);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("a.yml:2: a/b@main"), "{problems:?}");
    assert_eq!(pinned("ci/pipelines/gitlab/a.yml", &text).len(), 0);
}

#[test]
fn a_workflow_without_bounds_is_seen() {
    let good = "on: push\n\npermissions:\n  contents: read\n\nconcurrency:\n  group: a\n\njobs:\n  one:\n    timeout-minutes: 5\n    steps:\n      - run: a\n  two:\n    timeout-minutes: 5\n";
    assert_eq!(bounded(".github/workflows/a.yml", good), Vec::<Problem>::new());
    for (without, word) in [
        ("permissions:\n  contents: read\n", "permissions"),
        ("\nconcurrency:\n", "concurrency"),
        ("  one:\n    timeout-minutes: 5\n", "no job one"),
    ] {
        let with = if word == "no job one" { "  one:\n" } else { "\n" };
        let problems = bounded(".github/workflows/a.yml", &good.replacen(without, with, 1));
        assert_eq!(problems.len(), 1, "{word}: {problems:?}");
    }
    assert_eq!(bounded(".github/workflows/a.yml", "on: push\n").len(), 3);
}

#[test]
fn what_an_event_brings_into_a_script_is_seen() {
    let text = "steps:\n  - env:\n      A: ${{ github.ref }}\n    run: |\n      echo $A\n\n      echo ${{ github.ref }}\n    if: ${{ always() }}\n  - run: echo ${{ a }}\n    env:\n      B: ${{ b }}\n";
    let problems = injected(".github/workflows/a.yml", text);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("a.yml:7:") && problems[1].contains("a.yml:9:"), "{problems:?}");
}

#[test]
fn a_secret_that_is_written_down_is_seen() {
    let path = "ci/pipelines/a.yml";
    for bad in [
        "NIGHTLY_WEBHOOK: hooks.example/1\n",
        "Environment=NIGHTLY_WEBHOOK=hooks.example/1\n",
        "- name: NIGHTLY_WEBHOOK\n  value: hooks.example/1\n",
        "  webhook: hooks.example/1\n",
        "A: https://hooks.example/1\n",
    ] {
        assert_eq!(secret(path, bad).len(), 1, "{bad}");
    }
    for good in [
        "# NIGHTLY_WEBHOOK=https://...\n",
        "NIGHTLY_WEBHOOK: ${{ secrets.HOOK }}\n",
        "NIGHTLY_WEBHOOK = credentials('pgdrill-webhook')\n",
        "- name: NIGHTLY_WEBHOOK\n  valueFrom:\n",
        "webhook:\n",
    ] {
        assert_eq!(secret(path, good), Vec::<Problem>::new(), "{good}");
    }
}

#[test]
fn an_image_of_another_version_is_seen() {
    let text = "image: pgdrill/pgdrill:0.1.0-pg17\n- image: pgdrill/pgdrill:0.2.0-pg17\n";
    assert_eq!(images("ci/pipelines/a.yaml", text, "0.1.0").len(), 1);
}

#[test]
fn a_table_that_is_behind_the_version_is_seen() {
    let text = "[workspace.package]\nversion = '0.2.0'\n[workspace.dependencies]\npgdrill-a = { path = 'a', version = '0.1.0' }\npgdrill-b = { path = 'b' }\nanyhow = '1'\n";
    assert_eq!(versions(text), ["Cargo.toml: pgdrill-a is 0.2.0, and the table says 0.1.0"]);
}
