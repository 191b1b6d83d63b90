//! A PostgreSQL server that a test starts itself, without pgdrill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::desk::Desk;

/// The programs of 15; none where they are not installed.
pub fn bin() -> Option<PathBuf> {
    let bin = PathBuf::from("/usr/lib/postgresql/15/bin");
    if bin.join("postgres").exists() {
        return Some(bin);
    }
    eprintln!("SKIPPED: there is no PostgreSQL 15 in {}", bin.display());
    None
}

/// Runs a program of PostgreSQL, as an account that may run servers.
pub fn postgres(bin: &Path, program: &str, args: &[&str], input: &str) -> String {
    String::from_utf8(bytes_of(bin, program, args, input)).unwrap()
}

/// The same of one that writes a backup.
pub fn bytes_of(bin: &Path, program: &str, args: &[&str], input: &str) -> Vec<u8> {
    use std::io::Write;
    let mut command = if rustix::process::getuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(bin.join(program));
        command
    } else {
        Command::new(bin.join(program))
    };
    let mut child = command
        .args(args)
        .current_dir("/")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    output.stdout
}

/// A server that archives; it ends with the test.
pub struct Server<'a> {
    bin: &'a Path,
    pub data: String,
    pub socket: String,
}

impl<'a> Server<'a> {
    pub fn start(bin: &'a Path, desk: &Desk, segment_mb: u32) -> Self {
        let room = desk.path("server");
        fs::create_dir(&room).unwrap();
        fs::set_permissions(&room, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let socket = room.to_str().unwrap().to_owned();
        let data = format!("{socket}/data");
        let size = format!("--wal-segsize={segment_mb}");
        postgres(
            bin,
            "initdb",
            &["-D", &data, "-A", "trust", "-U", "postgres", "-N", "--no-locale", &size],
            "",
        );
        let archive = format!("{socket}/archive");
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{socket}'\nfsync = off\nautovacuum = off\n\
             archive_mode = on\narchive_command = 'mkdir -p {archive} && cp %p {archive}/%f'\n\
             allow_in_place_tablespaces = on\nmax_prepared_transactions = 5\n"
        );
        let server = Self { bin, data, socket };
        server.configure(&settings);
        let log = format!("{}/log", server.socket);
        postgres(server.bin, "pg_ctl", &["-w", "-s", "-D", &server.data, "-l", &log, "start"], "");
        server
    }

    /// Starts a server on a copy of a data directory, with a socket of its own.
    pub fn of_copy(bin: &'a Path, data: &str, socket: &str, settings: &str) -> Self {
        fs::create_dir(socket).unwrap();
        fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let server = Self { bin, data: data.to_owned(), socket: socket.to_owned() };
        server.configure(&format!("unix_socket_directories = '{socket}'\narchive_mode = off\n{settings}"));
        let log = format!("{socket}/log");
        postgres(bin, "pg_ctl", &["-w", "-s", "-D", data, "-l", &log, "start"], "");
        server
    }

    pub fn configure(&self, settings: &str) {
        let path = format!("{}/postgresql.conf", self.data);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + settings).unwrap();
    }

    pub fn sql(&self, text: &str) -> String {
        let args = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", &self.socket, "-U", "postgres", "postgres"];
        postgres(self.bin, "psql", &args, text)
    }

    /// A client that goes on beside the test.
    pub fn psql(&self, text: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-XAtq", "-h", &self.socket, "-U", "postgres", "-c", text, "postgres"]);
        command
    }

    /// Ends the server in good order, which archives all that is full; switches before, so that everything is.
    pub fn stop(&self) -> PathBuf {
        self.sql("select pg_switch_wal();");
        self.end("fast");
        PathBuf::from(format!("{}/archive", self.socket))
    }

    pub fn end(&self, mode: &str) {
        postgres(self.bin, "pg_ctl", &["-w", "-s", "-D", &self.data, "-m", mode, "stop"], "");
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if Path::new(&format!("{}/postmaster.pid", self.data)).exists() {
            self.end("immediate");
        }
    }
}
