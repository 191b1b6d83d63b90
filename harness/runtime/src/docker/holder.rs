//! Who holds a container, written on the container, so that those of the dead can be told from those of the living.

use std::fs;

use crate::table::Identity;

/// The process that holds a container, and where its number means something: numbers of processes are used again
/// after the machine was started anew, and each container has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    process: Identity,
    /// The boot of the machine, and the namespace of process numbers on it.
    realm: String,
}

/// What can be said about a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    /// It is, or was, a process of another machine, boot or container.
    Unknown,
}

impl Holder {
    /// This process.
    pub(super) fn own() -> Self {
        Self { process: Identity::own(), realm: realm() }
    }

    /// As a label's value.
    pub(super) fn label(&self) -> String {
        format!("{}-{}@{}", self.process.pid, self.process.start, self.realm)
    }

    /// From a label's value.
    pub(super) fn read(label: &str) -> Option<Self> {
        let (process, realm) = label.split_once('@')?;
        let (pid, start) = process.split_once('-')?;
        Some(Self {
            process: Identity { pid: pid.parse().ok()?, start: start.parse().ok()? },
            realm: realm.to_owned(),
        })
    }

    /// Whether it lives, as far as can be told from here.
    pub(super) fn life(&self) -> Life {
        // Where /proc hides other people's processes, one that cannot be seen may well be alive.
        if self.realm.is_empty() || self.realm != realm() || fs::read_to_string("/proc/1/stat").is_err() {
            return Life::Unknown;
        }
        if self.process.alive() { Life::Alive } else { Life::Dead }
    }
}

/// Empty where it cannot be known.
fn realm() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let numbers = fs::read_link("/proc/self/ns/pid").ok();
    match (boot, numbers) {
        (Some(boot), Some(numbers)) => format!("{}/{}", boot.trim(), numbers.display()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_is_written_and_is_judged_only_where_it_can_be() {
        let own = Holder::own();
        assert_eq!(Holder::read(&own.label()), Some(own.clone()));
        assert_eq!(own.life(), Life::Alive);
        let dead = Identity { start: own.process.start + 1, ..own.process };
        assert_eq!(Holder { process: dead, ..own.clone() }.life(), Life::Dead);
        assert_eq!(Holder { process: dead, realm: "another".to_owned() }.life(), Life::Unknown);
        assert_eq!(Holder { realm: String::new(), ..own }.life(), Life::Unknown);
        for wrong in ["", "1-2", "x-2@y", "1@y"] {
            assert_eq!(Holder::read(wrong), None, "{wrong}");
        }
    }
}
