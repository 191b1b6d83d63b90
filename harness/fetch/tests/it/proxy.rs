//! A proxy between a fetch and its store: counts what goes through it, and breaks connections when it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// Each connection is cut after so many bytes of answers.
    CutEach(u64),
    /// After so many bytes of answers in all, connections are cut and nobody gets through any more.
    CutAllAfter(u64),
    /// After so many bytes of answers in all, nothing comes any more, and connections stay.
    SilentAfter(u64),
    /// The next so many connections are answered that the store is unavailable, the others go through.
    Unavailable(usize),
}

struct Inside {
    mode: Mutex<Mode>,
    bytes: AtomicU64,
    connections: AtomicUsize,
}

/// The proxy.
pub struct Proxy {
    /// Its port on 127.0.0.1.
    pub port: u16,
    inside: Arc<Inside>,
}

impl Proxy {
    /// A proxy before the server on this port.
    pub fn before(server: u16, mode: Mode) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inside = Arc::new(Inside {
            mode: Mutex::new(mode),
            bytes: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&inside);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let inside = Arc::clone(&shared);
                std::thread::spawn(move || serve(&client, server, &inside));
            }
        });
        Self { port, inside }
    }

    /// From now on it does this, and counts from the beginning.
    pub fn set(&self, mode: Mode) {
        *self.inside.mode.lock().unwrap() = mode;
        self.inside.bytes.store(0, Ordering::SeqCst);
        self.inside.connections.store(0, Ordering::SeqCst);
    }

    /// Bytes of answers that went through it.
    pub fn bytes(&self) -> u64 {
        self.inside.bytes.load(Ordering::SeqCst)
    }

    /// Connections that were made to it.
    pub fn connections(&self) -> usize {
        self.inside.connections.load(Ordering::SeqCst)
    }
}

fn serve(client: &TcpStream, server: u16, inside: &Inside) {
    let number = inside.connections.fetch_add(1, Ordering::SeqCst);
    let mode = || *inside.mode.lock().unwrap();
    match mode() {
        Mode::Unavailable(count) if number < count => {
            let _ = (&mut &*client).read(&mut [0; 8192]);
            let _ = (&mut &*client).write_all(
                b"HTTP/1.1 503 Slow Down\r\ncontent-length: 33\r\nconnection: close\r\n\r\n<Error><Code>SlowDown</Code></Err>",
            );
            return;
        }
        Mode::CutAllAfter(limit) if inside.bytes.load(Ordering::SeqCst) >= limit => return,
        _ => {}
    }
    let upstream = TcpStream::connect(("127.0.0.1", server)).unwrap();
    let (from, to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut &from, &mut &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 16 << 10];
    let mut of_this = 0_u64;
    while let Ok(read @ 1..) = (&upstream).read(&mut buffer) {
        let all = inside.bytes.load(Ordering::SeqCst);
        let allowed = match mode() {
            Mode::CutEach(limit) => limit.saturating_sub(of_this),
            Mode::CutAllAfter(limit) | Mode::SilentAfter(limit) => limit.saturating_sub(all),
            Mode::Pass | Mode::Unavailable(_) => u64::MAX,
        };
        let passing = read.min(usize::try_from(allowed).unwrap_or(usize::MAX));
        if (&mut &*client).write_all(&buffer[..passing]).is_err() {
            break;
        }
        of_this += passing as u64;
        inside.bytes.fetch_add(passing as u64, Ordering::SeqCst);
        if passing < read {
            // Nothing comes any more until the other side hangs up, or the test is over.
            while matches!(mode(), Mode::SilentAfter(_)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
}
