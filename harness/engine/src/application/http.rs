//! Asking an application: once, or all of its health URLs at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::http::{self, Asked, Url};

/// How long one answer may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// How much of an answer is read.
const MOST: usize = 256 << 10;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its body, as far as it was read.
    pub body: String,
}

/// Asks once.
///
/// # Errors
///
/// Why there is no answer, in words.
pub async fn ask(method: Method, url: &str, body: Option<&Value>, limit: Duration) -> Result<Answer, String> {
    let url: Url = url.parse()?;
    let asked = Asked { method, url: &url, json: body.map(Value::to_string) };
    let answer = http::ask(&asked, MOST, Instant::now() + limit).await?;
    Ok(Answer { status: answer.code, body: String::from_utf8_lossy(&answer.body).into_owned() })
}

/// Whether all of these answer 200; else what one of them says instead.
///
/// # Errors
///
/// The first that does not, in words.
pub async fn all_well(urls: &[String], limit: Duration) -> Result<(), String> {
    let asked = urls.iter().map(|url| async move {
        match ask(Method::GET, url, None, limit).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("GET {url}: {}", answer.words())),
            Err(words) => Err(format!("GET {url}: {words}")),
        }
    });
    join_all(asked).await.into_iter().collect()
}

impl Answer {
    /// The answer in one line: its status, and how its body begins.
    pub fn words(&self) -> String {
        const LONGEST: usize = 160;
        let line = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        let begins: String = line.chars().take(LONGEST).collect();
        if begins.is_empty() {
            format!("status {}", self.status)
        } else {
            format!("status {}: {begins}", self.status)
        }
    }

    /// Its body as JSON.
    ///
    /// # Errors
    ///
    /// That it is none, with how it begins.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.body).map_err(|_| format!("no JSON in {}", self.words()))
    }
}
