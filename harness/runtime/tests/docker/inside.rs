//! What a container is like from the inside, and what becomes of it when somebody interferes.

use std::fs;
use std::time::{Duration, Instant};

use pgdrill_model::code::Code;
use pgdrill_model::world::{Command, Need, Place, Runtime};
use pgdrill_runtime::docker::DockerRuntime;
use pgdrill_testkit::contract::{Bench, sh, succeed, until};
use pgdrill_testkit::docker::required_or_skip;
use testcontainers::bollard::models::ContainerCreateBody;
use testcontainers::bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;

use super::{ThisEngine, containers, settings};

/// What a script prints, line by line.
async fn lines(place: &dyn Place, script: &str) -> Vec<String> {
    succeed(place, script).await.stdout.lines().map(|line| line.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_capability_no_network_and_nothing_of_the_host() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let place = bench.open().await;
    let status = lines(&*place, "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs)' /proc/self/status").await;
    let nothing = "0000000000000000";
    let expected = [
        format!("CapPrm:\t{nothing}"),
        format!("CapEff:\t{nothing}"),
        format!("CapBnd:\t{nothing}"),
        "NoNewPrivs:\t1".to_owned(),
    ];
    assert_eq!(status, expected);
    assert_eq!(lines(&*place, "ls /sys/class/net").await, ["lo"]);
    assert_eq!(lines(&*place, "ls /var/run/docker.sock /run/docker.sock 2>/dev/null; true").await, [""; 0]);

    let root = place.run(&sh("echo x > /etc/pgdrill")).await.unwrap();
    assert!(root.stderr.contains("Read-only file system"), "{}", root.stderr);
    succeed(&*place, "echo x > /tmp/x && echo x > /run/x").await;
    // Sixty-four megabytes of shared memory would not do.
    succeed(&*place, "head -c 200000000 /dev/zero > /dev/shm/x").await;

    // The account has a name, and is the only one.
    assert_eq!(lines(&*place, "id -un; wc -l < /etc/passwd").await, [place.facts().user.as_str(), "1"]);
    let facts = place.facts().clone();
    assert_eq!(facts.shared, [""; 0]);
    assert!(facts.image_digest.is_some_and(|digest| digest.starts_with("sha256:") && digest.len() == 71));
    assert_eq!(facts.image, Some(format!("pgdrill/postgres:{}", bench.need.major)));
    assert!(facts.engine.is_some_and(|engine| engine.contains('.')));
    bench.close(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_servers_container_does_not_see_the_primarys_files() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let primary = bench.open().await;
    succeed(&*primary, "echo mine > data/file").await;
    bench.make_dirs(&["archive", "restored"]);
    fs::write(bench.path("archive/segment"), "wal\n").unwrap();
    let need = Need {
        server: "restored".to_owned(),
        writable: vec![bench.path("restored")],
        readable: vec![bench.path("archive")],
        ..bench.need.clone()
    };
    let restored = bench.runtime.open(&need).await.unwrap();
    assert_eq!(lines(&*restored, "ls").await, ["archive", "docker", "restored"]);
    let gone = restored.run(&sh("cat data/file")).await.unwrap();
    assert!(gone.stderr.contains("No such file"), "{}", gone.stderr);
    let archive = restored.run(&sh("echo x >> archive/segment; rm archive/segment")).await.unwrap();
    assert!(archive.stderr.contains("Read-only file system"), "{}", archive.stderr);
    assert_eq!(fs::read_to_string(bench.path("archive/segment")).unwrap(), "wal\n");
    succeed(&*restored, "echo x > restored/file").await;
    // Nor its processes.
    let _sleep = primary.spawn(&Command::system("sleep", ["7901"])).await.unwrap();
    assert_eq!(
        lines(&*restored, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '790[1]'; true").await,
        ["0"]
    );
    assert_eq!(restored.close().await, []);
    bench.close(primary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_there_yet_is_made_for_the_account() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let need = Need { writable: vec![bench.path("fresh")], ..bench.need.clone() };
    let place = bench.runtime.open(&need).await.unwrap();
    succeed(&*place, "echo x > fresh/file").await;
    bench.close(place).await;
    assert_eq!(fs::read_to_string(bench.path("fresh/file")).unwrap(), "x\n");
    // Nothing of the container's own files stays.
    assert!(!bench.path("docker").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_loses_its_parent_is_reaped_by_the_first_process() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let place = bench.open().await;
    succeed(&*place, "for n in 1 2 3; do (sleep 0.1 &); done; sleep 0.3").await;
    let zombies = lines(&*place, "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '; true").await;
    assert_eq!(zombies, ["0"]);
    bench.close(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_somebody_removes_starts_nothing_more_and_is_closed_without_a_word() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let place = bench.open().await;
    let mut sleep = place.spawn(&Command::system("sleep", ["7902"])).await.unwrap();
    let docker = docker_client_instance().await.unwrap();
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    docker.remove_container(&format!("pgdrill-{}-primary", bench.need.run_id), Some(options)).await.unwrap();
    assert_eq!(sleep.wait().await.unwrap().signal, Some(9));
    assert!(!sleep.running());
    let unable = place.run(&sh("true")).await.unwrap_err();
    assert_eq!(unable.code, Code::ServerLost);
    assert!(unable.message.contains("of the server 'primary' was ended by somebody"), "{unable}");
    bench.close(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_a_container_takes_no_grace_time() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let place = bench.open().await;
    let docker = docker_client_instance().await.unwrap();
    let started = Instant::now();
    docker.stop_container(&format!("pgdrill-{}-primary", bench.need.run_id), None).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    bench.close(place).await;
}

/// Where a process's numbers mean something, as the labels of containers say it.
fn realm() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    format!("{}/{}", boot.trim(), fs::read_link("/proc/self/ns/pid").unwrap().display())
}

/// The process number with its start time, the 22nd field of its entry.
fn identity(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
    format!("{pid}-{start}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_made_and_never_started_is_found_when_its_holder_is_dead() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let docker = docker_client_instance().await.unwrap();
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let dead = identity(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let alive = identity(std::process::id());
    let run_id = &bench.need.run_id;
    for (server, holder) in [("dead", dead), ("held", alive)] {
        let labels = [
            ("pgdrill.run", run_id.clone()),
            ("pgdrill.server", server.to_owned()),
            ("pgdrill.holder", format!("{holder}@{}", realm())),
        ];
        let body = ContainerCreateBody {
            image: Some(format!("pgdrill/postgres:{}", bench.need.major)),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            ..ContainerCreateBody::default()
        };
        let options =
            CreateContainerOptionsBuilder::new().name(&format!("pgdrill-{run_id}-{server}")).build();
        docker.create_container(Some(options), body).await.unwrap();
    }
    let strays = bench.runtime.strays().await.unwrap();
    let ours: Vec<_> = strays.iter().filter(|stray| stray.run_id == *run_id).collect();
    let reaped = match ours[..] {
        [only] => bench.runtime.reap(only).await,
        _ => panic!("{ours:?}"),
    };
    let left = containers(run_id);
    docker.remove_container(&format!("pgdrill-{run_id}-held"), None).await.unwrap();
    reaped.unwrap();
    assert_eq!(ours[0].what, format!("container pgdrill-{run_id}-dead of the server 'dead'"));
    assert!(left.contains("-held") && !left.contains("-dead"), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_that_containers_can_be_used_and_leaves_nothing() {
    if !required_or_skip(&[]) {
        return;
    }
    let parent = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let runtime = DockerRuntime::new(settings());
    runtime.probe(&parent.path().join("base")).await.unwrap();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    let survey = runtime.survey().await;
    assert!(survey.engine.is_some() && survey.problems.is_empty() && !survey.images.is_empty());
    let majors: Vec<_> = survey.images.iter().map(|(major, _)| *major).collect();
    assert_eq!(runtime.majors().await.unwrap(), majors);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_a_command_is_tens_of_milliseconds() {
    if !required_or_skip(&[]) {
        return;
    }
    let bench = Bench::new(&ThisEngine).await;
    let (mut opened, mut ran, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let started = Instant::now();
        let place = bench.open().await;
        opened.push(started.elapsed());
        for _ in 0..10 {
            let started = Instant::now();
            assert!(place.run(&Command::system("true", [""; 0])).await.unwrap().success());
            ran.push(started.elapsed());
        }
        let mut sleep = place.spawn(&Command::system("sleep", ["600"])).await.unwrap();
        place.signal(sleep.pid(), pgdrill_model::world::Signal::Kill).await.unwrap();
        sleep.wait().await.unwrap();
        let started = Instant::now();
        bench.close(place).await;
        closed.push(started.elapsed());
    }
    for (what, mut took) in
        [("opening a place", opened), ("a run of `true`", ran), ("closing a place", closed)]
    {
        took.sort();
        #[allow(clippy::print_stderr, reason = "a measurement that a test program prints")]
        {
            eprintln!("{what}: median {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
        }
        assert!(took[took.len() / 2] < Duration::from_secs(2), "{what}: {took:?}");
    }
    until("nothing is left", Duration::from_secs(5), || containers(&bench.need.run_id) == "[]").await;
}
