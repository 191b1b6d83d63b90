//! A connection to a drill's server through its Unix socket.

use std::future::poll_fn;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls};

use crate::settings::PORT;

/// The role that the cluster belongs to.
pub const SUPERUSER: &str = "postgres";

/// Settings under which the text of a value is the same on every server of every version. Without `jit`, which costs more
/// than it gains on statements that run once.
pub(crate) const FIXED_TEXT: &str = "-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres -c extra_float_digits=1 \
                          -c bytea_output=hex -c default_transaction_read_only=off -c lock_timeout=60s -c jit=off";

/// What pgdrill's own statements need beside them. A user's own are written for the search path of his database.
pub(crate) const FIXED_PATH: &str = "-c search_path=pg_catalog";

/// What is asked may fail, is told then, and may quote rows: none of it goes to the log.
const UNLOGGED: &str = "-c log_min_messages=panic";

/// Classes of SQLSTATE that tell of the moment, not of what was asked for: a connection that broke, a transaction that
/// was rolled back, resources that ran out, an object in use, an operator who intervened
/// (`src/backend/utils/errcodes.txt`).
const OF_THE_MOMENT: [&str; 5] = ["08", "40", "53", "55", "57"];

/// Where a server listens, and the role that may do everything there: of a cluster that somebody else made it can have any name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    directory: PathBuf,
    superuser: String,
}

impl Socket {
    /// That of a cluster of ours.
    pub fn of_ours(directory: PathBuf) -> Self {
        Self { directory, superuser: SUPERUSER.to_owned() }
    }

    /// The same of one in which another role may do everything.
    #[must_use]
    pub fn with_superuser(self, superuser: String) -> Self {
        Self { superuser, ..self }
    }

    /// The role that may do everything.
    pub fn superuser(&self) -> &str {
        &self.superuser
    }
}

impl Deref for Socket {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.directory
    }
}

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Door {
    /// The directory of the socket.
    pub socket: PathBuf,
    /// The database.
    pub database: String,
    /// The role.
    pub role: String,
    /// Settings of the session, as options of a server.
    pub options: &'static [&'static str],
}

impl Door {
    /// The superuser's door to `database`, with the server's own settings.
    pub fn superuser(socket: &Socket, database: &str) -> Self {
        Self {
            socket: socket.directory.clone(),
            database: database.to_owned(),
            role: socket.superuser.clone(),
            options: &[],
        }
    }

    /// The same for reading content.
    pub fn reading(socket: &Socket, database: &str) -> Self {
        Self { options: &[FIXED_TEXT, FIXED_PATH], ..Self::superuser(socket, database) }
    }

    /// The same for questions of somebody else, with the database's own search path.
    pub fn asking(socket: &Socket, database: &str) -> Self {
        Self { options: &[FIXED_TEXT, UNLOGGED], ..Self::superuser(socket, database) }
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// What the server, or the socket, answered.
    pub async fn open(&self) -> Result<Session, Error> {
        let (client, connection) = self.config().connect(NoTls).await?;
        // It ends by itself once the client is dropped, after it has said so to the server: a connection that is
        // cut makes the server log a FATAL line, which would be taken for trouble.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {}", describe(&error));
            }
        });
        Ok(Session { client })
    }

    /// Opens a session of which somebody hears the notices and warnings. Each is heard before the answer that it
    /// belongs to: when a statement is done, all its warnings have been heard.
    ///
    /// # Errors
    ///
    /// What the server, or the socket, answered.
    pub async fn open_heard(&self, hear: impl Fn(&DbError) + Send + 'static) -> Result<Session, Error> {
        let (client, mut connection) = self.config().connect(NoTls).await?;
        tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => hear(&notice),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!("a connection ended: {}", describe(&error));
                        return;
                    }
                }
            }
        });
        Ok(Session { client })
    }

    /// The same for whoever opens connections in another way.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.socket)
            .port(PORT)
            .user(&self.role)
            .dbname(&self.database)
            .application_name("pgdrill")
            .connect_timeout(Duration::from_secs(10));
        if !self.options.is_empty() {
            config.options(self.options.join(" "));
        }
        config
    }
}

/// An open connection; it closes when it is dropped.
pub struct Session {
    client: Client,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// Begins a transaction that reads under one snapshot: its own, or one that another session exported.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn begin_reading(&self, snapshot: Option<&str>) -> Result<(), Error> {
        let of =
            snapshot.map_or_else(String::new, |snapshot| format!("; SET TRANSACTION SNAPSHOT '{snapshot}'"));
        self.batch_execute(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{of}")).await
    }

    /// Gives the snapshot of its transaction to others, as long as that is open.
    ///
    /// # Errors
    ///
    /// What the server answered.
    pub async fn export_snapshot(&self) -> Result<String, Error> {
        self.query_one("SELECT pg_export_snapshot()", &[]).await?.try_get(0)
    }

    /// The client, where a mutable one is needed.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Whether the server answered with an error that tells of what was asked for. If not, nothing was learnt: the server
/// went away, or could not at that moment.
pub fn tells_of_data(error: &Error) -> bool {
    let class = |code: &str| OF_THE_MOMENT.iter().any(|class| code.starts_with(class));
    error.as_db_error().is_some_and(|server| !class(server.code().code()))
}

/// An error in one line, without the detail, which may quote rows.
pub fn describe(error: &Error) -> String {
    if let Some(server) = error.as_db_error() {
        return format!("{}: {} (SQLSTATE {})", server.severity(), server.message(), server.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
