//! Images that are not there, or are not what their name says. They are made from those of the tests, and removed.

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::world::Runtime;
use pgdrill_runtime::docker::{DockerRuntime, DockerSettings};
use pgdrill_testkit::contract::{Bench, succeed};
use pgdrill_testkit::docker::{image, required_or_skip};
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{ContainerConfig, ContainerCreateBody};
use testcontainers::bollard::query_parameters::{
    CommitContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    StartContainerOptions, TagImageOptionsBuilder, WaitContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;

use super::{ThisEngine, containers, settings};

/// A change to an image's configuration that changes nothing.
const PLAIN: &str = "LABEL pgdrill.test=1";

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

    /// One of the tests' images after a script has run in it as root, with a change to its configuration.
    async fn change(major: u16, repository: &str, script: &str, change: &str) -> Self {
        use futures_util::StreamExt;
        let docker = docker_client_instance().await.unwrap();
        let body = ContainerCreateBody {
            image: Some(image(major)),
            entrypoint: Some(vec!["sh".to_owned()]),
            cmd: Some(["-c", script].map(str::to_owned).to_vec()),
            network_disabled: Some(true),
            ..ContainerCreateBody::default()
        };
        let id = docker.create_container(None, body).await.unwrap().id;
        docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        let wait = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let ended: Vec<_> = docker.wait_container(&id, Some(wait)).collect().await;
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
        assert!(ended.iter().all(Result::is_ok), "{script}: {ended:?}");
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
    if !required_or_skip(&[15]) {
        return;
    }
    let made = Made::change(15, "shell-less", "rm -f /bin/sh /usr/bin/sh", PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ImageUnsuitable, "{unable}");
    assert!(unable.message.contains("has no `sh`"), "{unable}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_postgresql_or_without_a_part_of_it_is_named() {
    if !required_or_skip(&[15]) {
        return;
    }
    let made = Made::change(15, "empty", "rm -rf /usr/lib/postgresql", PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ImageUnsuitable);
    assert!(unable.message.contains("holds no PostgreSQL server"), "{unable}");
    let made = Made::change(15, "partial", "rm /usr/lib/postgresql/15/bin/pg_basebackup", PLAIN).await;
    let unable = made.refusal(15).await;
    assert_eq!(unable.code, Code::ProgramMissing);
    assert!(unable.message.ends_with("which lacks pg_basebackup"), "{unable}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_entrypoint_nor_the_volumes_of_an_image_are_used() {
    if !required_or_skip(&[15]) {
        return;
    }
    let change = "ENTRYPOINT [\"/bin/false\"]\nVOLUME /var/lib/postgresql/data\nENV PGDATA=/var/lib/postgresql/data\n\
                  HEALTHCHECK CMD false\nEXPOSE 5432";
    let made = Made::change(15, "official", "true", change).await;
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
