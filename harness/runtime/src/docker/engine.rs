//! The container engine: reaching it, and what its errors mean.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::error::{ClientError, TestcontainersError};

use super::DockerSettings;

/// How long the engine may take to answer anything. Streams are not bounded by it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// An engine's message can hold half its configuration.
const LONGEST_MESSAGE: usize = 400;

/// Where an engine usually listens.
const USUAL: &str = "unix:///var/run/docker.sock";

/// An engine that answers.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    /// Where it listens.
    host: String,
    /// Its name and version: `docker 28.2.2`.
    pub(super) version: String,
}

impl Engine {
    /// Reaches the engine.
    pub(super) async fn reach(settings: &DockerSettings) -> Result<Self, Unable> {
        let host = settings.host.clone().unwrap_or_else(|| USUAL.to_owned());
        refuse_what_is_not_understood(settings, &host)?;
        let docker = match docker_client_instance().await {
            Ok(docker) => docker.with_timeout(ANSWER_LIMIT),
            Err(ClientError::Init(error)) => return Err(unanswered(&host, &error)),
            Err(error) => return Err(engine_unusable(&host, &error.to_string())),
        };
        let mut engine = Self { docker, host, version: String::new() };
        let found =
            engine.docker.version().await.map_err(|error| engine.unable("say its version", &error))?;
        let version = found.version.unwrap_or_default();
        let podman = found.components.unwrap_or_default().iter().any(|part| part.name.starts_with("Podman"));
        engine.version = format!("{} {version}", if podman { "podman" } else { "docker" });
        Ok(engine)
    }

    /// What an error of the engine's means; `doing` is what it was asked to do, as in `start a container`.
    pub(super) fn unable(&self, doing: &str, error: &Error) -> Unable {
        match error {
            Error::DockerResponseServerError { message, .. }
            | Error::DockerStreamError { error: message } => self.refusal(doing, message),
            Error::RequestTimeoutError => Unable::new(
                Code::EngineUnusable,
                format!(
                    "the container engine at {} did not {doing} within {} s",
                    self.host,
                    ANSWER_LIMIT.as_secs()
                ),
            ),
            error => unanswered(&self.host, error),
        }
    }

    /// What a message means with which the engine refused to do something.
    pub(super) fn refusal(&self, doing: &str, message: &str) -> Unable {
        let full = message.contains("no space left on device") || message.contains("disk quota exceeded");
        let (code, disk) =
            if full { (Code::DiskFull, ", because its disk is full") } else { (Code::EngineUnusable, "") };
        let unable = Unable::new(
            code,
            format!("the container engine at {} could not {doing}{disk}: {}", self.host, bounded(message)),
        );
        if full {
            return unable.hint("Free space on the engine's disk: `docker system df` says what takes it.");
        }
        unable
    }

    /// The same for an error of the client library.
    pub(super) fn unable_by(&self, doing: &str, error: &TestcontainersError) -> Unable {
        match cause(error) {
            Some(cause) => self.unable(doing, cause),
            None => self.refusal(doing, &error.to_string()),
        }
    }

    /// Removes a container with its anonymous volumes, whatever state it is in. One that is gone is success.
    pub(super) async fn remove(&self, container: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.docker.remove_container(container, Some(options)).await {
            // 409: it is being removed already, because its lease has ended.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// Whether a container runs.
    pub(super) async fn runs(&self, container: &str) -> Result<bool, Error> {
        match self.docker.inspect_container(container, None).await {
            Ok(found) => Ok(found.state.is_some_and(|state| state.running == Some(true))),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the engine still knows a container.
    pub(super) async fn knows(&self, container: &str) -> Result<bool, Error> {
        match self.docker.inspect_container(container, None).await {
            Ok(_) => Ok(true),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The engine's error behind one of the client library's.
pub(super) fn cause(error: &TestcontainersError) -> Option<&Error> {
    match error {
        TestcontainersError::Client(
            ClientError::CreateContainer(cause)
            | ClientError::StartContainer(cause)
            | ClientError::InspectContainer(cause)
            | ClientError::InspectNetwork(cause)
            | ClientError::PullImage { err: cause, .. }
            | ClientError::Init(cause),
        ) => Some(cause),
        _ => None,
    }
}

/// What the engine said, if it said something.
pub(super) fn said(error: &Error) -> Option<&str> {
    match error {
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            Some(message)
        }
        _ => None,
    }
}

/// The beginning of a message, on one line.
pub(super) fn bounded(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() <= LONGEST_MESSAGE {
        return line;
    }
    format!("{} ...", &line[..line.floor_char_boundary(LONGEST_MESSAGE)])
}

fn engine_unusable(host: &str, why: &str) -> Unable {
    Unable::new(
        Code::EngineUnusable,
        format!("the container engine at {host} cannot be used: {}", bounded(why)),
    )
}

fn refuse_what_is_not_understood(settings: &DockerSettings, host: &str) -> Result<(), Unable> {
    if settings.certificates_missing {
        return Err(engine_unusable(
            host,
            "it is to be reached by TLS, and DOCKER_CERT_PATH does not say where the certificates are",
        )
        .hint("Set DOCKER_CERT_PATH to the directory of key.pem, cert.pem and ca.pem."));
    }
    let scheme = host.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["unix", "tcp", "http", "https"].contains(&scheme) {
        return Err(engine_unusable(
            host,
            "DOCKER_HOST must begin with unix://, tcp://, http:// or https://",
        )
        .hint("Containers must see this host's files, so that only an engine on this host can be used."));
    }
    Ok(())
}

/// What it means that the engine did not answer.
fn unanswered(host: &str, error: &Error) -> Unable {
    let mut words = error.to_string();
    let mut denied = false;
    let mut source = error.source();
    while let Some(deeper) = source {
        denied |= deeper
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        words = deeper.to_string();
        source = deeper.source();
    }
    let socket = host.strip_prefix("unix://").map(Path::new);
    if socket.is_some_and(|socket| !socket.exists()) && !denied {
        "there is no such socket".clone_into(&mut words);
    }
    let unable = Unable::new(
        Code::EngineUnusable,
        format!("the container engine at {host} does not answer: {}", bounded(&words)),
    );
    unable.hint(if denied {
        "Let this account use the engine: usually by membership in the group `docker`."
    } else {
        "Start the engine, or say in DOCKER_HOST where it listens (docker contexts are not looked at); \
         `--runtime local` runs servers without containers."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_host(host: &str) -> DockerSettings {
        DockerSettings { host: Some(host.to_owned()), ..DockerSettings::default() }
    }

    #[test]
    fn what_is_not_understood_is_refused_before_anything_is_tried() {
        for host in ["ssh://somewhere", "/var/run/docker.sock"] {
            let unable = refuse_what_is_not_understood(&with_host(host), host).unwrap_err();
            assert_eq!(unable.code, Code::EngineUnusable);
            assert!(unable.message.contains(host) && unable.hint.is_some(), "{unable}");
        }
        let settings = DockerSettings { certificates_missing: true, ..with_host("tcp://x:1") };
        let unable = refuse_what_is_not_understood(&settings, "tcp://x:1").unwrap_err();
        assert!(unable.message.contains("DOCKER_CERT_PATH"), "{unable}");
        assert!(refuse_what_is_not_understood(&with_host("tcp://x:1"), "tcp://x:1").is_ok());
    }

    #[tokio::test]
    async fn a_full_disk_of_the_engine_is_told_from_other_refusals_and_long_words_are_cut() {
        let docker =
            Docker::connect_with_http("http://127.0.0.1:1", 1, testcontainers::bollard::API_DEFAULT_VERSION)
                .unwrap();
        let engine = Engine { docker, host: "here".to_owned(), version: String::new() };
        let error = |message: &str| Error::DockerResponseServerError {
            status_code: 500,
            message: message.to_owned(),
        };
        let full = "mkdir /var/lib/docker/overlay2/0a1b-init: no space left on device";
        let unable = engine.unable("start a container", &error(full));
        assert_eq!(unable.code, Code::DiskFull);
        assert!(
            unable.message.contains("could not start a container, because its disk is full: mkdir"),
            "{unable}"
        );
        let unable = engine.unable("start a container", &error(&"ä\n".repeat(10_000)));
        assert_eq!(unable.code, Code::EngineUnusable);
        assert!(unable.message.len() < LONGEST_MESSAGE + 100 && !unable.message.contains('\n'));
    }
}
