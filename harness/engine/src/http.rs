//! One request, by hyper: no redirect is followed, no proxy is asked, and of a body no more is read than is of use.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::live::tls::{Check, Roots, configuration};

/// So much is read of what an application says of its health.
pub const HEALTH_BODY: usize = 64 << 10;

/// A URL that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    host: String,
    port: u16,
    encrypted: bool,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|error| format!("this is no URL: {error}"))?;
        let encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("write a whole URL, as in http://127.0.0.1:4001/api/healthz".to_owned()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or("the URL names no host")?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("the URL holds a user or a password, which every account of this host can see there"
                .to_owned());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Ok(Self { uri, host, port, encrypted })
    }
}

impl fmt::Display for Url {
    /// Where it is, without what comes after the path: that may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}{}", self.uri.path())
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

/// Asks a URL, and reads at most `limit` bytes of the body.
///
/// # Errors
///
/// Why there is no whole answer, in words.
pub async fn get(url: &Url, limit: usize, deadline: Instant) -> Result<Answer, String> {
    ask(&Asked { method: Method::GET, url, json: None }, limit, deadline).await
}

/// A request.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// How.
    pub method: Method,
    /// Whom.
    pub url: &'a Url,
    /// What is sent with it.
    pub json: Option<String>,
}

impl Answer {
    /// The answer in one line: its status, and how its body begins.
    pub fn words(&self) -> String {
        const LONGEST: usize = 160;
        let text = self.text();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let begins: String = line.chars().take(LONGEST).collect();
        if begins.is_empty() {
            format!("status {}", self.code)
        } else {
            format!("status {}: {begins}", self.code)
        }
    }

    /// Its body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Its body as JSON.
    ///
    /// # Errors
    ///
    /// That it is none, with how it begins.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|_| format!("no JSON in {}", self.words()))
    }
}

/// Sends a request, and reads at most `limit` bytes of the answer's body.
///
/// # Errors
///
/// Why there is no whole answer, in words.
pub async fn ask(request: &Asked<'_>, limit: usize, deadline: Instant) -> Result<Answer, String> {
    let began = Instant::now();
    let mut code = None;
    match timeout_at(deadline, answered(request, limit, &mut code)).await {
        Ok(answer) => answer,
        Err(_) => {
            let waited = began.elapsed().as_secs_f64();
            Err(match code {
                Some(code) => format!("answers {code}, and did not come to an end within {waited:.1} s"),
                None => format!("no answer within {waited:.1} s"),
            })
        }
    }
}

async fn answered(request: &Asked<'_>, limit: usize, code: &mut Option<u16>) -> Result<Answer, String> {
    let url = request.url;
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| chain(&error))?;
    if !url.encrypted {
        return speak(stream, request, limit, code).await;
    }
    let name = ServerName::try_from(url.host.clone()).map_err(|error| chain(&error))?;
    let configuration = configuration(Check::Host, Roots::of_the_host()).map_err(|error| chain(&error))?;
    let connector = TlsConnector::from(Arc::new(configuration));
    let stream = connector.connect(name, stream).await.map_err(|error| chain(&error))?;
    speak(stream, request, limit, code).await
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &Asked<'_>,
    limit: usize,
    code: &mut Option<u16>,
) -> Result<Answer, String> {
    let Asked { method, url, json } = request;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    let going_on = tokio::spawn(connection);
    let answer = async {
        let path = url.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = url.uri.authority().map_or("", |authority| authority.as_str());
        let kind = json.as_ref().map(|_| (CONTENT_TYPE, "application/json"));
        let begun = Request::builder().method(method.clone()).uri(path);
        let begun = kind.into_iter().fold(begun, |begun, (name, value)| begun.header(name, value));
        let request = begun
            .header(HOST, authority)
            .header(USER_AGENT, "pgdrill")
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from(json.clone().unwrap_or_default())))
            .map_err(|error| chain(&error))?;
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        *code = Some(response.status().as_u16());
        beginning(response, limit).await
    };
    let answer = answer.await;
    going_on.abort();
    answer
}

/// The status, and the body as far as it is of use.
async fn beginning(mut response: Response<Incoming>, limit: usize) -> Result<Answer, String> {
    let code = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|error| format!("answers {code}, and breaks off: {}", chain(&error)))?;
        if let Ok(data) = frame.into_data() {
            let room = limit - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
        }
        if body.len() >= limit {
            break;
        }
    }
    Ok(Answer { code, body })
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[rstest]
    #[case("http://127.0.0.1:4001/api/healthz?token=secret", "http://127.0.0.1:4001/api/healthz")]
    #[case("https://[::1]/", "https://[::1]/")]
    fn a_url_is_shown_without_what_may_be_secret(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(text.parse::<Url>().unwrap().to_string(), shown);
    }

    #[rstest]
    #[case("/healthz", "whole URL")]
    #[case("ftp://a/b", "whole URL")]
    #[case("http://a b/", "no URL")]
    #[case("http://u:secret@a/", "holds a user or a password")]
    fn what_is_no_url_is_told_without_it(#[case] text: &str, #[case] words: &str) {
        let error = text.parse::<Url>().unwrap_err();
        assert!(error.contains(words) && !error.contains("secret"), "{error}");
    }

    /// Answers one request with these bytes, and then goes on as told.
    async fn answering(bytes: &'static [u8], again: Option<&'static str>) -> Url {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard).await;
            stream.write_all(bytes).await.unwrap();
            while let Some(again) = again {
                if stream.write_all(again.as_bytes()).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        format!("http://127.0.0.1:{port}/health").parse().unwrap()
    }

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[rstest]
    #[case::well(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None, Ok(200))]
    #[case::unwell(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", None, Ok(500))]
    #[case::elsewhere(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        None,
        Ok(302)
    )]
    #[case::garbage(b"220 smtp ready\r\n\r\n", None, Err("invalid HTTP version"))]
    #[case::cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None, Err("answers 200, and breaks off"))]
    #[case::silence(b"", None, Err("connection closed"))]
    #[case::without_an_end(CHUNKED, Some("1\r\nx\r\n"), Err("answers 200, and did not come to an end"))]
    #[case::large(CHUNKED, Some("10\r\nxxxxxxxxxxxxxxxx\r\n"), Ok(200))]
    #[tokio::test]
    async fn an_answer_is_what_it_is(
        #[case] bytes: &'static [u8],
        #[case] again: Option<&'static str>,
        #[case] expected: Result<u16, &str>,
    ) {
        let url = answering(bytes, again).await;
        let deadline = Instant::now() + Duration::from_millis(1500);
        // What is large is cut after a few pieces, what has no end is not.
        let limit = if again.is_some_and(|again| again.len() > 10) { 64 } else { HEALTH_BODY };
        match (get(&url, limit, deadline).await, expected) {
            (Ok(answer), Ok(code)) => {
                assert_eq!(answer.code, code);
                assert!(answer.body.len() <= limit);
            }
            (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }
}
