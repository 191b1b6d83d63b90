//! How an application is: whether all of its URLs answer 200.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::http::{HEALTH_BODY, Url, get};

/// How long one answer may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// Whether all of these answer 200, asked at the same time; else what one of them says instead.
///
/// # Errors
///
/// The first that does not, in words.
pub async fn all_well(urls: &[Url], limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let asked = urls.iter().map(|url| async move {
        match get(url, HEALTH_BODY, deadline).await {
            Ok(answer) if answer.code == 200 => Ok(()),
            Ok(answer) => Err(format!("GET {url}: {}", answer.words())),
            Err(words) => Err(format!("GET {url}: {words}")),
        }
    });
    join_all(asked).await.into_iter().collect()
}
