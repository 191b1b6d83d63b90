//! Where objects are kept: a directory of this host, or an object store. Both answer the same three questions.

use std::ops::Range;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use crate::checksum::Said;
use crate::listing::{Listing, Object};
use crate::local::Local;
#[cfg(feature = "object-store")]
use crate::remote::Remote;
use crate::trouble::{Kind, Trouble};

/// Fewer bytes than this within the time in which a store must not be silent are as good as none.
pub(crate) const LEAST: usize = 16 << 10;

/// Why a question was not answered.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It may pass: the same question may be answered later.
    Passing(Kind, String),
    /// The object is another one than was asked for.
    Changed,
    /// There is no such object.
    Missing(String),
    /// It will not pass.
    Lasting(Trouble),
}

/// How long a store may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Within one request, before it is given up and made again.
    pub silence: Duration,
    /// Over all requests, before the store is given up.
    pub overall: Duration,
}

/// Where objects are kept.
#[derive(Debug)]
pub(crate) enum Place {
    /// A directory of this host.
    Local(Local),
    /// An object store.
    #[cfg(feature = "object-store")]
    Remote(Remote),
}

impl Place {
    /// What there is.
    pub async fn list(&self, patience: Patience) -> Result<Listing, Failure> {
        match self {
            Self::Local(local) => mounted(patience, local.list()).await,
            #[cfg(feature = "object-store")]
            Self::Remote(remote) => remote.list(patience).await,
        }
    }

    /// One object as it is now.
    pub async fn look(&self, name: &str, patience: Patience) -> Result<Object, Failure> {
        match self {
            Self::Local(local) => mounted(patience, local.look(name)).await,
            #[cfg(feature = "object-store")]
            Self::Remote(remote) => within(patience.silence, remote.look(name)).await,
        }
    }

    /// Puts a range of an object's bytes behind those that are there already, as far as they come, and tells what the place says
    /// of the whole object. Of an object without bytes the range is empty.
    pub async fn read(
        &self,
        object: &Object,
        range: Range<u64>,
        bytes: &mut BytesMut,
        patience: Patience,
    ) -> Result<Said, Failure> {
        match self {
            Self::Local(local) => mounted(patience, local.read(object, range, bytes)).await,
            #[cfg(feature = "object-store")]
            Self::Remote(remote) => remote.read(object, range, bytes, patience).await,
        }
    }

    /// Whether an object's MD5 may be compared with anything.
    pub fn says_md5(&self, object: &Object) -> bool {
        match self {
            Self::Local(_) => false,
            #[cfg(feature = "object-store")]
            Self::Remote(remote) => remote.says_md5(object),
        }
    }

    /// Whether an object of that name, which has no bytes and cannot be read, stands for a directory.
    pub async fn is_directory(&self, name: &str, patience: Patience) -> Result<bool, Failure> {
        match self {
            Self::Local(_) => Ok(false),
            #[cfg(feature = "object-store")]
            Self::Remote(remote) => remote.is_directory(name, patience).await,
        }
    }
}

/// What a directory answers; one that is mounted from a server which is gone lets nobody go on, for hours.
async fn mounted<T>(
    patience: Patience,
    question: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(patience.overall, question).await.unwrap_or_else(|_| {
        let waited = pgdrill_model::units::show_duration(patience.overall);
        Err(Failure::Lasting(Trouble::new(
            Kind::Unreachable,
            format!("the file system of the source has not answered for {waited}"),
            "look at the server that the directory is mounted from; nothing was learnt about the backup",
        )))
    })
}

/// The answer to a question, which must come in time.
#[cfg(feature = "object-store")]
pub(crate) async fn within<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, question).await.unwrap_or_else(|_| Err(silent(limit)))
}

/// The store said nothing for so long.
pub(crate) fn silent(limit: Duration) -> Failure {
    let words = format!("it said nothing for {}", pgdrill_model::units::show_duration(limit));
    Failure::Passing(Kind::Unreachable, words)
}

/// Looks whether bytes come at a pace at which anybody would wait for them.
pub(crate) struct Pace {
    limit: Duration,
    until: Instant,
    came: usize,
}

impl Pace {
    /// From now on.
    pub fn new(limit: Duration) -> Self {
        Self { limit, until: Instant::now() + limit, came: 0 }
    }

    /// The next bytes, when they come in time; a store that gives a few now and then is as good as silent.
    pub async fn next<T>(
        &mut self,
        next: impl Future<Output = T>,
        length: impl Fn(&T) -> usize,
    ) -> Result<T, Failure> {
        match timeout_at(self.until, next).await {
            Ok(came) => {
                self.came += length(&came);
                if self.came >= LEAST {
                    *self = Self::new(self.limit);
                }
                Ok(came)
            }
            Err(_) => Err(silent(self.limit)),
        }
    }
}
