//! A server of the user's by its connection string: where it is, how the connection is protected, and how one is opened.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgdrill_model::triage::Tls;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error, NoTls};

use super::conninfo::Parts;
use super::tls::{Check, Handshake, Roots, configuration};
use crate::session::{Door, FIXED_PATH, FIXED_TEXT, describe};

/// A server, and how to come to it.
#[derive(Clone, Debug)]
pub struct Target {
    config: Config,
    /// None where there is never TLS: at a Unix socket, and by `sslmode=disable`.
    tls: Option<(Arc<ClientConfig>, Check)>,
}

/// Why there is nothing to be looked at by this connection string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong with it, without any of its content.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// An open connection.
pub(super) struct Connected {
    pub client: Client,
    pub tls: Tls,
    going_on: JoinHandle<Result<(), Error>>,
}

impl Connected {
    /// Ends the connection, so that the server hears that this is the end, and logs no line about one that broke.
    pub async fn close(self) {
        drop(self.client);
        let _ = self.going_on.await;
    }
}

impl Target {
    /// A server by its connection string (`host=... user=...`, or `postgresql://...`). A password that is not in it is
    /// taken from `password`; to connect takes at most `limit`.
    ///
    /// `sslmode` is what it is for libpq, but for what is not said: a server that is not named by a Unix socket or an address
    /// of this host itself must have TLS and a certificate that is trusted and its own (as by `verify-full`); of this host
    /// itself a server need not have TLS, and where it has, its certificate must be the same.
    ///
    /// # Errors
    ///
    /// A string that is no connection string, that names no server, or authorities that cannot be read.
    pub fn new(dsn: &str, password: Option<&str>, limit: Duration) -> Result<Self, Wrong> {
        let parts = Parts::of(dsn);
        let mut config: Config = parts.rest.parse().map_err(|error: Error| Wrong {
            // Where it breaks is told, never what stands there.
            message: format!("this is no connection string: {error}"),
            hint: "write it as `host=db.example user=monitor dbname=trading`, or as `postgresql://monitor@db.example/trading`",
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Wrong {
                message: "the connection string names no host".to_owned(),
                hint: "write `host=`, with a name, an address, or the directory of a Unix socket",
            });
        }
        if config.get_hosts().is_empty() {
            // A certificate is held against a name, or against the address as one.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        config.application_name("pgdrill").connect_timeout(limit);
        let tls = protect(&mut config, parts.sslmode.as_deref(), parts.sslrootcert.as_deref())?;
        Ok(Self { config, tls })
    }

    /// The console of a PgBouncer by its connection string; its database is `pgbouncer` where none is named.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn pooler(dsn: &str, password: Option<&str>, limit: Duration) -> Result<Self, Wrong> {
        let mut pooler = Self::new(dsn, password, limit)?;
        if pooler.config.get_dbname().is_none() {
            pooler.config.dbname("pgbouncer");
        }
        Ok(pooler)
    }

    /// A server of a drill, by its door.
    pub(crate) fn of(door: &Door) -> Self {
        Self::at(door.config())
    }

    /// A server, or a pooler's console, at a Unix socket.
    pub(crate) fn at(config: Config) -> Self {
        Self { config, tls: None }
    }

    /// Whether the connection string holds a password.
    pub fn has_password(dsn: &str) -> bool {
        Parts::of(dsn).rest.parse::<Config>().is_ok_and(|config| config.get_password().is_some())
    }

    /// The same server for reading content of `database`: the text of rows is the same everywhere, nothing can be written, row
    /// security that would hide rows is an error, no table may take longer than `each`, and nobody is kept waiting behind a lock.
    pub(super) fn reading(&self, database: Option<&str>, each: Duration) -> Self {
        let mut reading = self.clone();
        let own = self.config.get_options().unwrap_or_default();
        reading.config.options(format!(
            "{own} {FIXED_TEXT} {FIXED_PATH} -c default_transaction_read_only=on -c row_security=off -c statement_timeout={} \
             -c lock_timeout=5s -c idle_in_transaction_session_timeout=0",
            each.as_millis().min(i32::MAX as u128)
        ));
        if let Some(database) = database {
            reading.config.dbname(database);
        }
        reading
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Connected, Error> {
        let Some((configuration, check)) = &self.tls else {
            let (client, connection) = self.config.connect(NoTls).await?;
            let socket = self.config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
            let tls = if socket { Tls::Socket } else { Tls::Plain };
            return Ok(Connected { client, tls, going_on: tokio::spawn(connection) });
        };
        let handshake = Handshake::new(Arc::clone(configuration));
        let (client, connection) = self.config.connect(handshake.clone()).await?;
        let tls = match (handshake.done(), check) {
            (false, _) => Tls::Plain,
            (true, Check::Nothing) => Tls::Unverified,
            (true, Check::Authority) => Tls::Authority,
            (true, Check::Host) => Tls::Verified,
        };
        Ok(Connected { client, tls, going_on: tokio::spawn(connection) })
    }
}

/// Sets how connections are protected, by the words of the connection string or without any.
fn protect(
    config: &mut Config,
    sslmode: Option<&str>,
    sslrootcert: Option<&str>,
) -> Result<Option<(Arc<ClientConfig>, Check)>, Wrong> {
    let (mode, mut check) = match sslmode {
        None if on_this_host(config) => (SslMode::Prefer, Check::Host),
        None | Some("verify-full") => (SslMode::Require, Check::Host),
        Some("verify-ca") => (SslMode::Require, Check::Authority),
        Some("require") => (SslMode::Require, Check::Nothing),
        Some("prefer") => (SslMode::Prefer, Check::Nothing),
        Some("disable") => (SslMode::Disable, Check::Nothing),
        Some(_) => {
            return Err(Wrong {
                message: "the connection string has an sslmode that is none".to_owned(),
                hint: "write disable, prefer, require, verify-ca or verify-full",
            });
        }
    };
    let sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    if sockets && config.get_hostaddrs().is_empty() || mode == SslMode::Disable {
        // PostgreSQL has no TLS on Unix sockets, and libpq asks for none there whatever is said.
        config.ssl_mode(SslMode::Disable);
        return Ok(None);
    }
    // As in libpq: who names an authority wants to be asked by it.
    if check == Check::Nothing && sslrootcert.is_some() {
        check = Check::Authority;
    }
    let roots = match sslrootcert {
        _ if check == Check::Nothing => Roots::nobody(),
        None | Some("system") => Roots::of_the_host(),
        Some(path) => Roots::of_file(Path::new(path)).map_err(|why| Wrong {
            message: format!("sslrootcert {path} {why}"),
            hint: "name a file with the certificates of the authorities in PEM, or `system` for those of this host",
        })?,
    };
    config.ssl_mode(mode);
    let configuration = configuration(check, roots).map_err(|error| Wrong {
        message: format!("there is no TLS to be had: {error}"),
        hint: "report it; with sslmode=disable it goes without",
    })?;
    Ok(Some((Arc::new(configuration), check)))
}

/// Whether every host of a connection string is this host itself.
fn on_this_host(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// What TLS said against a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server has none.
    None,
    /// The certificate is not one to be trusted.
    Certificate,
}

/// What TLS said against a connection; none where it was something else.
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    let source = std::error::Error::source(error)?;
    if let Some(rustls::Error::InvalidCertificate(_)) = source
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>())
    {
        return Some(Refusal::Certificate);
    }
    // The words of tokio-postgres, which has no type for it.
    (source.to_string() == "server does not support TLS").then_some(Refusal::None)
}

/// An error in one line, and where it is about TLS, what to do.
pub(super) fn words(error: &Error) -> String {
    let told = describe(error);
    // That there was no connection is said by what is made of this.
    let told = told.strip_prefix("error connecting to server: ").unwrap_or(&told);
    match refusal(error) {
        Some(Refusal::None) => {
            format!("{told}; where the network is to be trusted, write sslmode=prefer or sslmode=disable")
        }
        Some(Refusal::Certificate) => {
            format!(
                "{told}; name its authority by sslrootcert=, or its name by host= beside hostaddr=; sslmode=require would ask \
                 nothing of it"
            )
        }
        None => told.to_owned(),
    }
}

impl fmt::Display for Target {
    /// Which server it is, without any password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let ports: Vec<String> = self.config.get_ports().iter().map(u16::to_string).collect();
        write!(f, "{}", hosts.join(","))?;
        if !ports.is_empty() {
            write!(f, ":{}", ports.join(","))?;
        }
        let user = self.config.get_user();
        let database = self.config.get_dbname().or(user);
        write!(f, "/{}", database.unwrap_or("postgres"))?;
        user.map_or(Ok(()), |user| write!(f, " as {user}"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn target(dsn: &str) -> Result<Target, Wrong> {
        Target::new(dsn, None, Duration::from_secs(1))
    }

    #[rstest]
    #[case("host=/run/postgresql user=monitor", "/run/postgresql/monitor as monitor")]
    #[case("postgresql://monitor:secret@db.example:6432/trading", "db.example:6432/trading as monitor")]
    #[case("host=a,b port=1,2 dbname=x sslmode=require", "a,b:1,2/x")]
    fn a_server_is_named_without_its_password(#[case] dsn: &str, #[case] expected: &str) {
        assert_eq!(target(dsn).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case::no_host("user=monitor password=secret", "names no host")]
    #[case::no_string("host", "no connection string")]
    #[case::unknown_key("host=a colour=secret", "no connection string")]
    #[case::unknown_mode("host=a sslmode=secret", "an sslmode that is none")]
    #[case::no_authorities(
        "host=a sslmode=verify-ca sslrootcert=/nowhere",
        "sslrootcert /nowhere cannot be read"
    )]
    #[case::no_certificate("host=a sslrootcert=/dev/null", "sslrootcert /dev/null holds no certificate")]
    fn what_is_wrong_is_told_without_what_stands_there(#[case] dsn: &str, #[case] expected: &str) {
        let wrong = target(dsn).unwrap_err();
        assert!(wrong.message.contains(expected) && !wrong.message.contains("secret"), "{wrong:?}");
    }

    #[test]
    fn a_password_in_the_string_is_known() {
        assert!(Target::has_password("host=a password=b"));
        assert!(Target::has_password("host=a sslmode=verify-full password=b"));
        assert!(Target::has_password("postgresql://u:p@h/d?sslmode=verify-ca"));
        assert!(!Target::has_password("host=a user=b"));
    }

    #[rstest]
    #[case::elsewhere("host=db.example", SslMode::Require, Some(Check::Host))]
    #[case::by_address("hostaddr=10.0.0.1", SslMode::Require, Some(Check::Host))]
    #[case::here("host=localhost", SslMode::Prefer, Some(Check::Host))]
    #[case::here_by_address("host=::1", SslMode::Prefer, Some(Check::Host))]
    #[case::here_by_name_alone("host=localhost hostaddr=10.0.0.1", SslMode::Require, Some(Check::Host))]
    #[case::one_is_elsewhere("host=/run/postgresql,db.example", SslMode::Require, Some(Check::Host))]
    #[case::socket("host=/run/postgresql sslmode=verify-full", SslMode::Disable, None)]
    #[case::disabled("host=db.example sslmode=disable", SslMode::Disable, None)]
    #[case::preferred("host=db.example sslmode=prefer", SslMode::Prefer, Some(Check::Nothing))]
    #[case::required("host=db.example sslmode=require", SslMode::Require, Some(Check::Nothing))]
    #[case::required_of_the_host(
        "host=db.example sslmode=require sslrootcert=system",
        SslMode::Require,
        Some(Check::Authority)
    )]
    #[case::authority("host=localhost sslmode=verify-ca", SslMode::Require, Some(Check::Authority))]
    #[case::full("host=localhost sslmode=verify-full", SslMode::Require, Some(Check::Host))]
    fn connections_are_protected_unless_somebody_says_otherwise(
        #[case] dsn: &str,
        #[case] mode: SslMode,
        #[case] check: Option<Check>,
    ) {
        let target = target(dsn).unwrap();
        assert_eq!(target.config.get_ssl_mode(), mode);
        assert_eq!(target.tls.map(|(_, check)| check), check);
    }
}
