//! What kept a fetch from being done, in words that say what, where and what now. None of it is a word about the backup.

use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::redact::Redactor;
use pgdrill_model::units::show_bytes;

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The URL is not one that can be read from.
    Url,
    /// The store does not take the credentials, or there are none.
    Credentials,
    /// There is no such bucket or container.
    NoBucket,
    /// There is no object below the prefix, or none of that name.
    NoObject,
    /// The store refused a request for another reason.
    Refused,
    /// An object has a name that no file below a directory can have.
    Name,
    /// There is more than the caller allows.
    Limit,
    /// The host of the store has no address.
    NoHost,
    /// No safe connection could be made: a certificate that is not trusted, or no TLS at all.
    Tls,
    /// Nobody answers.
    Unreachable,
    /// The store answered, and then no more.
    Gone,
    /// The store gave other bytes than it says it has.
    Lies,
    /// An object changed again and again while it was fetched.
    Changing,
    /// The local disk has no room.
    DiskFull,
    /// The local directory cannot be used.
    Local,
    /// Whoever asked for it does not want it any more.
    Interrupted,
}

impl Kind {
    /// The finding code that it is told as.
    pub fn code(self) -> Code {
        match self {
            Self::NoHost | Self::Tls | Self::Unreachable | Self::Gone => Code::SourceUnreachable,
            Self::Url
            | Self::Credentials
            | Self::NoBucket
            | Self::NoObject
            | Self::Refused
            | Self::Name
            | Self::Limit => Code::SourceRefused,
            Self::Lies | Self::Changing => Code::SourceInconsistent,
            Self::DiskFull => Code::DiskFull,
            Self::Local => Code::WorkspaceUnusable,
            Self::Interrupted => Code::Interrupted,
        }
    }
}

/// Something that kept a fetch from being done, without any secret in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What kind of trouble.
    pub kind: Kind,
    /// One sentence: what could not be done, and where.
    pub message: String,
    /// What to do now.
    pub hint: String,
}

impl Trouble {
    /// A trouble that says `message`, and what to do now.
    pub(crate) fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into() }
    }

    /// The local file or directory cannot be used.
    pub(crate) fn local(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let path = path.display();
        if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
            return Self::new(
                Kind::DiskFull,
                format!("cannot {what} {path}: the disk is full"),
                "free space, or name a directory on another disk; what was fetched is kept, and the fetch goes on from there",
            );
        }
        Self::new(
            Kind::Local,
            format!("cannot {what} {path}: {error}"),
            "name a directory that this account may write to",
        )
    }

    /// There is no room for what is to be fetched.
    pub(crate) fn no_room(into: &Path, needed: u64, reserve: u64, free: u64) -> Self {
        Self::new(
            Kind::DiskFull,
            format!(
                "{} are to be fetched into {}, with {} to spare, and {} are free",
                show_bytes(needed),
                into.display(),
                show_bytes(reserve),
                show_bytes(free)
            ),
            "free space, or name a directory on another disk; nothing was written",
        )
    }

    /// Whoever asked for it does not want it any more.
    pub(crate) fn interrupted(source: &str) -> Self {
        Self::new(
            Kind::Interrupted,
            format!("the fetch from {source} was interrupted"),
            "the same fetch into the same directory goes on where this one was",
        )
    }

    /// The same without the secrets that its words may hold.
    pub(crate) fn clean(self, redactor: &Redactor) -> Self {
        Self { message: clean(&self.message, redactor), hint: self.hint, kind: self.kind }
    }
}

impl From<Trouble> for Unable {
    fn from(trouble: Trouble) -> Self {
        Self::new(trouble.kind.code(), trouble.message).hint(trouble.hint)
    }
}

/// Text from elsewhere without secrets, without the queries of URLs, which carry signatures, and without control characters.
pub(crate) fn clean(text: &str, redactor: &Redactor) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    without_queries(&redactor.clean(&printable))
}

/// `scheme://host/path?query` without the query.
fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let end = rest[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'))
            .map_or(rest.len(), |length| start + length);
        let url = &rest[..end];
        match url[start..].find('?') {
            Some(query) => {
                out.push_str(&url[..=start + query]);
                out.push_str(pgdrill_model::redact::REDACTED);
            }
            None => out.push_str(url),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("GET https://b.s3/x?X-Amz-Signature=abc&y=1 failed", "GET https://b.s3/x?[redacted] failed")]
    #[case(
        "(\"https://a/c?sig=1\") and https://b/?se=2",
        "(\"https://a/c?[redacted]\") and https://b/?[redacted]"
    )]
    #[case("why? see https://a/b", "why? see https://a/b")]
    #[case("key wJalrXUtnFEMI is wrong", "key [redacted] is wrong")]
    #[case("a\u{1b}[31mred\r\n", "a [31mred  ")]
    fn secrets_and_control_characters_go(#[case] text: &str, #[case] cleaned: &str) {
        let redactor =
            Redactor::for_environment([("AWS_SECRET_ACCESS_KEY".to_owned(), "wJalrXUtnFEMI".to_owned())]);
        assert_eq!(clean(text, &redactor), cleaned);
    }

    #[test]
    fn no_kind_of_trouble_says_that_the_backup_is_bad() {
        use pgdrill_model::code::Weight;
        for kind in [
            Kind::Url,
            Kind::Credentials,
            Kind::NoBucket,
            Kind::NoObject,
            Kind::Refused,
            Kind::Name,
            Kind::Limit,
            Kind::NoHost,
            Kind::Tls,
            Kind::Unreachable,
            Kind::Gone,
            Kind::Lies,
            Kind::Changing,
            Kind::DiskFull,
            Kind::Local,
            Kind::Interrupted,
        ] {
            assert_eq!(kind.code().weight(), Weight::Unverifies, "{kind:?}");
        }
    }
}
