//! The docker runtime against the contract that every runtime keeps, and what is its own: what a container cannot see,
//! images, engines that do not do what they should, and what becomes of a container that nobody holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod engines;
mod images;
mod inside;
mod proxy;

use std::any::Any;
use std::fs;
use std::path::Path;

use pgdrill_model::world::Runtime;
use pgdrill_runtime::docker::{DockerRuntime, DockerSettings};
use pgdrill_testkit::contract::Fixture;
use pgdrill_testkit::docker;

/// The engine of this host.
struct ThisEngine;

fn settings() -> DockerSettings {
    DockerSettings::from_env(|name| std::env::var_os(name))
}

fn bytes(pid: &str, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default()).into_owned()
}

/// The numbers, on this host, of the processes of other mount namespaces that see a directory.
fn seeing(directory: &Path) -> Vec<String> {
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = pids.filter(|name| name.chars().all(|c| c.is_ascii_digit()));
    let elsewhere =
        numbers.filter(|pid| fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|ns| ns != own));
    let directory = format!(" {}/", directory.display());
    elsewhere.filter(|pid| bytes(pid, "mountinfo").contains(&directory)).collect()
}

/// The engine's list of a run's containers, as it prints it; `[]` when there are none.
fn containers(run_id: &str) -> String {
    let filters = format!("%7B%22label%22%3A%5B%22pgdrill.run%3D{run_id}%22%5D%7D");
    docker::get(&format!("/containers/json?all=1&filters={filters}")).unwrap().trim().to_owned()
}

impl Fixture for ThisEngine {
    fn runtime(&self) -> Box<dyn Runtime> {
        Box::new(DockerRuntime::new(settings()))
    }

    fn absent(&self) -> bool {
        !docker::required_or_skip(&[])
    }

    fn remaining(&self, run_id: &str, workspace: &Path) -> Vec<String> {
        let runs = |pid: &String| {
            !bytes(pid, "stat").rsplit(") ").next().unwrap_or_default().starts_with(['Z', 'X'])
        };
        let seeing = seeing(workspace).into_iter().filter(runs);
        let mut found: Vec<String> = seeing.map(|pid| bytes(&pid, "cmdline").replace('\0', " ")).collect();
        let containers = containers(run_id);
        if found.is_empty() && containers != "[]" {
            found.push(containers);
        }
        found
    }

    /// Opens the FIFO for writing, as a careless process could.
    fn blind_lease(&self, run_id: &str) -> Box<dyn Any> {
        let listed = containers(run_id);
        let path = listed
            .split('"')
            .find(|part| part.starts_with('/') && part.ends_with("/lease"))
            .expect("a lease is mounted");
        Box::new(fs::OpenOptions::new().write(true).open(path).unwrap())
    }
}

mod contract {
    use super::ThisEngine;

    pgdrill_testkit::runtime_contract!(ThisEngine);
}
