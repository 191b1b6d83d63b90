//! TLS to a server of the user's: which certificates are trusted, and the handshake, by rustls.
//!
//! Without channel binding: `channel_binding=require` is refused by tokio-postgres, because none is offered.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is asked of a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing: the connection is encrypted, to whoever answers.
    Nothing,
    /// That an authority that is trusted signed it.
    Authority,
    /// The same, and that it is for the host that was named.
    Host,
}

/// The authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Roots {
    store: RootCertStore,
    /// The certificates as they are in the user's file: a server may have one of them itself.
    own: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Nobody.
    pub fn nobody() -> Self {
        Self { store: RootCertStore::empty(), own: Vec::new() }
    }

    /// Those that this host trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others). A host without any trusts nobody.
    pub fn of_the_host() -> Self {
        let mut roots = Self::nobody();
        roots.store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    }

    /// Those of a file in PEM.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that holds no certificate; in words that follow its name.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("cannot be read: {error}"))?;
        let mut roots = Self::nobody();
        let (taken, _) = roots.store.add_parsable_certificates(certificates.iter().cloned());
        if taken == 0 {
            return Err("holds no certificate in PEM".to_owned());
        }
        roots.own = certificates;
        Ok(roots)
    }
}

/// A configuration of rustls that asks this of a server's certificate.
///
/// # Errors
///
/// None in practice: that the provider has no protocol version that is safe.
pub fn configuration(check: Check, roots: Roots) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier { check, roots, provider: Arc::clone(&provider) };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Asks what libpq asks by `sslmode`, which rustls has no words for.
#[derive(Debug)]
struct Verifier {
    check: Check,
    roots: Roots,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        // A certificate that signed itself is an authority, which webpki does not take for a server's. The user's own file
        // says that it is one, byte by byte.
        if !self.roots.own.iter().any(|own| own == end_entity) {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots.store,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        if self.check == Check::Host {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Makes TLS of connections to PostgreSQL, and takes note of whether it did.
#[derive(Clone)]
pub struct Handshake {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
    done: Arc<AtomicBool>,
}

impl Handshake {
    /// A handshake that asks what `configuration` asks.
    pub fn new(configuration: Arc<ClientConfig>) -> Self {
        Self { connector: TlsConnector::from(configuration), name: None, done: Arc::default() }
    }

    /// Whether there was one.
    pub fn done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

impl<S> MakeTlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Self> {
        // A Unix socket has no name, and no TLS.
        let name = ServerName::try_from(host.to_owned()).ok();
        Ok(Self { name, ..self.clone() })
    }
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = self.name.ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "the host is no name that a certificate can have")
            })?;
            let stream = self.connector.connect(name, stream).await?;
            self.done.store(true, Ordering::Release);
            Ok(Encrypted(Box::new(stream)))
        })
    }
}

/// A connection in TLS.
pub struct Encrypted<S>(Box<TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
