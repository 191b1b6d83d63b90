//! What pgdrill takes from its own surroundings: environment, machine, identity.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use pgdrill_model::event::{Host, Limits};
use pgdrill_model::redact::Redactor;
use pgdrill_model::world::Runtime;
use pgdrill_runtime::docker::{DockerRuntime, DockerSettings};
use pgdrill_runtime::local::{LocalRuntime, LocalSettings};

use crate::memory;

/// The local runtime, with what the environment says about it.
pub fn local_runtime() -> LocalRuntime {
    LocalRuntime::new(LocalSettings::from_env(|name| std::env::var_os(name)))
}

/// Who is to own restored files, as user and group, where root restores: PostgreSQL refuses to run as root. Without a name
/// it is `postgres`, if there is such an account.
///
/// # Errors
///
/// An account that was named and is not there, or cannot be taken because pgdrill is not root.
pub fn owner_of_files(name: Option<&str>) -> anyhow::Result<Option<(u32, u32)>> {
    let settings = LocalSettings::from_env(|name| std::env::var_os(name));
    let user = name.or(Some("postgres")).map(str::to_owned);
    let owner = LocalRuntime::new(LocalSettings { user, ..settings }).owner();
    match (owner, name) {
        (Ok(Some(owner)), _) => Ok(Some((owner.uid, owner.gid))),
        (Ok(None), None) | (Err(_), None) => Ok(None),
        (Ok(None), Some(name)) => anyhow::bail!("only root can give files to {name}: leave out --owner"),
        (Err(unable), Some(_)) => anyhow::bail!(unable.message),
    }
}

/// The docker runtime, with what the environment says about it; `image` goes before the environment's.
pub fn docker_runtime(image: Option<&str>, limits: Limits) -> DockerRuntime {
    let settings = DockerSettings::from_env(|name| std::env::var_os(name));
    let image = image.map(str::to_owned).or(settings.image);
    DockerRuntime::new(DockerSettings { image, limits, ..settings })
}

/// A redactor for what the environment holds of secrets.
pub fn redactor() -> Redactor {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    Redactor::for_environment(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
}

/// The machine, and what servers may take of it.
pub fn host(limits: Limits) -> Host {
    Host {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        memory_bytes: memory::now().total,
        limits,
    }
}

/// This program, by its version and its file: one that was built anew is another. None where the file cannot be told.
pub fn program() -> Option<String> {
    let file = std::env::current_exe().and_then(std::fs::metadata).ok()?;
    let changed = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("pgdrill {}, {} bytes of {}", env!("CARGO_PKG_VERSION"), file.len(), changed.as_nanos()))
}

/// A fresh run id: ten characters that no other run has, on this host or, as good as certainly, on another.
pub fn run_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let machine = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    let mut mixed =
        nanos ^ u64::from(std::process::id()) << 40 ^ u64::from(COUNT.fetch_add(1, Ordering::Relaxed));
    for byte in machine.bytes() {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }
    (0..10).map(|place| char::from(DIGITS[(mixed >> (place * 5) & 31) as usize])).collect()
}

/// A number that nobody foresees.
pub fn chance() -> u32 {
    run_id().bytes().fold(0, |number: u32, byte| number.rotate_left(5) ^ u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_do_not_repeat() {
        let mut ids: Vec<String> = (0..10_000).map(|_| run_id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 10));
    }
}
