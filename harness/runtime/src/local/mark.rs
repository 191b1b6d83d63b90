//! The mark: how a process of a place is told from all others, and a living place from an abandoned one.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use pgdrill_model::finding::Unable;

use super::table::{Entry, Identity};

/// The variable that every process of a place carries; its value is the place's [`Mark`].
pub(super) const MARK: &str = "PGDRILL_PLACE";

/// What the leader calls itself, so that people who list processes see what it is.
pub(super) const NAME: &str = "pgdrill-lease";

/// Which place a process belongs to, and who holds it. Written `RUN/SERVER/PID-START-NUMBER/`; the slash at
/// the end keeps one mark from being the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) run_id: String,
    pub(super) server: String,
    pub(super) holder: Identity,
    number: u64,
}

impl Mark {
    /// A new one, held by this process.
    pub(super) fn new(run_id: &str, server: &str) -> Result<Self, Unable> {
        static OPENED: AtomicU64 = AtomicU64::new(1);
        for name in [run_id, server] {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                return Err(Unable::bug(format!("'{name}' cannot name a run or a server of a local place")));
            }
        }
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self { run_id: run_id.to_owned(), server: server.to_owned(), holder: Identity::own(), number })
    }

    /// The mark that a process carries.
    pub(super) fn on(entry: &Entry) -> Option<Self> {
        entry.variable(MARK)?.parse().ok()
    }

    /// The mark of the place whose lease this process is.
    pub(super) fn led_by(entry: &Entry) -> Option<Self> {
        let arguments = entry.arguments();
        let name = arguments.iter().position(|argument| argument == NAME)?;
        let [run, server, holder] = arguments.get(name + 1..name + 4)? else {
            return None;
        };
        format!("{run}/{server}/{holder}/").parse().ok()
    }

    /// The holder as the leader is told of it.
    pub(super) fn holder_argument(&self) -> String {
        format!("{}-{}-{}", self.holder.pid, self.holder.start, self.number)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/", self.run_id, self.server, self.holder_argument())
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('/').collect();
        let [run_id, server, holder, ""] = parts[..] else {
            return Err(());
        };
        let numbers: Vec<u64> = holder.split('-').map_while(|number| number.parse().ok()).collect();
        let [pid, start, number] = numbers[..] else {
            return Err(());
        };
        let holder = Identity { pid: u32::try_from(pid).map_err(|_| ())?, start };
        Ok(Self { run_id: run_id.to_owned(), server: server.to_owned(), holder, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::code::Code;

    #[test]
    fn a_mark_is_read_as_it_is_written() {
        let mark = Mark::new("20250101-ab12", "primary").unwrap();
        assert_eq!(mark.to_string().parse(), Ok(mark.clone()));
        assert!(mark.holder.alive());
        for other in ["", "run/server/1-2-3", "run/server/1-2/", "a/run/server/1-2-3/", "run/server/1-2-x/"] {
            assert!(other.parse::<Mark>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_name_that_would_blur_the_mark_is_refused() {
        for name in ["", "a/b", "a b", "ü"] {
            assert_eq!(Mark::new(name, "primary").unwrap_err().code, Code::InternalError);
        }
    }
}
