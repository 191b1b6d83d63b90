//! The tablespaces of a drill's servers. Each server has its own below `tablespaces/SERVER` of the workspace; whatever
//! lies elsewhere belongs to somebody else, and no other server of the drill may come near it.

use std::path::{Path, PathBuf};

use pgdrill_backup::tablespaces::leaves;
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server;
use pgdrill_model::scenario::Tablespace;
use pgdrill_ondisk::tablespace::Mapping;

use crate::session::{Session, describe};
use crate::workspace::Workspace;

/// One without a location of its own lies within the data directory (`allow_in_place_tablespaces`).
const TABLESPACES: &str = "SELECT oid::text, pg_tablespace_location(oid) FROM pg_tablespace \
                           WHERE pg_tablespace_location(oid) LIKE '/%' ORDER BY oid";

/// Makes the directory of `server`'s tablespaces.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE` or `DISK_FULL`.
pub fn make_root(workspace: &Workspace, server: Server) -> Result<(), Unable> {
    workspace.make_dir(&root(server))
}

/// The directory of `server`'s tablespaces, within the workspace.
pub fn root(server: Server) -> PathBuf {
    Path::new("tablespaces").join(server.name())
}

/// Makes the primary's tablespaces.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE` or `DISK_FULL`; `SQL_FAILED` with what the server answered.
pub async fn create(
    workspace: &Workspace,
    session: &Session,
    tablespaces: &[Tablespace],
) -> Result<(), Unable> {
    for Tablespace { name, .. } in tablespaces {
        let part = root(Server::Primary).join(name);
        workspace.make_dir(&part)?;
        let place = workspace.path(part).to_string_lossy().replace('\'', "''");
        let made = session.batch_execute(&format!("CREATE TABLESPACE \"{name}\" LOCATION '{place}'")).await;
        made.map_err(|error| {
            let message = format!("the tablespace {name} could not be made: {}", describe(&error));
            Unable::new(Code::SqlFailed, message)
        })?;
    }
    Ok(())
}

/// The tablespaces of a running server, which must all be the drill's own: `what` would write into the others.
///
/// # Errors
///
/// `TABLESPACE_OUTSIDE`, `SERVER_LOST`.
pub async fn of_server(workspace: &Workspace, session: &Session, what: &str) -> Result<Vec<Mapping>, Unable> {
    let rows = session.query(TABLESPACES, &[]).await;
    let rows = rows.map_err(|error| {
        Unable::new(Code::ServerLost, format!("cannot ask for the tablespaces: {}", describe(&error)))
    })?;
    let found: Vec<Mapping> = rows.iter().map(|row| Mapping { oid: row.get(0), path: row.get(1) }).collect();
    let own = workspace.path("tablespaces");
    match found.iter().find(|mapping| leaves(Path::new(&mapping.path), &own)) {
        None => Ok(found),
        Some(mapping) => Err(Unable::new(
            Code::TablespaceOutside,
            format!(
                "tablespace {} lies in {}, which is not the drill's own, and {what} would write into it",
                mapping.oid, mapping.path
            ),
        )
        .hint("make it by `tablespaces:` in the scenario, which puts it into the drill's workspace")),
    }
}

/// Where each tablespace lies, and where it is to lie: in a directory below `to` named by its OID.
pub fn moved(found: &[Mapping], to: &Path) -> Vec<(PathBuf, PathBuf)> {
    found.iter().map(|mapping| (PathBuf::from(&mapping.path), to.join(&mapping.oid))).collect()
}
