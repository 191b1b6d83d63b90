//! Images that are not there, or are not what their name says. They are made from those of the tests, and removed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::world::Runtime;
use pgdrill_runtime::docker::{DockerRuntime, DockerSettings};
use pgdrill_testkit::contract::{Bench, succeed};
use pgdrill_testkit::docker::{image, required_or_skip};
use testcontainers::bollard::models::{ContainerConfig, ContainerCreateBody};
use testcontainers::bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use testcontainers::bollard::{Docker, body_full};
use testcontainers::core::client::docker_client_instance;

use super::{ThisEngine, containers, settings};

/// A change to an image's configuration that changes nothing.
const PLAIN: &str = "LABEL pgdrill.test=1";

/// A file of an image.
enum Content {
    /// A program of this host's, with the libraries that it needs.
    Program(&'static str),
    /// A shell script.
    Script(&'static str),
}

impl Content {
    fn put(&self, root: &Path, path: &str) {
        let target = root.join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match self {
            Self::Script(text) => fs::write(&target, format!("#!/bin/sh\n{text}\n")).unwrap(),
            Self::Program(program) => {
                fs::copy(program, &target).unwrap();
                let listed = Command::new("ldd").arg(program).output().unwrap();
                for library in String::from_utf8(listed.stdout).unwrap().split_whitespace() {
                    if let Some(inside) = library.strip_prefix('/') {
                        let copy = root.join(inside);
                        fs::create_dir_all(copy.parent().unwrap()).unwrap();
                        fs::copy(library, copy).unwrap();
                    }
                }
            }
        }
        fs::set_permissions(&target, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// An image of a test's own, removed with it.
struct Made {
    docker: Docker,
    reference: String,
}

impl Made {
    /// Another name for one of the tests' images.
    async fn tag(major: u16, repository: &str, tag: &str) -> Self {
        let docker = docker_client_instance().await.unwrap();
        let repository = format!("pgdrill-test/{repository}-{}", std::process::id());
        let options = TagImageOptionsBuilder::new().repo(&repository).tag(tag).build();
        docker.tag_image(&image(major), Some(options)).await.unwrap();
        Self { docker, reference: format!("{repository}:{tag}") }
    }

    /// One that holds `files` and nothing else, each a path with a program of this host's, or a script; with a change
    /// to its configuration.
    async fn import(repository: &str, files: &[(&str, Content)], change: &str) -> Self {
        use futures_util::StreamExt;
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            content.put(root.path(), path);
        }
        let packed = Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).output().unwrap();
        assert!(packed.status.success());
        let docker = docker_client_instance().await.unwrap();
        let repository = format!("pgdrill-test/{repository}-{}", std::process::id());
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(&repository)
            .tag("1")
            .changes(vec![change.to_owned()])
            .build();
        let imported = docker.create_image(Some(options), Some(body_full(packed.stdout.into())), None);
        let imported: Vec<_> = imported.collect().await;
        assert!(imported.iter().all(Result::is_ok), "{imported:?}");
        Self { docker, reference: format!("{repository}:1") }
    }

    /// One of the tests' images with a change to its configuration.
    async fn change(major: u16, repository: &str, change: &str) -> Self {
        let docker = docker_client_instance().await.unwrap();
        let body = ContainerCreateBody { image: Some(image(major)), ..ContainerCreateBody::default() };
        let id = docker.create_container(None, body).await.unwrap().id;
        let repository = format!("pgdrill-test/{repository}-{}", std::process::id());
        let options = CommitContainerOptionsBuilder::new()
            .container(&id)
            .repo(&repository)
            .tag("1")
            .changes(change)
            .build();
        let committed = docker.commit_container(options, ContainerConfig::default()).await;
        let remove = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        docker.remove_container(&id, Some(remove)).await.unwrap();
        committed.unwrap();
        Self { docker, reference: format!("{repository}:1") }
    }

    /// A runtime that uses it.
    fn runtime(&self) -> DockerRuntime {
        with_image(&self.reference)
    }

    /// Why no place can be opened in it.
    async fn refusal(&self, major: u16) -> Unable {
        refusal(&self.runtime(), major).await
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        let removed = self.docker.remove_image(&self.reference, Some(options), None);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(removed)).unwrap();
    }
}

fn with_image(reference: &str) -> DockerRuntime {
    DockerRuntime::new(DockerSettings { image: Some(reference.to_owned()), ..settings() })
}

async fn refusal(runtime: &DockerRuntime, major: u16) -> Unable {
    let bench = Bench::new(&ThisEngine).await;
    let need = pgdrill_model::world::Need { major: Major(major), ..bench.need.clone() };
    let Err(unable) = runtime.open(&need).await else { panic!("it was opened") };
    assert_eq!(containers(&need.run_id), "[]", "something is left");
    unable
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_nowhere_is_named_with_how_to_get_it() {
    if !required_or_skip(&[]) {
        return;
    }
    let runtime = with_image("127.0.0.1:1/none:{major}");
    assert_eq!(runtime.majors().await.unwrap(), []);
    let unable = refusal(&runtime, 15).await;
    assert_eq!(unable.code, Code::ImageMissing);
    assert!(
        unable.message.starts_with("the container engine has no image 127.0.0.1:1/none:15, and pulling"),
        "{unable}"
    );
    assert!(unable.message.contains("connection refused"), "{unable}");
    assert!(unable.hint.unwrap().starts_with("Run `docker pull 127.0.0.1:1/none:15`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_major_than_it_says_is_named_with_both() {
    if !required_or_skip(&[15]) {
        return;
    }
    let made = Made::tag(15, "pretends", "17").await;
    let template = made.reference.replace(":17", ":{major}");
    let runtime = with_image(&template);
    assert_eq!(runtime.majors().await.unwrap(), [Major(17)], "by its name, it is");
    let unable = refusal(&runtime, 17).await;
    assert_eq!(unable.code, Code::ImageUnsuitable);
    assert!(
        unable.message.contains("was asked for PostgreSQL 17, and holds postgres (PostgreSQL) 15."),
        "{unable}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_image_for_every_major_is_looked_into() {
    if !required_or_skip(&[15]) {
        return;
    }
    let made = Made::tag(15, "fixed", "latest").await;
    assert_eq!(made.runtime().majors().await.unwrap(), [Major(15)]);
    assert_eq!(made.refusal(17).await.code, Code::ImageUnsuitable);
    let bench = Bench::new(&ThisEngine).await;
    let need = pgdrill_model::world::Need { major: Major(15), ..bench.need.clone() };
    let place = made.runtime().open(&need).await.unwrap();
    assert_eq!(place.facts().image.as_deref(), Some(made.reference.as_str()));
    bench.close(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_shell_is_named() {
    if !required_or_skip(&[]) {
        return;
    }
    let made = Made::import("shell-less", &[("bin/true", Content::Program("/bin/true"))], PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ImageUnsuitable, "{unable}");
    assert!(unable.message.contains("has no `sh`"), "{unable}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_postgresql_or_without_a_part_of_it_is_named() {
    if !required_or_skip(&[]) {
        return;
    }
    let shell = || ("bin/sh", Content::Program("/bin/sh"));
    let env = || ("bin/env", Content::Program("/usr/bin/env"));
    let made = Made::import("env-less", &[shell()], PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ImageUnsuitable);
    assert!(unable.message.contains("has no program `env`"), "{unable}");
    let made = Made::import("empty", &[shell(), env()], PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ImageUnsuitable);
    assert!(unable.message.contains("holds no PostgreSQL server"), "{unable}");
    let postgres = ("opt/pg/bin/postgres", Content::Script("echo 'postgres (PostgreSQL) 15.99'"));
    let initdb = ("opt/pg/bin/initdb", Content::Script("true"));
    let made = Made::import("partial", &[shell(), env(), postgres, initdb], PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ProgramMissing);
    let lacks = "which lacks pg_basebackup, pg_waldump, pg_controldata";
    assert!(unable.message.contains("15.99 in /opt/pg/bin") && unable.message.ends_with(lacks), "{unable}");
    let postgres = ("usr/local/bin/postgres", Content::Script("echo 'libpq.so.5: not found' >&2; exit 127"));
    let made = Made::import("broken", &[shell(), env(), postgres], PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ImageUnsuitable);
    assert!(unable.message.contains("libpq.so.5: not found"), "{unable}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_entrypoint_nor_the_volumes_of_an_image_are_used() {
    if !required_or_skip(&[15]) {
        return;
    }
    let change = "ENTRYPOINT [\"/bin/false\"]\nVOLUME /var/lib/postgresql/data\nENV PGDATA=/var/lib/postgresql/data\n\
                  HEALTHCHECK CMD false\nEXPOSE 5432";
    let made = Made::change(15, "official", change).await;
    let bench = Bench::new(&ThisEngine).await;
    let need = pgdrill_model::world::Need { major: Major(15), ..bench.need.clone() };
    let place = made.runtime().open(&need).await.unwrap();
    let listed = containers(&need.run_id);
    assert!(!listed.contains("\"Type\":\"volume\""), "{listed}");
    assert!(!listed.contains("health") && !listed.contains("5432"), "{listed}");
    let shown = succeed(&*place, "echo ${PGDATA:-none}; echo x > /var/lib/postgresql/data/x").await;
    assert_eq!(shown.stdout, "none\n");
    bench.close(place).await;
}
