//! The application's service, as far as the runbook asks it: it answers every request with an error while its database is
//! away, and well when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// More than any request of the runbook has.
const LONGEST: usize = 16 << 10;

const ILL: &str = "{\"error\": \"database connection failed\"}\n";
const WELL: &str = "database_connections 5\n";

/// A service on this host, which ends when it is dropped.
pub struct Service {
    port: u16,
    well: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Service {
    /// Begins to answer, with errors.
    ///
    /// # Errors
    ///
    /// `WORKSPACE_UNUSABLE`: nothing can listen on this host.
    pub async fn begin() -> Result<Self, Unable> {
        let unusable = |error: std::io::Error| {
            Unable::new(Code::WorkspaceUnusable, format!("cannot listen on 127.0.0.1: {error}"))
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        let well = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&well);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One that hangs up is none of ours.
                let _ = answer(stream, state.load(Ordering::Relaxed)).await;
            }
        });
        Ok(Self { port, well, task })
    }

    /// Its database is back.
    pub fn recovers(&mut self) {
        self.well.store(true, Ordering::Relaxed);
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request.
async fn answer(mut stream: TcpStream, well: bool) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let (status, body) = if well { ("200 OK", WELL) } else { ("500 Internal Server Error", ILL) };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(service: &Service) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", service.port)).await.unwrap();
        stream.write_all(b"POST /api/strategies/list HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_fails_until_its_database_is_back() {
        let mut service = Service::begin().await.unwrap();
        let ill = ask(&service).await;
        assert!(ill.starts_with("HTTP/1.1 500 ") && ill.ends_with(ILL), "{ill}");
        service.recovers();
        let well = ask(&service).await;
        assert!(well.starts_with("HTTP/1.1 200 ") && well.ends_with(WELL), "{well}");
    }
}
