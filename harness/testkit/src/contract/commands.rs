//! Promises about commands that are run to their end.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use pgdrill_model::code::Code;
use pgdrill_model::world::{Command, Need, Signal};

use super::{Bench, Fixture, sh, succeed, until};

/// What of a run has `words` in its command line.
fn running(bench: &Bench<'_>, words: &str) -> bool {
    bench.remaining().iter().any(|line| line.contains(words))
}

/// The exit code, both streams and the time are those of the command.
pub async fn the_exit_code_and_both_streams_are_reported(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let exit = place.run(&sh("echo out; echo err >&2; sleep 0.1; exit 3")).await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(3), None));
    assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), ("out\n", "err\n"));
    assert!(!exit.success());
    assert!(exit.took >= Duration::from_millis(100), "{:?}", exit.took);
    bench.close(place).await;
}

/// A signal is a signal, not an exit code above 128.
pub async fn a_death_by_signal_is_reported_as_such(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    for (name, number) in [("TERM", 15), ("KILL", 9)] {
        let exit = place.run(&sh(&format!("kill -{name} $$"))).await.unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(number)));
        assert_eq!(exit.describe(), format!("signal {number}"));
    }
    bench.close(place).await;
}

/// What runs in a place without network sees no interface but its own, and is ended and signalled as ever.
pub async fn a_place_without_network_has_none(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let need = Need { network: false, ..bench.need.clone() };
    let place = bench.runtime.open(&need).await.unwrap();
    let interfaces = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
    assert_eq!(succeed(&*place, interfaces).await.stdout.trim(), "lo");
    let mut process = place.spawn(&sh("sleep 1000")).await.unwrap();
    place.signal(process.pid(), Signal::Term).await.unwrap();
    assert_eq!(process.wait().await.unwrap().signal, Some(15));
    place.spawn(&sh("sleep 1001")).await.unwrap();
    bench.close(place).await;
}

/// What a person is shown of a failed command is what it said last.
pub async fn last_words_are_the_last_line_of_complaint(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let exit = place.run(&sh("echo first >&2; echo last >&2; echo >&2; echo out; exit 1")).await.unwrap();
    assert_eq!(exit.last_words(), "last");
    bench.close(place).await;
}

/// No shell on the way makes anything of them.
pub async fn arguments_arrive_as_they_are(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let odd = ["a b", "$HOME", "it's", "\"*\"", "", "-c", "line\nbreak", "ü"];
    let command = Command::system("printf", ["[%s]"].into_iter().chain(odd));
    let exit = place.run(&command).await.unwrap();
    assert_eq!(exit.stdout, odd.map(|argument| format!("[{argument}]")).concat());
    bench.close(place).await;
}

/// `PATH`, `LC_ALL`, `TZ`, `HOME`, and what the command itself adds.
pub async fn the_environment_is_minimal_and_what_the_command_adds(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let mut command = sh(r#"echo "$LC_ALL $TZ $HOME $PGAPPNAME"; test -n "$PATH" && pwd"#);
    command.env.push(("PGAPPNAME".to_owned(), "the drill".to_owned()));
    let exit = place.run(&command).await.unwrap();
    let workspace = bench.workspace().display();
    assert_eq!(exit.stdout, format!("C UTC {workspace} the drill\n{workspace}\n"));
    bench.close(place).await;
}

/// Commands start in the workspace.
pub async fn the_working_directory_is_the_workspace(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let exit = succeed(&*place, "pwd -P").await;
    let real = fs::canonicalize(bench.workspace()).unwrap();
    assert_eq!(Path::new(exit.stdout.trim_end()), real);
    bench.close(place).await;
}

/// Not by user, not by group, not by a supplementary group.
pub async fn nothing_runs_as_root(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let exit = succeed(&*place, "id -u; id -G").await;
    let ids: Vec<u32> = exit.stdout.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids[0], bench.owner_uid());
    assert!(!ids.contains(&0), "{ids:?}");
    bench.close(place).await;
}

/// Nobody else on the host can read what a drill makes.
pub async fn files_belong_to_the_account_and_are_private(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    succeed(&*place, "cd data; echo x > file; mkdir dir").await;
    for (name, mode) in [("data/file", 0o600), ("data/dir", 0o700)] {
        let found = bench.path(name).metadata().unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (bench.owner_uid(), mode), "{name}");
    }
    bench.close(place).await;
}

/// A program that asks gets no answer instead of waiting for one.
pub async fn standard_input_is_empty(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let exit = place.run(&Command::system("cat", [""; 0]).within(Duration::from_secs(10))).await.unwrap();
    assert!(exit.success() && exit.stdout.is_empty());
    bench.close(place).await;
}

/// Two commands that log to one file leave both their words in it.
pub async fn a_log_file_is_appended_to_and_private(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let log = bench.path("log/server.log");
    for number in 1..=2 {
        let command = sh(&format!("echo out {number}; echo err {number} >&2")).log_to(&log);
        let exit = place.run(&command).await.unwrap();
        assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), ("", ""));
    }
    assert_eq!(fs::read_to_string(&log).unwrap(), "out 1\nerr 1\nout 2\nerr 2\n");
    let found = log.metadata().unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (bench.owner_uid(), 0o600));
    bench.close(place).await;
}

/// The account can write to the directory of the logs, and must not lead root elsewhere by that.
pub async fn a_log_file_is_never_written_through_a_link(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let (log, elsewhere) = (bench.path("log/server.log"), bench.path("elsewhere"));
    fs::write(&elsewhere, "mine\n").unwrap();
    symlink(&elsewhere, &log).unwrap();
    let unable = place.run(&sh("echo out").log_to(&log)).await.unwrap_err();
    assert_eq!(unable.code, Code::WorkspaceUnusable);
    assert!(unable.message.contains("log/server.log"), "{}", unable.message);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine\n");
    bench.close(place).await;
}

/// Of ten megabytes on each stream the last 64 KiB stay.
pub async fn much_output_neither_hangs_nor_is_kept_whole(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let print = "head -c 10000000 /dev/zero | tr '\\0' x";
    let exit =
        succeed(&*place, &format!("({print}; echo end of out) & {print} >&2; echo end of err >&2; wait"))
            .await;
    for (text, end) in [(&exit.stdout, "xend of out\n"), (&exit.stderr, "xend of err\n")] {
        assert!(text.ends_with(end), "{}", &text[text.len() - 20..]);
        assert_eq!(text.len(), 64 * 1024);
    }
    bench.close(place).await;
}

/// A server's message may be in any encoding.
pub async fn output_that_is_no_text_is_no_obstacle(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let exit = succeed(&*place, r"printf 'a\377\376b'").await;
    assert_eq!(exit.stdout, "a\u{fffd}\u{fffd}b");
    bench.close(place).await;
}

/// Whether it would be PostgreSQL's or the system's.
pub async fn a_missing_program_is_named(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    for command in
        [Command::postgres("pg_no_such_program", [""; 0]), Command::system("no-such-program", ["x"])]
    {
        let name = command.program.name();
        let unable = place.run(&command).await.unwrap_err();
        assert_eq!(unable.code, Code::ProgramMissing, "{name}");
        assert!(unable.message.contains(name), "{}", unable.message);
        assert!(unable.hint.is_some_and(|hint| hint.contains("Install")), "{name}");
        assert!(place.spawn(&command).await.is_err(), "{name}");
    }
    bench.close(place).await;
}

/// The command and everything that it started, wherever that has gone.
pub async fn the_time_limit_ends_a_command_and_its_children(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    // One that is deaf, one in a session of its own, one whose parent has ended, and one that forgot who it
    // is.
    let script = "echo 'so far' >&2; (trap '' QUIT TERM; sleep 7101 & wait) & setsid sleep 7102 & \
                  (sleep 7103 &); env -i sleep 7104 & sleep 7105";
    let started = Instant::now();
    let unable = place.run(&sh(script).within(Duration::from_millis(500))).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(unable.code, Code::TimeLimit);
    assert_eq!(unable.message, "`sh` did not end within 500 ms and was ended; its last words: so far");
    assert!(!running(&bench, "sleep 71"), "{:?}", bench.remaining());
    // The place itself goes on.
    succeed(&*place, "true").await;
    bench.close(place).await;
}

/// Whoever interrupts a drill does not leave its commands running.
pub async fn a_dropped_command_ends_with_its_children(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let command =
        sh("sleep 7201 & setsid sleep 7202 & (setsid sleep 7204 &); touch data/started; sleep 7203");
    tokio::select! {
        exit = place.run(&command) => panic!("it ended by itself: {exit:?}"),
        () = until("it started", Duration::from_secs(10), || bench.path("data/started").exists()) => {}
    }
    until("all gone", Duration::from_secs(5), || !running(&bench, "sleep 72")).await;
    succeed(&*place, "true").await;
    bench.close(place).await;
}

/// A command ends when its program ends, even where something that it started holds on to its output.
pub async fn what_a_command_leaves_in_the_background_does_not_hold_it_up(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let started = Instant::now();
    let exit = place.run(&sh("sleep 7301 & echo done").within(Duration::from_secs(20))).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(exit.success() && exit.took < Duration::from_secs(10), "{:?}", exit.took);
    assert_eq!(exit.stdout, "done\n");
    assert!(running(&bench, "sleep 7301"), "it was meant to stay");
    bench.close(place).await;
}

/// Each of the eight waits for the seven others.
pub async fn eight_commands_run_at_the_same_time(fixture: &dyn Fixture) {
    let bench = Bench::new(fixture).await;
    let place = bench.open().await;
    let meet = async |number: u32| {
        let wait = "until [ $(ls data | wc -l) -eq 8 ]; do sleep 0.05; done";
        succeed(&*place, &format!("touch data/{number}; {wait}; echo {number}")).await.stdout
    };
    let met = tokio::join!(meet(1), meet(2), meet(3), meet(4), meet(5), meet(6), meet(7), meet(8));
    let met = [met.0, met.1, met.2, met.3, met.4, met.5, met.6, met.7];
    assert_eq!(met.concat(), "1\n2\n3\n4\n5\n6\n7\n8\n");
    bench.close(place).await;
}
