//! Changing the files of a server while it is stopped in order.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;

use super::not_made;
use crate::drill::Drill;
use crate::session::{Door, SUPERUSER, describe};

/// A server that was stopped in order is up within a second; this is for a machine that is drowning.
const START_LIMIT: Duration = Duration::from_secs(120);

const FILE: &str = "SELECT pg_relation_filepath($1::text::regclass)";

/// Where the file of a relation of the fixture is.
pub(super) async fn file_of(
    drill: &mut Drill<'_>,
    fault: Fault,
    on: Name,
    relation: &str,
) -> Result<PathBuf, Unable> {
    let session = drill.session(on, None).await?;
    let row = session.query_one(FILE, &[&relation]).await;
    let path: String = row.map_err(|error| not_made(fault, &describe(&error)))?.get(0);
    Ok(drill.workspace.data(on).join(path))
}

/// Stops the server in order, changes one of its files, and starts it again.
pub(super) async fn edit(
    drill: &mut Drill<'_>,
    fault: Fault,
    on: Name,
    file: &Path,
    edit: impl FnOnce(&mut Vec<u8>) -> Result<String, String>,
) -> Result<String, Unable> {
    let (clock, workspace) = (drill.clock, drill.workspace);
    drill.server(on)?.stop(clock).await;
    let changed = || -> Result<String, String> {
        let mut content = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let before = content.clone();
        let done = edit(&mut content)?;
        if content == before {
            return Err("not a byte is another than before".to_owned());
        }
        // In place: it keeps its owner.
        fs::write(file, content).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(done)
    };
    let done = changed().map_err(|why| not_made(fault, &why));
    let server = drill.server(on)?;
    server.start_again(workspace).await?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    drop(server.ready(&door, START_LIMIT, clock).await?);
    crate::receiver::again(drill).await?;
    done
}
