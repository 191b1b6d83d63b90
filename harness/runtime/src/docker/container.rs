//! Making a container: what it may see, and what is taken from it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pgdrill_model::code::Code;
use pgdrill_model::event::Limits;
use pgdrill_model::finding::Unable;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::models::{HostConfig, HostConfigLogConfig};
use testcontainers::core::{AccessMode, Healthcheck, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt, TestcontainersError};

use super::engine::{self, Engine};
use super::holder::Holder;
use super::image::Found;
use super::lease::Files;
use crate::account::Account;

/// Labels of a container: the run, the server, and who holds it.
pub(super) const RUN: &str = "pgdrill.run";
pub(super) const SERVER: &str = "pgdrill.server";
pub(super) const HOLDER: &str = "pgdrill.holder";

/// What the first process runs.
const LEASE: &str = include_str!("lease.sh");

/// Shared memory of the container. The usual 64 MB break parallel queries; only what is used takes memory.
const SHARED_MEMORY: u64 = 2 << 30;

/// Where programs may write for themselves; gone with the container.
const SCRATCH: [&str; 3] = ["/tmp", "/run", "/var/tmp"];

/// A container to be.
pub(super) struct Order<'a> {
    pub(super) name: String,
    pub(super) run_id: &'a str,
    pub(super) server: &'a str,
    pub(super) image: &'a Found,
    pub(super) account: &'a Account,
    pub(super) workspace: &'a Path,
    pub(super) files: &'a Files,
    pub(super) writable: &'a [PathBuf],
    pub(super) readable: &'a [PathBuf],
    pub(super) limits: Limits,
}

/// A script without its comments, as an argument for `sh -c`.
pub(super) fn script(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

impl Order<'_> {
    fn request(&self) -> Result<ContainerRequest<GenericImage>, Unable> {
        let text = |path: &Path| {
            path.to_str().map(str::to_owned).ok_or_else(|| {
                let message = format!("{} cannot be mounted: its name is no UTF-8", path.display());
                Unable::new(Code::WorkspaceUnusable, message)
            })
        };
        let fifo = text(&self.files.fifo())?;
        let mut request = self
            .image
            .generic()
            .with_entrypoint("sh")
            .with_cmd(["-c", &script(LEASE), "pgdrill-lease", &fifo])
            .with_container_name(&self.name)
            .with_labels([(RUN, self.run_id), (SERVER, self.server), (HOLDER, &Holder::own().label())])
            .with_user(format!("{}:{}", self.account.uid, self.account.gid))
            .with_working_dir(text(self.workspace)?)
            .with_shm_size(SHARED_MEMORY)
            .with_cap_drop("ALL")
            .with_security_opt("no-new-privileges")
            // Where SELinux rules, containers may not touch files without its label, and the workspace must not get it.
            .with_security_opt("label=disable")
            .with_readonly_rootfs(true)
            .with_health_check(Healthcheck::none());
        let mut mounts = vec![(fifo, AccessMode::ReadOnly, None)];
        mounts.push((text(&self.files.passwd())?, AccessMode::ReadOnly, Some("/etc/passwd")));
        mounts.push((text(&self.files.group())?, AccessMode::ReadOnly, Some("/etc/group")));
        for (paths, access) in [(self.readable, AccessMode::ReadOnly), (self.writable, AccessMode::ReadWrite)]
        {
            for path in paths {
                mounts.push((text(path)?, access, None));
            }
        }
        for (source, access, target) in mounts {
            let target = target.map_or_else(|| source.clone(), str::to_owned);
            request = request.with_mount(Mount::bind_mount(source, target).with_access_mode(access));
        }
        let (uid, gid) = (self.account.uid, self.account.gid);
        // Where the image has the directory, some engines keep its mode; the owner is kept by none.
        let options = format!("rw,nosuid,nodev,noexec,mode=1777,uid={uid},gid={gid}");
        let scratch: HashMap<_, _> = self.scratch().map(|path| (path, options.clone())).collect();
        let limits = self.limits;
        Ok(request.with_host_config_modifier(move |config| {
            seclude(config, scratch.clone());
            limit(config, limits);
        }))
    }

    /// Directories in memory. Where the image wants a volume, one of these keeps the engine from making it.
    fn scratch(&self) -> impl Iterator<Item = String> {
        let volumes = self.image.volumes.iter().filter(|volume| volume.starts_with('/') && *volume != "/");
        SCRATCH.map(str::to_owned).into_iter().chain(volumes.cloned())
    }

    /// Makes and starts the container, and gives its id. Where that fails nothing is left.
    pub(super) async fn start(&self, engine: &Engine) -> Result<String, Unable> {
        let request = self.request()?;
        let (docker, name) = (engine.clone(), self.name.clone());
        // On a task of its own: a caller who no longer wants it must not leave half a container behind.
        let starting = tokio::spawn(async move {
            let started = request.start().await;
            if started.is_err() {
                // The library leaves a container that was made and did not start.
                let _ = docker.remove(&name).await;
            }
            started
        });
        match starting.await {
            Ok(Ok(container)) => {
                let id = container.id().to_owned();
                // Its destructor would remove the container, and wait for that. Our lease does, and does not wait.
                std::mem::forget(container);
                Ok(id)
            }
            Ok(Err(error)) => Err(self.not_started(engine, &error)),
            Err(error) => Err(Unable::bug(format!("starting a container failed: {error}"))),
        }
    }

    fn not_started(&self, engine: &Engine, error: &TestcontainersError) -> Unable {
        let cause = engine::cause(error);
        let said = cause.and_then(engine::said).unwrap_or_default();
        let unsuitable = |what: &str| {
            Unable::new(Code::ImageUnsuitable, format!("the image {} {what}", self.image.reference))
                .hint("Name another image with --image or PGDRILL_IMAGE.")
        };
        if matches!(cause, Some(Error::DockerResponseServerError { status_code: 404, .. }))
            && said.contains("image")
        {
            let message = format!("the image {} was removed just now", self.image.reference);
            return Unable::new(Code::ImageMissing, message);
        }
        if said.contains("executable file not found") || said.contains("\"sh\"") {
            return unsuitable("has no `sh`, without which no container of it can be used");
        }
        if said.contains("exec format error") {
            return unsuitable("is for another kind of processor");
        }
        let unable = engine.unable(
            &format!("start a container of the image {}", self.image.reference),
            match cause {
                Some(cause) => cause,
                None => return engine.unable_by("start a container", error),
            },
        );
        if said.contains("bind source path does not exist") {
            return unable.hint(
                "The engine does not see this host's files: it runs on another machine or in a virtual one. Use an \
                 engine on this host, or `--runtime local`.",
            );
        }
        unable
    }
}

/// What it may take of the machine. Nothing of it is put on disk to make room: that would only be slow.
fn limit(config: &mut HostConfig, limits: Limits) {
    let bytes = limits.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    (config.memory, config.memory_swap) = (bytes, bytes);
    config.nano_cpus =
        limits.cpu_millis.and_then(|millis| i64::try_from(millis).ok()?.checked_mul(1_000_000));
}

/// What the library has no words for: no network, no port, nothing left behind, nothing logged.
fn seclude(config: &mut HostConfig, scratch: HashMap<String, String>) {
    config.network_mode = Some("none".to_owned());
    config.publish_all_ports = Some(false);
    config.auto_remove = Some(true);
    config.ipc_mode = Some("private".to_owned());
    config.log_config = Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None });
    config.tmpfs = Some(scratch);
}
