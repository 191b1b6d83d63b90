//! What is fetched from: a URL, and the environment with which it is spoken to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::redact::Redactor;
use tokio_util::sync::CancellationToken;

use crate::listing::{Listing, Object};
use crate::local::Local;
use crate::part::Retrying;
use crate::place::{Failure, Patience, Place};
#[cfg(feature = "object-store")]
use crate::remote::Remote;
#[cfg(feature = "object-store")]
use crate::service::Service;
use crate::trouble::{Kind, Trouble, clean};

/// Where a backup, or an archive of WAL, is kept.
pub struct Source {
    pub(crate) url: String,
    pub(crate) place: Place,
    pub(crate) patience: Patience,
    redactor: Redactor,
}

impl fmt::Debug for Source {
    // What takes secrets out of text knows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("url", &self.url).finish_non_exhaustive()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Source {
    /// Reads a URL: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `file:///PATH`, taken as it is written.
    /// How a store is spoken to is in the environment alone (`AWS_*`, `GOOGLE_*`, `AZURE_*`): a command line can be read by
    /// everybody on the machine.
    ///
    /// # Errors
    ///
    /// `Kind::Url`.
    pub fn parse(
        url: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Trouble> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let redactor = Redactor::for_environment(environment.iter().cloned());
        let shown = clean(url, &redactor);
        let wrong = |what: &str| {
            let hint = "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///PATH";
            Trouble::new(Kind::Url, format!("'{shown}' is not a place to fetch from: {what}"), hint)
        };
        let Some((scheme, rest)) = url.split_once("://") else { return Err(wrong("it has no scheme")) };
        if rest.chars().any(char::is_control) {
            return Err(wrong("it holds a control character"));
        }
        let place = if scheme == "file" {
            if !rest.starts_with('/') {
                return Err(wrong("the path is not absolute"));
            }
            Place::Local(Local::new(PathBuf::from(rest)))
        } else {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if rest.contains('?') || bucket.contains('@') {
                return Err(wrong("credentials belong into the environment, and not into a URL"));
            }
            if bucket.is_empty()
                || bucket.contains(|c: char| !c.is_ascii_alphanumeric() && !"-._".contains(c))
            {
                return Err(wrong("it names no bucket"));
            }
            remote(scheme, bucket, prefix, &shown, &environment, &wrong)
                .map_err(|trouble| trouble.clean(&redactor))?
        };
        let patience = Patience { silence: Duration::from_secs(30), overall: Duration::from_secs(120) };
        Ok(Self { url: shown, place, patience, redactor })
    }

    /// The same, with other limits: how long the store may be silent within one request, and how long nothing may come over all
    /// requests before it is given up.
    #[must_use]
    pub fn with_patience(mut self, silence: Duration, overall: Duration) -> Self {
        self.patience = Patience { silence, overall };
        self
    }

    /// What there is, by name.
    ///
    /// # Errors
    ///
    /// Credentials, bucket, or nobody who answers; `Kind::NoObject` where there is nothing.
    pub async fn list(&self) -> Result<Listing, Trouble> {
        let listing = self.place.list(self.patience).await.map_err(|failure| self.trouble(failure))?;
        if listing.objects.is_empty() && listing.directories.is_empty() {
            return Err(Trouble::new(
                Kind::NoObject,
                format!("{} holds no object", self.url),
                "look for a misspelt prefix, or for what removes backups; `aws s3 ls` and its like show what is there",
            ));
        }
        Ok(listing)
    }

    /// One object as it is now.
    pub(crate) async fn look(&self, name: &str, cancel: &CancellationToken) -> Result<Object, Trouble> {
        let mut retrying = Retrying::new(self.patience, cancel);
        loop {
            match self.place.look(name, self.patience).await {
                Ok(object) => return Ok(object),
                Err(Failure::Passing(kind, words)) => {
                    if !retrying.again().await {
                        return Err(if cancel.is_cancelled() {
                            Trouble::interrupted(&self.url)
                        } else {
                            self.trouble(Failure::Passing(kind, words))
                        });
                    }
                }
                Err(failure) => return Err(self.trouble(failure)),
            }
        }
    }

    /// A failure as a trouble, without secrets.
    pub(crate) fn trouble(&self, failure: Failure) -> Trouble {
        let trouble = match failure {
            Failure::Passing(kind, words) => match &self.place {
                #[cfg(feature = "object-store")]
                Place::Remote(remote) => remote.gave_up(kind, &words),
                Place::Local(_) => Trouble::new(
                    kind,
                    format!("{} does not answer: {words}", self.url),
                    "look at what it is mounted from",
                ),
            },
            Failure::Changed => Trouble::new(
                Kind::Changing,
                format!("an object of {} changed while it was fetched", self.url),
                "fetch what nobody writes to any more",
            ),
            Failure::Missing(words) => Trouble::new(
                Kind::NoObject,
                words,
                "look for a misspelt name, or for what removes backups while they are fetched",
            ),
            Failure::Lasting(trouble) => trouble,
        };
        trouble.clean(&self.redactor)
    }
}

#[cfg(feature = "object-store")]
fn remote(
    scheme: &str,
    bucket: &str,
    prefix: &str,
    url: &str,
    environment: &[(String, String)],
    wrong: &dyn Fn(&str) -> Trouble,
) -> Result<Place, Trouble> {
    let service = Service::of(scheme).ok_or_else(|| wrong("its scheme is not known"))?;
    Remote::new(service, bucket, prefix, url, environment).map(Place::Remote)
}

#[cfg(not(feature = "object-store"))]
fn remote(
    scheme: &str,
    _bucket: &str,
    _prefix: &str,
    _url: &str,
    _environment: &[(String, String)],
    wrong: &dyn Fn(&str) -> Trouble,
) -> Result<Place, Trouble> {
    Err(wrong(if ["s3", "gs", "az"].contains(&scheme) {
        "this pgdrill was built without object stores (cargo feature object-store)"
    } else {
        "its scheme is not known"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/backups/main", "it has no scheme")]
    #[case("ftp://host/x", "its scheme is not known")]
    #[case("file://backups", "the path is not absolute")]
    #[case("s3:///x", "it names no bucket")]
    #[case("s3://key:secret@bucket/x", "credentials belong into the environment")]
    #[case("s3://bucket/x?X-Amz-Signature=abcdef", "credentials belong into the environment")]
    #[case("file:///a\nb", "control character")]
    fn what_is_no_place_is_refused(#[case] url: &str, #[case] why: &str) {
        let trouble = Source::parse(url, []).unwrap_err();
        assert_eq!(trouble.kind, Kind::Url);
        assert!(trouble.message.contains(why), "{}", trouble.message);
        assert!(
            !trouble.message.contains("secret@") && !trouble.message.contains("abcdef"),
            "{}",
            trouble.message
        );
        assert!(trouble.hint.contains("s3://BUCKET/PREFIX"), "{}", trouble.hint);
    }

    #[cfg(feature = "object-store")]
    #[test]
    fn nothing_that_is_shown_of_a_source_holds_its_secrets() {
        let environment = [("AWS_ACCESS_KEY_ID", "AKIAVISIBLE"), ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let source = Source::parse("s3://bucket/wJalrXUtnFEMI", environment).unwrap();
        let shown = format!("{source} {source:?} {:?}", source.place);
        assert!(!shown.contains("wJalrXUtnFEMI") && !shown.contains("AKIAVISIBLE"), "{shown}");
    }
}
