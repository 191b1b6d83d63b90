//! Backups that lie in an object store: fetched to a directory of this host first, so that all that follows is local.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use pgdrill_fetch::{Options, Progress, Source, Trouble, fetch};
use pgdrill_model::units::{show_bytes, show_duration};
use sha2::{Digest, Sha256};

use crate::{interrupt, printer};

/// How often a long fetch says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Characters of the name of a directory.
const NAME: usize = 16;

/// What was fetched; it is removed when nobody needs it any more, unless it was begun and is to be gone on with.
#[derive(Debug)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        // Others may be beside it.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// Whether a path is a place to fetch from.
pub fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://"))
}

/// Fetches what is at each URL into a directory of its own below `base`; or gives why it could not, and leaves what is there to be
/// gone on with.
///
/// # Errors
///
/// What cannot be written.
pub fn all(urls: &[&Path], base: &Path, quiet: bool) -> anyhow::Result<Result<Vec<Fetched>, Trouble>> {
    if urls.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    tokio.block_on(async {
        let cancel = interrupt::listen().context("cannot listen for signals")?;
        let mut fetched = Vec::new();
        for url in urls.iter().filter_map(|url| url.to_str()) {
            let path = base.join(&hex::encode(Sha256::digest(url.as_bytes()))[..NAME]);
            DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&path)
                .with_context(|| format!("cannot make {}", path.display()))?;
            let told = Mutex::new(Instant::now());
            let tell = |at: Progress| {
                let Ok(mut told) = told.lock() else { return };
                if !quiet && told.elapsed() >= TELL_EVERY {
                    *told = Instant::now();
                    printer::say(&format!(
                        "pgdrill: fetched {} of {}, {} of {} files",
                        show_bytes(at.bytes),
                        show_bytes(at.bytes_of),
                        at.files,
                        at.files_of
                    ));
                }
            };
            let done = match Source::parse(url, std::env::vars()) {
                Ok(source) => fetch(&source, &path, &Options::default(), &tell, &cancel).await,
                Err(trouble) => Err(trouble),
            };
            match done {
                Ok(done) => {
                    if !quiet {
                        printer::say(&format!(
                            "pgdrill: fetched {} in {} files in {}, {} of it was there already; sha256 {}",
                            show_bytes(done.bytes),
                            done.files.len(),
                            show_duration(done.took),
                            show_bytes(done.resumed_bytes),
                            done.sha256
                        ));
                    }
                    fetched.push(Fetched { path });
                }
                Err(trouble) => {
                    // What has come is gone on with by the same command.
                    let _ = fs::remove_dir(&path).and_then(|()| fs::remove_dir(base));
                    fetched.into_iter().for_each(std::mem::forget);
                    return Ok(Err(trouble));
                }
            }
        }
        Ok(Ok(fetched))
    })
}
