//! An engine that misbehaves: a Unix socket in front of the real one, which hands everything on but what its rule says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pgdrill_testkit::docker;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What goes wrong.
#[derive(Clone)]
pub enum Rule {
    /// Nothing.
    HandOn,
    /// A key of every request is written otherwise, in as many letters, so that the engine does not know it.
    Rewrite(&'static str, &'static str),
    /// Requests whose first line holds a word are refused with a message.
    Refuse(&'static str, &'static str),
}

/// The socket, which anybody may use.
pub struct Proxy {
    socket: PathBuf,
    listening: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    /// Listens in a directory.
    pub fn listen(directory: &Path, rule: Rule) -> Self {
        let socket = directory.join("engine");
        let listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let made = Arc::clone(&connections);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connection = tokio::spawn(serve(client, rule.clone()));
                made.lock().unwrap().push(connection);
            }
        });
        Self { socket, listening, connections }
    }

    /// As `DOCKER_HOST` names it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The engine stops, in the middle of whatever it does.
    pub fn cut(self) {
        self.listening.abort();
        std::fs::remove_file(&self.socket).unwrap();
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

/// One connection, with one request: the client makes a new one for each.
async fn serve(mut client: UnixStream, rule: Rule) {
    let real = docker::host();
    let Some(real) = real.strip_prefix("unix://") else {
        panic!("these tests need an engine behind a Unix socket")
    };
    let mut engine = UnixStream::connect(real).await.unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 64 * 1024];
    // Requests come in one piece or two, and none is longer than this waits for.
    while !whole(&request) {
        match client.read(&mut buffer).await {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let mut text = String::from_utf8(request).unwrap();
    match rule {
        Rule::HandOn => {}
        Rule::Rewrite(key, other) => {
            assert_eq!(key.len(), other.len());
            text = text.replace(key, other);
        }
        Rule::Refuse(word, message) if text.lines().next().unwrap().contains(word) => {
            let body = format!("{{\"message\":\"{message}\"}}");
            let head =
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            client.write_all(answer.as_bytes()).await.unwrap();
            return;
        }
        Rule::Refuse(..) => {}
    }
    engine.write_all(text.as_bytes()).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut engine).await;
}

/// Whether a request has come with all of its body.
fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}
