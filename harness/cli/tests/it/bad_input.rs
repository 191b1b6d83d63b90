//! What users do wrong, and what machines lack: clear words, the documented exit code, nothing left behind.

use std::fs;

use rstest::rstest;

use crate::desk::{Desk, Done, findings};

const DRILL: &str = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup: { format: plain }\n  - disaster: kill\n  - recover\n  - check: all\n";

fn finding_of(desk: &Desk) -> (String, String) {
    let (code, _, message) = findings(&desk.record()).into_iter().next().unwrap();
    (code, message)
}

#[test]
fn a_major_that_is_not_there_could_not_be_verified() {
    let desk = Desk::new();
    desk.drill(DRILL, &["--postgres", "99"]).ends_with(2);
    let (code, message) = finding_of(&desk);
    assert_eq!(code, "POSTGRES_MISSING");
    assert!(message.contains("99"), "{message}");
}

#[test]
fn a_major_that_makes_no_sense_could_not_be_verified() {
    let desk = Desk::new();
    desk.drill(&format!("postgres: '>=90'\n{DRILL}"), &["--postgres", "15"]).ends_with(2);
    assert_eq!(finding_of(&desk).0, "MAJOR_OUT_OF_RANGE");
}

#[test]
fn no_postgresql_at_all_is_told_with_what_to_install() {
    let desk = Desk::new();
    let scenario = desk.scenario(DRILL);
    let mut command = desk.command(&["run", scenario.to_str().unwrap()]);
    // An existing directory without programs hides what the machine has.
    fs::create_dir(desk.path("empty")).unwrap();
    command.env("PGDRILL_PG_BIN", desk.path("empty"));
    let done = Done::of(&command.output().unwrap());
    done.ends_with(2);
    desk.assert_clean();
    assert_eq!(finding_of(&desk).0, "POSTGRES_MISSING");
}

#[test]
fn an_objective_of_one_millisecond_is_missed() {
    let desk = Desk::new();
    let done = desk.drill(&format!("{DRILL}objectives: {{ rto: 1ms }}\n"), &[]);
    done.ends_with(1);
    assert_eq!(finding_of(&desk).0, "RTO_EXCEEDED");
    assert!(done.stdout.contains("promote"), "{}", done.stdout);
}

#[rstest]
#[case::a_typo("title: t\nsteps:\n  - backup: { formt: tar }\n", "did you mean 'format'?")]
#[case::not_yaml("title: [t\n", "scenario.yaml:")]
#[case::empty("", "the file holds no scenario")]
#[case::a_duplicate_key("title: a\ntitle: b\nsteps: []\n", "scenario.yaml:2:1")]
#[case::an_unknown_step("title: t\nsteps:\n  - bakup: {}\n", "did you mean 'backup'?")]
#[case::a_negative_duration("title: t\ntime-limit: -3s\nsteps: []\n", "scenario.yaml:2:13")]
fn a_mistake_in_a_scenario_is_shown_where_it_is(#[case] text: &str, #[case] words: &str) {
    let desk = Desk::new();
    let done = desk.drill(text, &[]);
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!desk.path("e").exists(), "nothing was run, so nothing is recorded");
}

#[rstest]
#[case::missing("nothing-there.yaml", "cannot read nothing-there.yaml: No such file or directory")]
#[case::a_directory_without_scenarios("bare", "there is no scenario (*.yaml) in bare")]
fn a_path_that_holds_no_scenario_is_named(#[case] path: &str, #[case] words: &str) {
    let desk = Desk::new();
    fs::create_dir(desk.path("bare")).unwrap();
    let done = desk.pgdrill(&["run", path]);
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
}

#[test]
fn without_a_path_and_without_scenarios_it_says_what_to_name() {
    let desk = Desk::new();
    let done = desk.pgdrill(&["run"]);
    done.ends_with(64);
    assert!(done.stderr.contains("there is no directory 'scenarios' here"), "{}", done.stderr);
}

#[rstest]
#[case(&["frobnicate"])]
#[case(&["run", "--no-such-flag"])]
#[case(&["run", "--postgres", "fifteen"])]
fn usage_is_64_and_not_could_not_verify(#[case] args: &[&str]) {
    Desk::new().pgdrill(args).ends_with(64);
}

#[test]
fn a_workspace_path_too_long_for_a_socket_is_refused() {
    let desk = Desk::new();
    let long = desk.path(&"x".repeat(90));
    let done = desk.drill(DRILL, &["--workspace", long.to_str().unwrap()]);
    done.ends_with(2);
    let (code, message) = finding_of(&desk);
    assert_eq!(code, "WORKSPACE_UNUSABLE");
    assert!(message.contains("too long"), "{message}");
    assert!(!long.exists());
}

#[test]
fn a_workspace_that_is_a_file_is_refused() {
    let desk = Desk::new();
    fs::write(desk.path("file"), "mine").unwrap();
    desk.drill(DRILL, &["--workspace", desk.path("file").to_str().unwrap()]).ends_with(2);
    assert_eq!(finding_of(&desk).0, "WORKSPACE_UNUSABLE");
    assert_eq!(fs::read_to_string(desk.path("file")).unwrap(), "mine");
}

#[test]
fn a_workspace_on_a_read_only_file_system_is_refused() {
    let desk = Desk::new();
    // The kernel's own: nobody can write there, root neither.
    desk.drill(DRILL, &["--workspace", "/sys/pgdrill"]).ends_with(2);
    assert_eq!(finding_of(&desk).0, "WORKSPACE_UNUSABLE");
}

#[test]
fn a_drill_whose_record_cannot_be_written_is_not_begun() {
    let desk = Desk::new();
    let done = desk.drill(DRILL, &["--evidence", "/sys/pgdrill"]);
    done.ends_with(2);
    assert!(done.stdout.contains("cannot write evidence to /sys/pgdrill"), "{}", done.stdout);
    assert!(done.stderr.contains("the record could not be stored"), "{}", done.stderr);
}

#[test]
fn data_that_cannot_fit_on_the_disk_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let text = DRILL.replace("orders: 10 ", "orders: 1_000_000_000 ");
    desk.drill(&text, &[]).ends_with(2);
    assert_eq!(finding_of(&desk).0, "DISK_FULL");
}

#[test]
fn a_setting_that_the_server_refuses_is_quoted_with_its_line() {
    let desk = Desk::new();
    let done = desk.drill(&format!("{DRILL}settings: {{ shared_buffers: banana }}\n"), &[]);
    done.ends_with(2);
    let (code, message) = finding_of(&desk);
    assert_eq!(code, "SERVER_START_FAILED");
    assert!(message.contains("shared_buffers"), "{message}");
    assert!(done.stdout.contains("shared_buffers (line 8)"), "{}", done.stdout);
}

#[test]
fn sql_that_fails_is_quoted_with_its_line() {
    let desk = Desk::new();
    let text = DRILL.replace("  - disaster", "  - sql: SELEKT 1\n  - disaster");
    desk.drill(&text, &[]).ends_with(2);
    let (code, message) = finding_of(&desk);
    assert_eq!(code, "SQL_FAILED");
    assert!(message.contains("line 5") && message.contains("syntax error"), "{message}");
}

/// A tablespace outside the workspace, made before the backup (so it is in it) or after (so it is in the WAL). The
/// restored server must not be started on it; the live directory stays as it was.
#[rstest]
#[case::in_the_backup("  - sql: {sql}\n  - backup: {format: tar}\n", "backup leads to")]
#[case::in_the_wal("  - backup: {format: tar}\n  - sql: {sql}\n  - switch-wal\n", "WAL to be replayed")]
// The server may have from elsewhere what is not in the archive.
#[case::behind_a_hole_in_the_wal(
    "  - backup: {format: tar}\n  - sql: CREATE TABLE here ()\n  - switch-wal\n  - sql: {hole}\n  - sql: {sql}\n  - switch-wal\n",
    "WAL to be replayed"
)]
// The archive lacks it, and the server reads what the backup brought.
#[case::in_the_wal_of_the_backup(
    "  - backup: {format: plain}\n  - sql: {sql}\n  - switch-wal\n  - sql: {move}\n",
    "WAL to be replayed"
)]
fn a_tablespace_outside_the_workspace_is_refused(#[case] steps: &str, #[case] words: &str) {
    let desk = Desk::new();
    let live = desk.path("live");
    fs::create_dir(&live).unwrap();
    fs::set_permissions(&live, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // The directory must belong to the server's account: the server makes its own below it. CREATE TABLESPACE cannot
    // stand beside other statements.
    let place = live.join("ts");
    let place = place.display();
    let make = format!(
        "  - sql: \"COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; mkdir -p {place}'\"\n\
         \x20 - sql: \"CREATE TABLESPACE ts LOCATION '{place}'\"\n"
    );
    let hole =
        "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../archive; rm $(ls | grep -v backup | tail -n 1)'";
    let moved = "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; cd ../archive; mv $(ls | grep -v backup | tail -n 1) ../backup/backup-1/pg_wal'";
    let steps = steps
        .replace("  - sql: {sql}\n", &make)
        .replace("{hole}", &format!("\"{hole}\""))
        .replace("{move}", &format!("\"{moved}\""));
    let text = format!(
        "title: t\ndata: {{ orders: 10 }}\nsteps:\n{steps}  - disaster: kill\n  - recover\n  - check: all\n"
    );
    desk.drill(&text, &[]).ends_with(2);
    let (code, message) = finding_of(&desk);
    assert_eq!(code, "TABLESPACE_OUTSIDE", "{message}");
    assert!(message.contains(words), "{message}");
    assert_eq!(fs::read_dir(live.join("ts")).unwrap().count(), 1, "the live tablespace is still there");
}

#[test]
fn a_secret_of_the_environment_is_in_no_record_and_no_output() {
    let desk = Desk::new();
    let secret = "hunter2-swordfish";
    // The scenario itself quotes it, so that it has every chance to be written down.
    let text = DRILL.replace("  - disaster", &format!("  - sql: SELECT '{secret}' / 0\n  - disaster"));
    let scenario = desk.scenario(&text);
    let mut command = desk.command(&["run", scenario.to_str().unwrap(), "--json", "-"]);
    let done = Done::of(&command.env("PGPASSWORD", secret).output().unwrap());
    done.ends_with(2);
    desk.assert_clean();
    let record = fs::read_to_string(&desk.files("json")[0]).unwrap();
    assert!(record.contains("[redacted]"), "the statement is in the record, without the secret");
    for text in [&record, &done.stdout, &done.stderr] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[rstest]
#[case::a_directory("--json", "out", "cannot write out: it is a directory")]
#[case::below_a_file("--junit", "file/junit.xml", "cannot make the directory of file/junit.xml")]
fn a_report_that_cannot_be_written_is_told_before_the_drill(
    #[case] flag: &str,
    #[case] path: &str,
    #[case] words: &str,
) {
    let desk = Desk::new();
    fs::create_dir(desk.path("out")).unwrap();
    fs::write(desk.path("file"), "").unwrap();
    let done = desk.drill(DRILL, &[flag, path]);
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!desk.path("e").exists(), "nothing was begun");
    assert_eq!(fs::read_dir(desk.path("out")).unwrap().count(), 0);
}

/// A small file system of its own; gone with the test.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// None where this account may not mount anything.
    fn mount(path: std::path::PathBuf, options: &str) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        let status = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        status.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_runs_full_in_the_middle_is_not_blamed_on_the_backup() {
    let desk = Desk::new();
    let Some(disk) = SmallDisk::mount(desk.path("s"), "size=450m") else {
        eprintln!("SKIPPED: this account cannot mount a small file system");
        return;
    };
    let fill = "  - sql: CREATE TABLE f AS SELECT repeat('x', 500) AS t FROM generate_series(1, 2000000)\n";
    let text = DRILL.replace("  - disaster", &format!("{fill}  - disaster"));
    let base = disk.0.join("w");
    desk.drill(&text, &["--workspace", base.to_str().unwrap()]).ends_with(2);
    assert_eq!(finding_of(&desk).0, "DISK_FULL");
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "nothing is left on it");
}

/// The server would take scripts that cannot be started for an archive in which nothing is.
#[test]
fn a_workspace_in_which_nothing_can_be_executed_is_refused() {
    let desk = Desk::new();
    let Some(disk) = SmallDisk::mount(desk.path("s"), "size=450m,noexec") else {
        eprintln!("SKIPPED: this account cannot mount a file system");
        return;
    };
    let base = disk.0.join("w");
    desk.drill(DRILL, &["--workspace", base.to_str().unwrap()]).ends_with(2);
    let (code, message) = finding_of(&desk);
    assert_eq!(code, "WORKSPACE_UNUSABLE");
    assert!(message.contains("noexec"), "{message}");
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "nothing is left on it");
}
