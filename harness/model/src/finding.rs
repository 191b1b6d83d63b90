//! Findings (what was seen) and inability (what could not be done). They are two types on purpose: a bad backup
//! is never an error of ours, and an error of ours never says that the backup is bad.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::code::{Code, Weight};

/// The part of a drill in which something happens, in order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Cluster made, data loaded.
    Prepare,
    /// Backup taken, WAL archived.
    Backup,
    /// Expected content captured on the quiet primary.
    Capture,
    /// The primary is lost.
    Disaster,
    /// Backup unpacked, WAL replayed, server promoted.
    Recover,
    /// The recovered server compared with what was there.
    Check,
    /// Servers stopped, workspace removed.
    Teardown,
}

impl Stage {
    /// The name used in records and scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Backup => "backup",
            Self::Capture => "capture",
            Self::Disaster => "disaster",
            Self::Recover => "recover",
            Self::Check => "check",
            Self::Teardown => "teardown",
        }
    }
}

/// Something that was seen, with what it means for the verdict (by its code) and the evidence for it. Holds no
/// row data and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// What kind of finding.
    pub code: Code,
    /// What it does to the verdict; always the code's own weight.
    pub weight: Weight,
    /// Where in the drill it was seen.
    pub stage: Stage,
    /// The check that saw it, if a check did.
    #[serde(default)]
    pub check: Option<Check>,
    /// The table, file, setting or server that it is about.
    #[serde(default)]
    pub subject: Option<String>,
    /// One sentence: what was seen.
    pub message: String,
    /// What to do now, when that is more specific than the code's advice.
    #[serde(default)]
    pub hint: Option<String>,
    /// Named facts, such as the expected and the found value.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
}

impl Finding {
    /// A finding of `code` at `stage` that says `message`.
    pub fn new(code: Code, stage: Stage, message: impl Into<String>) -> Self {
        Self {
            code,
            weight: code.weight(),
            stage,
            check: None,
            subject: None,
            message: message.into(),
            hint: None,
            evidence: BTreeMap::new(),
        }
    }

    /// Names the check that saw it.
    pub fn by(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Names the table, file, setting or server that it is about.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Says what to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds one named fact.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a fact is given away, and reads better without an ampersand"
    )]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.evidence.insert(name.to_owned(), value.to_string());
        self
    }
}

/// Something that could not be done, so that we cannot tell. Never says that the backup is bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable {
    /// What kind of inability; its weight is never `disproves`.
    pub code: Code,
    /// One sentence: what could not be done, and where.
    pub message: String,
    /// What to do now, when that is more specific than the code's advice.
    pub hint: Option<String>,
}

impl Unable {
    /// An inability of `code` that says `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// A condition that should have been impossible.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Code::InternalError, message)
    }

    /// Says what to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same as a finding of `stage`.
    pub fn into_finding(self, stage: Stage) -> Finding {
        Finding { hint: self.hint, ..Finding::new(self.code, stage, self.message) }
    }
}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unable {}
