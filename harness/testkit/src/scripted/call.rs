//! What can be asked of a runtime, by name.

use std::fmt;

use pgdrill_model::world::Signal;

/// One thing that was asked of a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The server whose place was asked; `runtime` where it was no place.
    pub server: String,
    /// What was asked.
    pub what: What,
    /// The how manieth time, from 1.
    pub nth: usize,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Which account owns the files of a workspace.
    Owner,
    /// A place.
    Open,
    /// A program, run to its end.
    Run(String),
    /// A program, started.
    Spawn(String),
    /// Whether a started program still runs. Asked over and over while something is waited for; the first time
    /// counts.
    Running(String),
    /// The end of a started program.
    Wait(String),
    /// A signal to a process.
    Signal(Signal),
    /// The end of a place.
    Close,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Open => f.write_str("open"),
            Self::Run(program) => write!(f, "run {program}"),
            Self::Spawn(program) => write!(f, "spawn {program}"),
            Self::Running(program) => write!(f, "is {program} running"),
            Self::Wait(program) => write!(f, "wait for {program}"),
            Self::Signal(signal) => write!(f, "signal {signal:?}"),
            Self::Close => f.write_str("close"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.what)?;
        if self.nth > 1 { write!(f, " #{}", self.nth) } else { Ok(()) }
    }
}
