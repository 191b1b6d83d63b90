//! What a script can make of a call.

use std::fmt;
use std::sync::Arc;

use pgdrill_model::code::Code;
use pgdrill_model::world::Command;

use super::call::What;

/// What becomes of a call instead of what was asked, or after it.
#[derive(Clone)]
pub enum Fault {
    /// It cannot be done.
    Unable(Code),
    /// The program ends with this exit code and these words, and has done nothing.
    Exits(i32, &'static str),
    /// The program is killed (signal 9) before it has done anything.
    Killed,
    /// It never returns. The script says what happens then: time passes, or a person interrupts.
    Hangs,
    /// It says that it is done, and nothing was done: a program that returns 0, a server that "runs", a signal that
    /// was not sent.
    Lies,
    /// The started program is gone at once, and these are its last words in the log file.
    Dies(&'static str),
    /// The process is killed (signal 9) before the question is answered.
    Perishes,
    /// It is done, and then something is done to what the program made: a tool that did half of its work.
    Then(Arc<dyn Fn(&Command) + Send + Sync>),
    /// It is done, and it says that something would not end.
    Remains,
}

/// What a program says whose disk is full.
pub(super) const DISK_IS_FULL: &str = "error: could not write to file: No space left on device";

impl Fault {
    /// Whether it can come of such a call.
    pub fn fits(&self, what: &What) -> bool {
        match self {
            Self::Unable(_) => !matches!(what, What::Close | What::Running(_)),
            Self::Exits(..) | Self::Killed | Self::Then(_) => matches!(what, What::Run(_)),
            Self::Hangs => !matches!(what, What::Owner | What::Running(_)),
            Self::Lies => matches!(what, What::Run(_) | What::Spawn(_) | What::Signal(_)),
            Self::Dies(_) => matches!(what, What::Spawn(_)),
            Self::Perishes => matches!(what, What::Running(_)),
            Self::Remains => matches!(what, What::Close),
        }
    }

    /// Every kind of fault that can come of such a call, but for [`Self::Then`], which only a test can fill.
    pub fn all_for(what: &What) -> Vec<Self> {
        let all = [
            Self::Unable(Code::UserMissing),
            Self::Exits(1, "error: it did not work"),
            Self::Exits(1, DISK_IS_FULL),
            Self::Killed,
            Self::Hangs,
            Self::Lies,
            Self::Dies(""),
            Self::Perishes,
            Self::Remains,
        ];
        all.into_iter().filter(|fault| fault.fits(what)).collect()
    }

    /// Whether the program says that the disk is full.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Exits(_, DISK_IS_FULL))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable(code) => write!(f, "cannot be done ({code})"),
            Self::Exits(code, words) => write!(f, "ends with {code}: {words}"),
            Self::Killed => f.write_str("is killed"),
            Self::Hangs => f.write_str("never returns"),
            Self::Lies => f.write_str("does nothing and says it did"),
            Self::Dies("") => f.write_str("is gone at once"),
            Self::Dies(words) => write!(f, "is gone at once: {words}"),
            Self::Perishes => f.write_str("is killed before it is asked for"),
            Self::Then(_) => f.write_str("does half of it"),
            Self::Remains => f.write_str("leaves something"),
        }
    }
}
