//! Whether tests that need a docker engine can run, asked by other means than the runtime's own: a few bytes of HTTP.

#![allow(clippy::panic, reason = "for tests only: a test that must run and cannot has failed")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Set to 1 where a test that is skipped for want of docker is a failed test.
const REQUIRED: &str = "PGDRILL_REQUIRE_DOCKER";

/// An engine that takes longer to answer is none.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the engine of these tests listens, in the form of `DOCKER_HOST`.
pub fn host() -> String {
    let given = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    given.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// The image that tests run a major in.
pub fn image(major: u16) -> String {
    format!("pgdrill/postgres:{major}")
}

/// What the engine answers to a GET of a path such as `/images/json`: the body, where the status is 200.
///
/// # Errors
///
/// Why there is no such answer.
pub fn get(path: &str) -> Result<String, String> {
    let host = host();
    let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    let answer = match host.split_once("://") {
        Some(("unix", socket)) => {
            let stream = UnixStream::connect(socket).map_err(|error| format!("{socket}: {error}"))?;
            stream.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
            ask(stream, &request)
        }
        Some(("tcp" | "http", address)) => {
            let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
            stream.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
            ask(stream, &request)
        }
        _ => Err(format!("DOCKER_HOST={host} is not understood here")),
    }?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_owned()) } else { Err(format!("{path}: status {status}")) }
}

fn ask(mut stream: impl Read + Write, request: &str) -> Result<String, String> {
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether a test that needs a docker engine with the images of these majors can run; of none, with any of them.
/// Where it cannot, it says so loudly, and where `PGDRILL_REQUIRE_DOCKER=1` it panics.
pub fn required_or_skip(majors: &[u16]) -> bool {
    let missing = match get("/_ping") {
        Err(why) => Some(format!("no docker engine ({why})")),
        Ok(_) if majors.is_empty() => {
            let any = (13..=18).any(|major| there(major).is_ok());
            (!any).then(|| {
                "no docker image pgdrill/postgres of any major; make one: ci/images/build 15".to_owned()
            })
        }
        Ok(_) => {
            let gone = majors.iter().find(|major| there(**major).is_err());
            gone.map(|major| format!("no docker image {}; make it: ci/images/build {major}", image(*major)))
        }
    };
    let Some(missing) = missing else { return true };
    assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{REQUIRED}=1, and there is {missing}");
    #[allow(clippy::print_stderr, reason = "a test program must say what it skips")]
    {
        eprintln!("SKIPPED: {missing}");
    }
    false
}

fn there(major: u16) -> Result<(), String> {
    get(&format!("/images/{}/json", image(major))).map(|_| ())
}
