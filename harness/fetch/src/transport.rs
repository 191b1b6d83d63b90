//! How an object store is spoken to: one HTTP client with one TLS provider, which takes down what every answer says.
//!
//! `object_store` tells of a refusal in words, with the URL in them. Here it becomes an [`Answered`], which says what was refused
//! and holds no URL; and what a store says of an object's bytes is kept, which `object_store` would drop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::checksum::Said;

/// How much of a refusal is read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// An answer other than what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// The status of HTTP.
    pub status: u16,
    /// The store's own code for it, such as `NoSuchBucket`.
    pub code: String,
    /// The store's own words.
    pub message: String,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it answers {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Answered {}

/// Makes the clients of a store.
#[derive(Debug)]
pub(crate) struct Connector {
    /// How long a connection may take to be made.
    pub limit: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
            store: "HTTP client",
            source,
        };
        let is = |key| options.get_config_value(&key).is_some_and(|value| value == "true");
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("pgdrill/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls().map_err(|error| failed(error.into()))?)
            .https_only(!is(ClientConfigKey::AllowHttp))
            .connect_timeout(self.limit)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only();
        if let Some(proxy) = options.get_config_value(&ClientConfigKey::ProxyUrl) {
            client = client.proxy(reqwest::Proxy::all(proxy).map_err(|error| failed(error.into()))?);
        }
        let client = client.build().map_err(|error| failed(error.into()))?;
        Ok(HttpClient::new(Hearing { client: HttpClient::new(client) }))
    }
}

/// The authorities that this host trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), and the provider of the whole program.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A client that takes down what every answer says.
#[derive(Debug)]
struct Hearing {
    client: HttpClient,
}

#[async_trait::async_trait]
impl HttpService for Hearing {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.client.execute(request).await?;
        if response.status().is_success() {
            let mut said = Said::default();
            for (name, value) in response.headers() {
                if let Ok(value) = value.to_str() {
                    said.hear(name.as_str(), value);
                }
            }
            response.extensions_mut().insert(said);
            return Ok(response);
        }
        let status = response.status().as_u16();
        let mut body = response.into_body().bytes_stream();
        let mut text = Vec::new();
        // What cannot be read of it is not missed: the status says enough.
        while let Some(Ok(bytes)) = body.next().await {
            text.extend_from_slice(&bytes[..bytes.len().min(LONGEST_REFUSAL - text.len())]);
            if text.len() == LONGEST_REFUSAL {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        let answered = Answered { status, code: element(&text, "Code"), message: element(&text, "Message") };
        Err(HttpError::new(HttpErrorKind::Unknown, answered))
    }
}

/// What an element of a short piece of XML holds, on one line.
fn element(text: &str, name: &str) -> String {
    let inner = || text.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>"));
    inner()
        .map(|(inner, _)| inner.lines().next().unwrap_or_default().trim().chars().take(300).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_from_its_xml() {
        let xml = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>It is not there.\nTime: 1</Message></Error>";
        assert_eq!(element(xml, "Code"), "NoSuchBucket");
        assert_eq!(element(xml, "Message"), "It is not there.");
        assert_eq!(element("<Code>cut", "Code"), "");
        assert_eq!(element("plain", "Code"), "");
    }
}
