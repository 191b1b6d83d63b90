//! What the user's environment says about the docker runtime.

use std::ffi::OsString;

use pgdrill_model::event::Limits;

use crate::program::DEFAULT_PATH;

/// The settings of the docker runtime. How the engine is reached is read from the process's own environment
/// (`DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`) by the client library; what is here of it is for messages
/// and for refusing what the library does not understand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerSettings {
    /// The image, with `{major}` where the major version belongs; none for `pgdrill/postgres:{major}` where the engine
    /// has it, else `postgres:{major}`.
    pub image: Option<String>,
    /// The account to run as where pgdrill is root.
    pub user: Option<String>,
    /// What each container may take of the machine at the most.
    pub limits: Limits,
    /// Where programs of this host are, in the form of `PATH`.
    pub path: Option<OsString>,
    /// Where the engine listens, as `DOCKER_HOST` says it.
    pub host: Option<String>,
    /// Whether TLS is asked for without saying where the certificates are.
    pub certificates_missing: bool,
}

impl DockerSettings {
    /// Takes `PGDRILL_IMAGE`, `PGDRILL_USER`, `PATH`, `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` from an
    /// environment.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| given(name).map(|value| value.to_string_lossy().into_owned());
        let host = text("DOCKER_HOST");
        let encrypted = match host.as_deref().and_then(|host| host.split_once("://")) {
            Some(("https", _)) => true,
            Some(("tcp" | "http", _)) => text("DOCKER_TLS_VERIFY").as_deref() == Some("1"),
            _ => false,
        };
        Self {
            image: text("PGDRILL_IMAGE"),
            user: text("PGDRILL_USER"),
            limits: Limits::default(),
            path: given("PATH"),
            certificates_missing: encrypted && given("DOCKER_CERT_PATH").is_none(),
            host,
        }
    }

    /// The search path of this host, never empty.
    pub(super) fn search_path(&self) -> OsString {
        self.path.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> DockerSettings {
        DockerSettings::from_env(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn settings_come_from_the_environment_that_is_handed_in() {
        let settings =
            from(&[("PGDRILL_IMAGE", "mine:{major}"), ("PGDRILL_USER", ""), ("DOCKER_HOST", "unix:///x")]);
        assert_eq!(settings.image.as_deref(), Some("mine:{major}"));
        assert_eq!(settings.host.as_deref(), Some("unix:///x"));
        assert_eq!(settings.user, None, "an empty variable says nothing");
        assert_eq!(from(&[]), DockerSettings::default());
    }

    #[test]
    fn tls_without_certificates_is_seen() {
        let tcp = ("DOCKER_HOST", "tcp://engine:2376");
        assert!(from(&[tcp, ("DOCKER_TLS_VERIFY", "1")]).certificates_missing);
        assert!(from(&[("DOCKER_HOST", "https://engine:2376")]).certificates_missing);
        assert!(!from(&[tcp, ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")]).certificates_missing);
        assert!(!from(&[tcp]).certificates_missing);
        assert!(!from(&[("DOCKER_TLS_VERIFY", "1")]).certificates_missing, "a socket of this host");
    }
}
