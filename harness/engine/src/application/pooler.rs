//! PgBouncer, in a place of its own that outlives the servers that it leads to, as on a host of its own. It knows no password
//! but its own: it asks the server for those of the roles, so that a login shows that these came back as well.

use std::path::Path;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::world::{Clock, Command, Need, Place, Process};
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

use super::Environment;
use crate::data::{APPLICATION_ROLE, DATABASE};
use crate::drill::Drill;
use crate::log;
use crate::server::LOOK_AGAIN;
use crate::session::{Door, SUPERUSER, describe};
use crate::settings::PORT;
use crate::workspace::Workspace;

/// It listens within a moment; this is for a machine that is drowning.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The role of its console, which is no role of any server.
const ADMIN: &str = "pgdrill";

/// Its console's database.
const CONSOLE: &str = "pgbouncer";

const INI: &str = "conf/pooler.ini";
const USERS: &str = "conf/pooler.users";

/// A PgBouncer that was started.
pub struct Pooler {
    /// What it says that it is: `PgBouncer 1.18.0`.
    pub version: String,
    /// The password of its console.
    secret: String,
    place: Box<dyn Place>,
    process: Option<Box<dyn Process>>,
}

impl Pooler {
    /// Opens its place.
    ///
    /// # Errors
    ///
    /// `PROGRAM_MISSING`, and what the runtime cannot do.
    pub async fn open(drill: &Drill<'_>) -> Result<Self, Unable> {
        let workspace = drill.workspace;
        workspace.need_dir(&Path::new("socket").join(Name::Pooler.name()))?;
        let name = Name::Pooler.name().to_owned();
        let need = Need {
            run_id: drill.run_id.to_owned(),
            server: name.clone(),
            major: drill.postgres,
            workspace: workspace.root().to_owned(),
            writable: ["socket", "log"].map(|part| workspace.path(part)).into(),
            readable: vec![workspace.path("conf")],
            network: true,
        };
        let place = drill.runtime.open(&need).await?;
        drill.recorder.happened(Happening::PlaceOpened { server: name, facts: place.facts().clone() });
        let asked = place.run(&Command::system("pgbouncer", ["--version"])).await;
        match asked {
            Ok(exit) if exit.success() => {
                let version = exit.stdout.lines().next().unwrap_or_default().trim().to_owned();
                Ok(Self { version, secret: secret("console", drill.run_id), place, process: None })
            }
            refused => {
                let trouble = match refused {
                    Ok(exit) => format!("{}: {}", exit.describe(), exit.last_words()),
                    Err(unable) => unable.message,
                };
                // Nothing of it is left behind.
                let _ = place.close().await;
                Err(Unable::new(Code::ProgramMissing, format!("PgBouncer does not run where the servers do: {trouble}")).hint(
                    "Install it, as by `apt-get install pgbouncer`, and have its directory in PATH (Debian: /usr/sbin); images of \
                     ci/images/build that are up to date have it.",
                ))
            }
        }
    }

    /// Starts it, leading nowhere, and waits until its console answers.
    ///
    /// # Errors
    ///
    /// `APPLICATION_UNUSABLE`, and what the place cannot do.
    pub async fn start(&mut self, workspace: &Workspace, clock: &dyn Clock) -> Result<(), Unable> {
        let users = format!("\"{SUPERUSER}\" \"\"\n\"{ADMIN}\" \"{}\"\n", self.secret);
        workspace.write(USERS, &users, 0o600)?;
        workspace.write(INI, &ini(workspace, None), 0o600)?;
        let log = workspace.log(Name::Pooler);
        let path = workspace.path(INI).display().to_string();
        let command = Command::system("pgbouncer", [path]).log_to(&log);
        self.process = Some(self.place.spawn(&command).await?);
        let until = clock.elapsed() + START_LIMIT;
        loop {
            let running = self.process.as_mut().is_some_and(|process| process.running());
            match self.console(workspace).await {
                Ok(_) => return Ok(()),
                Err(_) if !running => {
                    let message = format!("PgBouncer ended while starting: {}", log::last_words(&log));
                    return Err(Unable::new(Code::ApplicationUnusable, message));
                }
                Err(words) if clock.elapsed() >= until => {
                    let limit = START_LIMIT.as_secs();
                    let message = format!("PgBouncer's console did not answer within {limit} s: {words}");
                    return Err(Unable::new(Code::ApplicationUnusable, message));
                }
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Leads to a server from now on: what was open to another is closed.
    ///
    /// # Errors
    ///
    /// `APPLICATION_UNUSABLE`.
    pub async fn lead_to(&self, workspace: &Workspace, server: Name) -> Result<(), Unable> {
        workspace.replace(Path::new(INI), &ini(workspace, Some(server)))?;
        let told = async {
            let console = self.console(workspace).await?;
            for word in ["RELOAD", "RECONNECT"] {
                console.simple_query(word).await.map_err(|error| format!("{word}: {}", describe(&error)))?;
            }
            Ok::<(), String>(())
        };
        told.await.map_err(|words| {
            let message = format!("PgBouncer was not led to the {}: {words}", server.name());
            Unable::new(Code::ApplicationUnusable, message)
        })
    }

    /// Where its console is.
    pub fn console_config(&self, workspace: &Workspace) -> Config {
        let door =
            Door { role: ADMIN.to_owned(), ..Door::superuser(&workspace.socket(Name::Pooler), CONSOLE) };
        let mut config = door.config();
        config.password(&self.secret);
        config
    }

    /// A session with its console, which knows the simple protocol alone.
    async fn console(&self, workspace: &Workspace) -> Result<Client, String> {
        let (client, connection) =
            self.console_config(workspace).connect(NoTls).await.map_err(|error| describe(&error))?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Ends what is left of it and closes its place.
    pub async fn close(self) -> Vec<Finding> {
        self.place.close().await
    }
}

/// The password of the application's role in a drill.
pub fn password(run_id: &str) -> String {
    secret(APPLICATION_ROLE, run_id)
}

fn secret(of: &str, run_id: &str) -> String {
    let digest = Sha256::digest(format!("{of}/{run_id}").as_bytes());
    hex::encode(&digest[..12])
}

/// Where an application finds its database: the pooler's socket.
pub fn environment(socket: &Path, run_id: &str) -> Environment {
    vec![
        ("PGHOST", socket.display().to_string()),
        ("PGPORT", PORT.to_string()),
        ("PGDATABASE", DATABASE.to_owned()),
        ("PGUSER", APPLICATION_ROLE.to_owned()),
        ("PGPASSWORD", password(run_id)),
    ]
}

/// Its configuration. It tries again at once when a server cannot be reached, where it would wait for 15 seconds, and lets
/// nobody wait for longer than a user would.
fn ini(workspace: &Workspace, to: Option<Name>) -> String {
    let database = to.map_or_else(String::new, |server| {
        let host = workspace.socket(server).display().to_string().replace('\'', "''");
        format!("{DATABASE} = host='{host}' port={PORT} dbname={DATABASE} auth_user={SUPERUSER}\n")
    });
    format!(
        "[databases]\n{database}\n[pgbouncer]\n\
         listen_addr =\n\
         listen_port = {PORT}\n\
         unix_socket_dir = {socket}\n\
         unix_socket_mode = 0700\n\
         auth_type = scram-sha-256\n\
         auth_file = {users}\n\
         auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1\n\
         admin_users = {ADMIN}\n\
         stats_users = {ADMIN}\n\
         pool_mode = transaction\n\
         max_client_conn = 200\n\
         default_pool_size = 20\n\
         server_login_retry = 0.1\n\
         server_connect_timeout = 5\n\
         query_wait_timeout = 5\n\
         ignore_startup_parameters = extra_float_digits,options\n",
        socket = workspace.socket(Name::Pooler).display(),
        users = workspace.path(USERS).display(),
    )
}
