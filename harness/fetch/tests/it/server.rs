//! moto, a server that speaks S3, on a free port of the loopback for as long as a test lasts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use pgdrill_fetch::Source;

use crate::environment;

/// The server, and where it listens.
pub struct Server {
    process: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// Where `ci/setup.sh` puts the program, unless `PGDRILL_S3_SERVER` names another.
fn program() -> PathBuf {
    std::env::var_os("PGDRILL_S3_SERVER").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("s3-server").join("bin/moto_server"),
        PathBuf::from,
    )
}

impl Server {
    /// A server; none where the machine has none, which is a failure where everything must be tried.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// The same, which looks at credentials after so many requests.
    pub fn that_looks_at_credentials_after(requests: u32) -> Option<Self> {
        Self::with(&[("INITIAL_NO_AUTH_ACTION_COUNT", &requests.to_string())])
    }

    fn with(variables: &[(&str, &str)]) -> Option<Self> {
        let program = program();
        if !program.exists() {
            let required = std::env::var("PGDRILL_REQUIRE_DOCKER").is_ok_and(|value| value == "1")
                || std::env::var_os("CI").is_some();
            let missing = format!("there is no {}; ci/test installs it", program.display());
            assert!(!required, "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .envs(variables.iter().copied())
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("http://127.0.0.1:")?.1.trim().parse().ok())
            .expect("the server says where it listens");
        // It goes on speaking, and would wait for somebody who hears it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, port })
    }

    /// Makes a request, and gives what it answers.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        // Who changes something must be somebody; nobody looks at the signature.
        request
            .push_str("authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, ");
        request.push_str("SignedHeaders=host, Signature=0\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        answer
    }

    /// Makes the bucket `backups`.
    pub fn make_bucket(&self) {
        self.ask("PUT", "/backups", &[], b"");
    }

    /// Puts an object into it; the name as it stands in a URL.
    pub fn put(&self, name: &str, content: &[u8]) {
        self.ask("PUT", &format!("/backups/{name}"), &[], content);
    }

    /// Puts an object in several parts into it, as is done with large ones.
    pub fn put_in_parts(&self, name: &str, parts: &[&[u8]]) {
        let path = format!("/backups/{name}");
        let begun = self.ask("POST", &format!("{path}?uploads"), &[], b"");
        let id = begun.split_once("<UploadId>").unwrap().1.split_once("</UploadId>").unwrap().0;
        let mut list = String::new();
        for (number, part) in parts.iter().enumerate() {
            let number = number + 1;
            let answer = self.ask("PUT", &format!("{path}?partNumber={number}&uploadId={id}"), &[], part);
            let etag = answer.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().trim();
            list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        self.ask("POST", &format!("{path}?uploadId={id}"), &[], list.as_bytes());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An environment for a store on a port of the loopback.
pub fn variables(port: u16) -> Vec<(String, String)> {
    environment(&[
        ("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "AKIAPGDRILLEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "verysecretkeyofatest"),
        ("AWS_REGION", "us-east-1"),
    ])
}

/// A source on a port of the loopback.
pub fn source(port: u16, url: &str) -> Source {
    Source::parse(url, variables(port)).unwrap()
}
