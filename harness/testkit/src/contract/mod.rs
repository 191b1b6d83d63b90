//! What every runtime promises, as one suite of tests. A runtime's own tests hand in a [`Fixture`] and get
//! all of them by `runtime_contract!`, so that a promise that is added here is asked of every runtime.
//!
//! That a place cannot be closed twice needs no test: closing consumes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

pub mod commands;
pub mod leases;
pub mod processes;
pub mod servers;

use std::any::Any;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pgdrill_model::world::{Command, Exit, Need, Place, Runtime};

/// What the suite needs to know about a runtime beside the runtime itself.
pub trait Fixture: Send + Sync {
    /// A fresh runtime.
    fn runtime(&self) -> Box<dyn Runtime>;

    /// Whether the runtime cannot be had on this machine, so that nothing can be asked of it.
    fn absent(&self) -> bool {
        false
    }

    /// The command lines of whatever still runs of a run, told by other means than the runtime's own.
    fn remaining(&self, run_id: &str, workspace: &Path) -> Vec<String>;

    /// Makes the lease of a run fail, in the way in which it can: until the returned value is dropped, the
    /// death of the run's holder goes unnoticed.
    fn blind_lease(&self, run_id: &str) -> Box<dyn Any>;
}

/// A runtime, a workspace of its own, and a run to go with it.
pub struct Bench<'a> {
    /// What knows the runtime.
    pub fixture: &'a dyn Fixture,
    /// The runtime.
    pub runtime: Box<dyn Runtime>,
    /// What to open a place with: the newest major, and the directories `data`, `socket` and `log`.
    pub need: Need,
    /// Removed when the bench is dropped, unless it is another bench's.
    _workspace: Option<tempfile::TempDir>,
}

impl<'a> Bench<'a> {
    /// A fresh one.
    pub async fn new(fixture: &'a dyn Fixture) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let run_id = format!("contract-{}-{number}", std::process::id());
        // A socket's path must stay short, which the directory for temporary files on some systems is not.
        let private = std::fs::Permissions::from_mode(0o700);
        let workspace =
            tempfile::Builder::new().prefix("pgdrill-").permissions(private).tempdir_in("/tmp").unwrap();
        let bench = Self::at(fixture, workspace.path(), &run_id).await;
        bench.make_dirs(&["", "data", "socket", "log"]);
        Self { _workspace: Some(workspace), ..bench }
    }

    /// One in a workspace that somebody else has made.
    pub async fn at(fixture: &'a dyn Fixture, workspace: &Path, run_id: &str) -> Self {
        let runtime = fixture.runtime();
        let major = *runtime.majors().await.unwrap().last().expect("these tests need a PostgreSQL");
        let need = Need {
            run_id: run_id.to_owned(),
            server: "primary".to_owned(),
            major,
            workspace: workspace.to_owned(),
            writable: ["data", "socket", "log"].map(|name| workspace.join(name)).to_vec(),
            readable: Vec::new(),
            network: true,
        };
        Self { fixture, runtime, need, _workspace: None }
    }

    /// Opens the place.
    pub async fn open(&self) -> Box<dyn Place> {
        self.runtime.open(&self.need).await.unwrap()
    }

    /// The workspace.
    pub fn workspace(&self) -> &Path {
        &self.need.workspace
    }

    /// Makes directories in the workspace that belong to the account.
    pub fn make_dirs(&self, names: &[&str]) {
        for dir in names.iter().map(|name| self.path(name)) {
            std::fs::create_dir_all(&dir).unwrap();
            if let Some(owner) = self.runtime.owner().unwrap() {
                chown(&dir, Some(owner.uid), Some(owner.gid)).unwrap();
            }
        }
    }

    /// A path in the workspace.
    pub fn path(&self, name: &str) -> PathBuf {
        self.need.workspace.join(name)
    }

    /// The account that files must belong to.
    pub fn owner_uid(&self) -> u32 {
        match self.runtime.owner().unwrap() {
            Some(owner) => owner.uid,
            // The workspace was made by this process.
            None => self.need.workspace.metadata().unwrap().uid(),
        }
    }

    /// The command lines of what still runs of this run.
    pub fn remaining(&self) -> Vec<String> {
        self.fixture.remaining(&self.need.run_id, &self.need.workspace)
    }

    /// Closes the place, which must succeed within a bound and leave nothing.
    pub async fn close(&self, place: Box<dyn Place>) {
        let started = Instant::now();
        assert_eq!(place.close().await, []);
        assert!(started.elapsed() < Duration::from_secs(12), "closing took {:?}", started.elapsed());
        assert_eq!(self.remaining(), [""; 0], "after close");
    }

    /// Waits until nothing of the run is left and says how long that took.
    pub async fn wait_gone(&self, limit: Duration) -> Duration {
        let started = Instant::now();
        while !self.remaining().is_empty() {
            assert!(started.elapsed() < limit, "still there after {limit:?}: {:#?}", self.remaining());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        started.elapsed()
    }
}

/// A shell command.
pub fn sh(script: &str) -> Command {
    Command::system("sh", ["-c", script]).within(Duration::from_secs(30))
}

/// Runs a shell command that must succeed.
pub async fn succeed(place: &dyn Place, script: &str) -> Exit {
    let exit = place.run(&sh(script)).await.unwrap();
    assert!(exit.success(), "{script}: {} {}", exit.describe(), exit.stderr);
    exit
}

/// Waits until something is so.
pub async fn until(what: &str, limit: Duration, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One test for every promise, of the runtime that the fixture knows. Every promise has two minutes.
#[macro_export]
macro_rules! runtime_contract {
    ($fixture:expr) => {
        $crate::runtime_contract! { @tests $fixture;
            commands::the_exit_code_and_both_streams_are_reported,
            commands::a_death_by_signal_is_reported_as_such,
            commands::a_place_without_network_has_none,
            commands::last_words_are_the_last_line_of_complaint,
            commands::arguments_arrive_as_they_are,
            commands::the_environment_is_minimal_and_what_the_command_adds,
            commands::the_working_directory_is_the_workspace,
            commands::nothing_runs_as_root,
            commands::files_belong_to_the_account_and_are_private,
            commands::standard_input_is_empty,
            commands::a_log_file_is_appended_to_and_private,
            commands::a_log_file_is_never_written_through_a_link,
            commands::much_output_neither_hangs_nor_is_kept_whole,
            commands::output_that_is_no_text_is_no_obstacle,
            commands::a_missing_program_is_named,
            commands::the_time_limit_ends_a_command_and_its_children,
            commands::a_dropped_command_ends_with_its_children,
            commands::what_a_command_leaves_in_the_background_does_not_hold_it_up,
            commands::eight_commands_run_at_the_same_time,
            processes::a_process_runs_until_it_is_told_to_end,
            processes::a_process_that_has_ended_can_be_asked_again,
            processes::a_signal_to_what_is_gone_is_success,
            processes::a_signal_reaches_no_stranger,
            processes::a_process_outlives_its_handle_but_not_its_place,
            processes::closing_ends_what_ignores_every_polite_signal,
            processes::closing_ends_what_has_left_for_a_session_of_its_own,
            processes::closing_ends_what_has_cleared_its_environment,
            processes::closing_ends_what_was_stopped,
            processes::closing_one_place_leaves_the_other,
            processes::the_facts_name_what_was_asked_for,
            processes::a_major_that_is_not_there_is_named_with_what_is,
            servers::closing_ends_a_server_with_clients_and_a_long_query,
            servers::closing_ends_backends_that_outlived_their_postmaster,
            servers::closing_ends_a_stopped_server,
            servers::a_signal_shuts_a_server_down_in_order,
            servers::two_servers_in_one_workspace_end_one_by_one,
            leases::the_callers_environment_does_not_pass,
            leases::a_server_ends_when_its_holder_is_killed,
            leases::a_command_ends_when_its_holder_is_killed,
            leases::what_ignores_every_polite_signal_ends_when_its_holder_is_killed,
            leases::an_orphaned_backend_ends_when_its_holder_is_killed,
            leases::a_dropped_place_ends,
            leases::a_place_whose_holder_lives_is_no_stray,
            leases::a_place_whose_holder_is_dead_is_found_and_reaped,
        }

        /// No test: the process that the tests of the lease start, look at, and kill.
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "is started by the tests of the lease"]
        async fn the_holder_of_a_place() {
            $crate::contract::leases::hold(&$fixture).await;
        }
    };
    (@tests $fixture:expr; $($module:ident :: $promise:ident,)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $promise() {
            if $crate::contract::Fixture::absent(&$fixture) {
                return;
            }
            let promise = $crate::contract::$module::$promise(&$fixture);
            tokio::time::timeout(std::time::Duration::from_secs(120), promise).await.expect("takes too long");
        }
    )+};
}

#[cfg(test)]
mod tests {
    /// A promise that is written but not in the list would be asked of nobody.
    #[test]
    fn every_promise_is_in_the_list() {
        let list = include_str!("mod.rs");
        let modules = [
            ("commands", include_str!("commands.rs")),
            ("processes", include_str!("processes.rs")),
            ("servers", include_str!("servers.rs")),
            ("leases", include_str!("leases.rs")),
        ];
        for (module, text) in modules {
            let promises = text.lines().filter_map(|line| {
                line.strip_prefix("pub async fn ")?.strip_suffix("(fixture: &dyn Fixture) {")
            });
            let mut count = 0;
            for promise in promises.filter(|name| *name != "hold") {
                assert!(list.contains(&format!("{module}::{promise},")), "{module}::{promise} is not listed");
                count += 1;
            }
            assert!(count > 0, "{module} has no promises");
        }
    }
}
