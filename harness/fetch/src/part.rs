//! One part of an object: asked for again where the answer broke off, from the byte on that is missing, for a bounded time.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::checksum::Said;
use crate::listing::Object;
use crate::place::{Failure, LEAST, Patience, Place};
use crate::trouble::{Kind, Trouble};

/// How long is waited before a question is asked once more, and at most after several.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a fetch counts while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Files that are there.
    pub files: AtomicU64,
    /// Bytes that are there.
    pub bytes: AtomicU64,
    /// Bytes that came from the source.
    pub received: AtomicU64,
    /// Questions that were asked once more.
    pub retries: AtomicU64,
}

/// Waits longer from time to time, until nothing came for too long.
pub(crate) struct Retrying<'a> {
    patience: Patience,
    cancel: &'a CancellationToken,
    since: Instant,
    pause: Duration,
}

impl<'a> Retrying<'a> {
    /// From now on.
    pub fn new(patience: Patience, cancel: &'a CancellationToken) -> Self {
        Self { patience, cancel, since: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Something came, so the store is still there.
    pub fn advanced(&mut self) {
        (self.since, self.pause) = (Instant::now(), FIRST_PAUSE);
    }

    /// Waits before the next attempt. False where there is to be none.
    pub async fn again(&mut self) -> bool {
        let left = self.patience.overall.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            return false;
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = self.cancel.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// Reads a range of an object.
///
/// # Errors
///
/// Never `Failure::Passing`: what passes is waited for, and what does not pass in time is `Kind::Gone`.
pub(crate) async fn read(
    place: &Place,
    source: &str,
    object: &Object,
    range: Range<u64>,
    patience: Patience,
    tally: &Tally,
    cancel: &CancellationToken,
) -> Result<(Bytes, Said), Failure> {
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(length);
    let mut said = Said::default();
    let mut retrying = Retrying::new(patience, cancel);
    loop {
        let before = bytes.len();
        let rest = range.start + before as u64..range.end;
        let attempt = tokio::select! {
            () = cancel.cancelled() => return Err(Failure::Lasting(Trouble::interrupted(source))),
            attempt = place.read(object, rest, &mut bytes, patience) => attempt,
        };
        let came = bytes.len() - before;
        tally.received.fetch_add(came as u64, Ordering::Relaxed);
        if came >= LEAST {
            retrying.advanced();
        }
        match attempt {
            Ok(more) => {
                said.add(&more);
                return Ok((bytes.freeze(), said));
            }
            Err(Failure::Passing(kind, words)) => {
                if !retrying.again().await {
                    return Err(Failure::Lasting(gave_up(source, object, (kind, &words), patience, cancel)));
                }
                tally.retries.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn gave_up(
    source: &str,
    object: &Object,
    (kind, words): (Kind, &str),
    patience: Patience,
    cancel: &CancellationToken,
) -> Trouble {
    if cancel.is_cancelled() {
        return Trouble::interrupted(source);
    }
    if kind == Kind::Lies {
        return Trouble::new(
            kind,
            format!("{source} is not to be believed about {}: {words}, again and again", object.name),
            "look at the store, or at what stands between; nothing was learnt about the backup",
        );
    }
    let waited = pgdrill_model::units::show_duration(patience.overall);
    Trouble::new(
        Kind::Gone,
        format!(
            "{source} stopped answering in the middle of {}: {words}; nothing came for {waited}",
            object.name
        ),
        "what was fetched is kept: the same fetch into the same directory goes on where this one was. Nothing was learnt about the backup",
    )
}
