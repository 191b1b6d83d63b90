//! An object store: Amazon's S3 and what speaks like it, Google's, Azure's.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use futures_util::StreamExt;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio_util::sync::CancellationToken;

use crate::checksum::{Said, md5_of_etag};
use crate::listing::{Listing, Object};
use crate::names::hostile;
use crate::part::Retrying;
use crate::place::{Failure, Pace, Patience, within};
use crate::service::{Service, build};
use crate::transport::Answered;
use crate::trouble::{Kind, Trouble};

/// More objects than this are no backup of one cluster; a list without an end would take all memory.
const MOST_OBJECTS: usize = 10_000_000;

/// What is below a prefix of a bucket.
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    service: Service,
    bucket: String,
    prefix: Path,
    url: String,
    credentials: bool,
    /// Whether the prefix turned out to be an object itself.
    single: AtomicBool,
}

impl fmt::Debug for Remote {
    // A store's own Debug may hold its key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Remote {
    /// The store that `url` names, spoken to as the environment says.
    ///
    /// # Errors
    ///
    /// `Kind::Url`: it cannot be spoken to like this.
    pub fn new(
        service: Service,
        bucket: &str,
        prefix: &str,
        url: &str,
        environment: &[(String, String)],
    ) -> Result<Self, Trouble> {
        let wrong = |what: &str| {
            Trouble::new(
                Kind::Url,
                format!("{url} cannot be read from: {what}"),
                "correct the URL or the environment",
            )
        };
        let prefix = Path::parse(prefix).map_err(|error| wrong(&error.to_string()))?;
        let set = |name: &str| environment.iter().any(|(key, value)| key == name && !value.is_empty());
        let settings: Vec<(String, String)> = environment
            .iter()
            .filter(|(name, value)| name.starts_with(service.variables()) && !value.is_empty())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        // What goes no further than this host needs no TLS.
        let loopback = settings.iter().any(|(name, value)| {
            let host = value.strip_prefix("http://").unwrap_or_default();
            (name.contains("endpoint") || name.contains("base_url"))
                && ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| {
                    host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
                })
        });
        let built = build(service, bucket, &settings, loopback);
        let store = built.map_err(|error| wrong(&deepest(&error)))?;
        let credentials = service.credentials().iter().any(|name| set(name));
        let (bucket, url) = (bucket.to_owned(), url.to_owned());
        Ok(Self { store, service, bucket, prefix, url, credentials, single: AtomicBool::new(false) })
    }

    /// The store's name of an object. Where the prefix is the object itself, its own last part is its name.
    fn location(&self, name: &str) -> Result<Path, Failure> {
        if self.single.load(Ordering::Relaxed) {
            return Ok(self.prefix.clone());
        }
        let whole = if self.prefix.is_root() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(whole).map_err(|error| Failure::Lasting(hostile(name, &error.to_string(), &self.url)))
    }

    /// What there is.
    pub async fn list(&self, patience: Patience) -> Result<Listing, Failure> {
        let cancel = CancellationToken::new();
        let mut retrying = Retrying::new(patience, &cancel);
        let mut found: Vec<ObjectMeta> = Vec::new();
        loop {
            // After an answer that broke off, only what comes behind is asked for.
            let failure = match self.pages(&mut found, patience).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            let lasting = matches!(&failure, Failure::Passing(Kind::NoHost | Kind::Tls, _));
            if lasting || !matches!(failure, Failure::Passing(..)) || !retrying.again().await {
                return Err(failure);
            }
        }
        if found.is_empty() && !self.prefix.is_root() {
            // It may be an object itself: what is fetched is that one.
            return match within(patience.silence, self.head(&self.prefix)).await {
                // Every store says what it calls the content; a page that lies there does not.
                Ok(meta) if meta.e_tag.is_some() => {
                    self.single.store(true, Ordering::Relaxed);
                    let name = self.prefix.filename().unwrap_or_default().to_owned();
                    Ok(Listing { objects: vec![object(name, &meta)], ..Listing::default() })
                }
                Ok(_) | Err(Failure::Missing(_)) => Ok(Listing::default()),
                Err(failure) => Err(failure),
            };
        }
        let mut listing = Listing::default();
        for meta in &found {
            let name = meta.location.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or_default();
            let name = if self.prefix.is_root() { name } else { name.strip_prefix('/').unwrap_or_default() };
            // The prefix itself, as an object, is the marker of its directory.
            if !name.is_empty() {
                listing.objects.push(object(name.to_owned(), meta));
            }
        }
        listing.objects.sort_by(|one, other| one.name.cmp(&other.name));
        without_markers(&mut listing);
        Ok(listing)
    }

    /// Adds the pages of the list that come behind what was found.
    async fn pages(&self, found: &mut Vec<ObjectMeta>, patience: Patience) -> Result<(), Failure> {
        let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
        let mut pages = match found.last() {
            Some(last) => self.store.list_with_offset(prefix, &last.location),
            None => self.store.list(prefix),
        };
        loop {
            let page = within(patience.silence, async { Ok(pages.next().await) }).await?;
            match page {
                Some(Ok(meta)) => found.push(meta),
                Some(Err(error)) => return Err(self.failure(&error, "")),
                None => return Ok(()),
            }
            if found.len() > MOST_OBJECTS {
                return Err(Failure::Lasting(Trouble::new(
                    Kind::Limit,
                    format!("{} holds more than {MOST_OBJECTS} objects", self.url),
                    "name a prefix that holds the backup alone",
                )));
            }
        }
    }

    async fn head(&self, location: &Path) -> Result<ObjectMeta, Failure> {
        self.store.head(location).await.map_err(|error| self.failure(&error, location.as_ref()))
    }

    /// One object as it is now.
    pub async fn look(&self, name: &str) -> Result<Object, Failure> {
        let meta = self.head(&self.location(name)?).await?;
        Ok(object(name.to_owned(), &meta))
    }

    /// Whether there is a marker of a directory of that name, and nothing in it.
    pub async fn is_directory(&self, name: &str, patience: Patience) -> Result<bool, Failure> {
        let location = self.location(name)?;
        let mut below = self.store.list(Some(&location));
        let first = within(patience.silence, async { Ok(below.next().await) }).await?;
        match first {
            Some(Ok(meta)) => Ok(meta.location == location && meta.size == 0),
            Some(Err(error)) => Err(self.failure(&error, name)),
            None => Ok(false),
        }
    }

    /// Whether what the store says of an object may be an MD5.
    pub fn says_md5(&self, object: &Object) -> bool {
        match self.service {
            // In a bucket of one zone, an ETag is any number.
            Service::S3 => {
                !self.bucket.ends_with("--x-s3")
                    && object.etag.as_deref().is_some_and(|etag| md5_of_etag(etag).is_some())
            }
            Service::Google => false,
            Service::Azure => true,
        }
    }

    /// Puts a range of an object's bytes behind those that are there already, as far as they come.
    pub async fn read(
        &self,
        object: &Object,
        range: Range<u64>,
        bytes: &mut BytesMut,
        patience: Patience,
    ) -> Result<Said, Failure> {
        let location = self.location(&object.name)?;
        let options = GetOptions {
            range: (!range.is_empty()).then(|| GetRange::Bounded(range.clone())),
            if_match: object.etag.as_deref().filter(|etag| !etag.starts_with("W/")).map(quoted),
            ..GetOptions::default()
        };
        let asked = async {
            self.store.get_opts(&location, options).await.map_err(|error| self.failure(&error, &object.name))
        };
        let answer = within(patience.silence, asked).await?;
        let other_etag = object.etag.is_some()
            && answer.meta.e_tag.as_deref().map(quoted) != object.etag.as_deref().map(quoted);
        if other_etag || answer.meta.size != object.size {
            return Err(Failure::Changed);
        }
        let mut said = answer.extensions.get::<Said>().copied().unwrap_or_default();
        if let Some(etag) =
            answer.meta.e_tag.as_deref().filter(|_| self.service == Service::S3 && self.says_md5(object))
        {
            said.hear_etag(etag);
        }
        let mut stream = answer.into_stream();
        let wanted = range.end - range.start;
        let mut came = 0_u64;
        let mut pace = Pace::new(patience.silence);
        loop {
            let length = |next: &Option<object_store::Result<bytes::Bytes>>| match next {
                Some(Ok(bytes)) => bytes.len(),
                _ => 0,
            };
            match pace.next(stream.next(), length).await? {
                Some(Ok(chunk)) => {
                    came += chunk.len() as u64;
                    if came > wanted {
                        return Err(Failure::Lasting(
                            self.lie(object, "more bytes came than were asked for"),
                        ));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Some(Err(error)) => return Err(self.failure(&error, &object.name)),
                None if came < wanted => {
                    let words = format!("its answer ended after {came} of {wanted} bytes");
                    return Err(Failure::Passing(Kind::Lies, words));
                }
                None => return Ok(said),
            }
        }
    }

    fn lie(&self, object: &Object, how: &str) -> Trouble {
        Trouble::new(
            Kind::Lies,
            format!("{} is not to be believed about {}: {how}", self.url, object.name),
            "look at the store, or at what stands between; nothing was learnt about the backup",
        )
    }

    /// What an error of the store means.
    fn failure(&self, error: &object_store::Error, name: &str) -> Failure {
        if let object_store::Error::InvalidPath { source } = error {
            return Failure::Lasting(Trouble::new(
                Kind::Name,
                format!("{} holds an object that cannot be a file: {source}", self.url),
                "name a prefix that holds the backup alone; nothing was written",
            ));
        }
        let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut transport = None;
        while let Some(cause) = at {
            if let Some(answered) = cause.downcast_ref::<Answered>() {
                return self.refusal(answered, name);
            }
            if let Some(http) = cause.downcast_ref::<HttpError>() {
                transport = Some(http);
            }
            at = cause.source();
        }
        if let Some(http) = transport {
            return self.broken(http);
        }
        let words = deepest(error);
        if words.contains("non-partial response")
            || words.contains("Content-Range")
            || words.contains("Requested")
        {
            let how = format!("it does not give the part that was asked for ({words})");
            return Failure::Lasting(Trouble::new(
                Kind::Lies,
                format!("{} is not to be believed about {name}: {how}", self.url),
                "the store must know ranged requests; look at it, or at what stands between",
            ));
        }
        Failure::Lasting(Trouble::new(
            Kind::Refused,
            format!("{} does not answer as an object store does: {words}", self.url),
            "look at the URL and at the endpoint in the environment: something else may listen there",
        ))
    }

    /// What an answer that is not what was asked for means.
    fn refusal(&self, answered: &Answered, name: &str) -> Failure {
        let lasting = |kind, message: String, hint: &str| Failure::Lasting(Trouble::new(kind, message, hint));
        let url = &self.url;
        match (answered.status, answered.code.as_str()) {
            (404, "NoSuchBucket" | "ContainerNotFound") => lasting(
                Kind::NoBucket,
                format!("there is no bucket {} for {url}: {answered}", self.bucket),
                "look for a misspelt bucket, another region, or another endpoint in the environment",
            ),
            (404, _) if name.is_empty() => lasting(
                Kind::NoBucket,
                format!("{url} is not there: {answered}"),
                "look for a misspelt bucket, another region, or another endpoint in the environment",
            ),
            (404, _) => Failure::Missing(format!("{url} has no {name}: {answered}")),
            (304 | 412 | 416, _) => Failure::Changed,
            (301 | 302 | 307 | 308, _)
            | (400, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => lasting(
                Kind::Refused,
                format!("{url} is kept elsewhere: {answered}"),
                "name the bucket's region in AWS_REGION, or its endpoint in AWS_ENDPOINT_URL",
            ),
            (401 | 403, _)
            | (400, "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "TokenRefreshRequired") => {
                let what = if self.credentials {
                    "may not be read with these credentials"
                } else {
                    "may not be read without credentials"
                };
                let object = if name.is_empty() { String::new() } else { format!(" ({name})") };
                lasting(Kind::Credentials, format!("{url}{object} {what}: {answered}"), self.service.advice())
            }
            (408 | 429 | 500.., _) => Failure::Passing(Kind::Unreachable, answered.to_string()),
            _ => lasting(
                Kind::Refused,
                format!("{url} refuses to be read: {answered}"),
                "look at the URL and at the endpoint in the environment: something else may listen there",
            ),
        }
    }

    /// What a connection that could not be made, or broke, means.
    fn broken(&self, error: &HttpError) -> Failure {
        let words = deepest(error);
        let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut tls = false;
        let mut dns = false;
        while let Some(cause) = at {
            tls |= is_tls(cause);
            dns |= cause.to_string().contains("dns error");
            at = cause.source();
        }
        if !self.credentials
            && matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout)
            && !dns
            && !tls
        {
            // Without a variable, the machine's own role was asked for, which only a machine in the cloud has.
            return Failure::Passing(
                Kind::Credentials,
                format!("no credentials in the environment, and {words}"),
            );
        }
        if tls {
            Failure::Passing(Kind::Tls, words)
        } else if dns {
            Failure::Passing(Kind::NoHost, words)
        } else {
            Failure::Passing(Kind::Unreachable, words)
        }
    }

    /// What did not pass in time, as a trouble.
    pub fn gave_up(&self, kind: Kind, words: &str) -> Trouble {
        let url = &self.url;
        match kind {
            Kind::NoHost => Trouble::new(
                kind,
                format!("the host of {url} has no address: {words}"),
                "look for a misspelt endpoint or region in the environment, and at the name server of this host",
            ),
            Kind::Tls => Trouble::new(
                kind,
                format!("no safe connection to {url}: {words}"),
                "name the authority of the store's certificate in SSL_CERT_FILE, or an endpoint that begins with https://",
            ),
            Kind::Credentials => Trouble::new(
                kind,
                format!("{url} may not be read without credentials: {words}"),
                self.service.advice(),
            ),
            _ => Trouble::new(
                Kind::Unreachable,
                format!("nobody answers for {url}: {words}"),
                "look at the endpoint in the environment, at firewalls and proxies, and run it again; nothing was learnt about the backup",
            ),
        }
    }
}

fn object(name: String, meta: &ObjectMeta) -> Object {
    Object {
        name,
        size: meta.size,
        etag: meta.e_tag.as_deref().map(quoted),
        // An answer about one object has whole seconds, a list may have more.
        modified_us: meta.last_modified.timestamp().saturating_mul(1_000_000),
    }
}

/// Whether this cause of an error is one of TLS. An error of the system passes over what is right in it when it is asked for
/// its cause, and may be in another one.
fn is_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}

/// Leaves out objects without bytes that bear the name of a directory which others are in: they only mark it.
fn without_markers(listing: &mut Listing) {
    let below: std::collections::BTreeSet<String> = listing
        .objects
        .iter()
        .flat_map(|object| object.name.match_indices('/').map(|(at, _)| object.name[..at].to_owned()))
        .collect();
    listing.objects.retain(|object| object.size > 0 || !below.contains(&object.name));
}

/// An ETag as an answer has it: in the lists of some stores it has no quotes.
fn quoted(etag: &str) -> String {
    if etag.starts_with("W/") { etag.to_owned() } else { format!("\"{}\"", etag.trim_matches('"')) }
}

/// The last cause of an error, which is the one that says something.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
