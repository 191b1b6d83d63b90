//! TLS of `pgdrill live`: whose certificate is trusted by which `sslmode`, on a real server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use rstest::rstest;
use serde_json::Value;

use crate::desk::Desk;
use crate::server::{Server, bin, postgres};

/// Makes an authority, another one, a certificate of the first for `db.example`, and one that signed itself.
fn certificates(desk: &Desk, owner: (u32, u32)) {
    let script = "set -e
        key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1'
        for ca in ca other; do
            openssl req -x509 $key -nodes -days 3650 -subj /CN=$ca -keyout $ca.key -out $ca.crt
        done
        openssl req $key -nodes -subj /CN=db.example -keyout server.key -out server.csr
        echo 'subjectAltName = DNS:db.example' > extension
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile extension -out server.crt
        openssl req -x509 $key -nodes -days 3650 -subj /CN=db.example -addext 'subjectAltName = DNS:db.example' \\
            -keyout self.key -out self.crt
        chmod 600 *.key";
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(desk.path("server")).stdout(Stdio::null()).stderr(Stdio::null());
    let made = command.status().is_ok_and(|status| status.success());
    assert!(made, "openssl makes no certificates; ci/test installs it");
    for name in ["server.key", "self.key"] {
        chown(desk.path("server").join(name), Some(owner.0), Some(owner.1)).unwrap();
    }
}

/// Starts the server again, on a TCP port, with a certificate or without TLS; the port.
fn listen(server: &Server<'_>, bin: &Path, certificate: Option<&str>) -> u16 {
    server.end("fast");
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let room = &server.socket;
    let tls = certificate.map_or_else(
        || "ssl = off\n".to_owned(),
        |name| format!("ssl = on\nssl_cert_file = '{room}/{name}.crt'\nssl_key_file = '{room}/{name}.key'\n"),
    );
    server.configure(&format!("listen_addresses = '127.0.0.1'\nport = {port}\n{tls}"));
    let log = format!("{room}/log");
    postgres(bin, "pg_ctl", &["-w", "-s", "-D", &server.data, "-l", &log, "start"], "");
    port
}

/// What a connection string comes to: the state, and how the connection is protected.
fn reach(desk: &Desk, dsn: &str) -> (i32, String, String) {
    let done = desk.pgdrill(&["live", "triage", "--dsn", dsn, "--json", "-"]);
    let json: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
    let text = |name: &str| json["facts"]["reach"][name].as_str().unwrap_or("none").to_owned();
    (done.code, text("state"), text("tls"))
}

/// A server for each: its certificate, or none where it has no TLS; connection strings, each with the state that it comes to,
/// and how the connection is protected.
#[rstest]
#[case::an_authority(Some("server"), &[
    ("host=db.example hostaddr=127.0.0.1 sslrootcert=ca.crt", "answers", "verified"),
    ("host=db.example hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=ca.crt", "answers", "verified"),
    ("host=db.example hostaddr=127.0.0.1 sslrootcert=other.crt", "untrusted", "none"),
    ("host=localhost sslmode=verify-ca sslrootcert=other.crt", "untrusted", "none"),
    ("host=localhost", "untrusted", "none"),
    ("host=localhost sslmode=verify-full sslrootcert=ca.crt", "untrusted", "none"),
    ("host=localhost sslmode=verify-ca sslrootcert=ca.crt", "answers", "authority"),
    ("host=localhost sslmode=require", "answers", "unverified"),
    ("host=localhost sslmode=require sslrootcert=other.crt", "untrusted", "none"),
    ("host=localhost sslmode=prefer", "answers", "unverified"),
    ("host=localhost sslmode=disable", "answers", "plain"),
])]
#[case::nobody_but_itself(Some("self"), &[
    ("host=db.example hostaddr=127.0.0.1 sslrootcert=self.crt", "answers", "verified"),
    ("host=localhost sslrootcert=self.crt", "untrusted", "none"),
])]
#[case::no_tls(None, &[
    ("host=localhost sslmode=require", "unencrypted", "none"),
    ("host=db.example hostaddr=127.0.0.1", "unencrypted", "none"),
    ("host=localhost", "answers", "plain"),
    ("host=db.example hostaddr=127.0.0.1 sslmode=prefer", "answers", "plain"),
])]
fn a_certificate_is_asked_what_sslmode_says(
    #[case] certificate: Option<&str>,
    #[case] expected: &[(&str, &str, &str)],
) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let owner = fs::metadata(&server.data).unwrap();
    certificates(&desk, (owner.uid(), owner.gid()));
    let port = listen(&server, &bin, certificate);
    let room = format!("sslrootcert={}/", server.socket);
    for (dsn, state, tls) in expected {
        let dsn = format!("{} port={port} user=postgres", dsn.replace("sslrootcert=", &room));
        let code = if *state == "answers" { 0 } else { 2 };
        assert_eq!(reach(&desk, &dsn), (code, (*state).to_owned(), (*tls).to_owned()), "{dsn}");
        // The watch asks the same.
        let done = desk.pgdrill(&["live", "watch", "--dsn", &dsn, "--for", "1ms", "--every", "2s"]);
        done.ends_with(code);
        assert_eq!(done.stdout.contains("1 of 1 looks were answered"), code == 0, "{}", done.stdout);
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_reason_to_suspect_a_breach() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let server = Server::start(&bin, &desk, 1);
    let owner = fs::metadata(&server.data).unwrap();
    certificates(&desk, (owner.uid(), owner.gid()));
    let port = listen(&server, &bin, Some("server"));
    let done =
        desk.pgdrill(&["live", "triage", "--dsn", &format!("host=localhost port={port} user=postgres")]);
    done.ends_with(2);
    assert!(done.stdout.contains("certificate-untrusted"), "{}", done.stdout);
    assert!(done.stdout.contains("ESCALATE, a security breach is possible"), "{}", done.stdout);
    let words: Vec<&str> = done.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("name its authority by sslrootcert="), "{}", done.stdout);
}
