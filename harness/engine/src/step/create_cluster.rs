//! `create-cluster`: makes the primary's cluster, with page checksums, and starts it with archiving on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Setting;
use pgdrill_model::world::Command;

use crate::drill::{Drill, disk_full};
use crate::server::Server;
use crate::session::{Door, SUPERUSER};
use crate::settings;

const ARCHIVE_WAL: &str = include_str!("../sh/archive-wal.sh");

/// A fresh cluster is up within seconds; this is for a machine that is drowning.
const START_LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn run(
    drill: &mut Drill<'_>,
    settings: &BTreeMap<String, Setting>,
) -> Result<Vec<Finding>, Unable> {
    let workspace = drill.workspace;
    workspace.make_dir(&PathBuf::from(Name::Primary.name()))?;
    workspace.write("archive/.pgdrill", &format!("the archive of run {}\n", drill.run_id), 0o600)?;
    let archive = workspace.path("archive");
    let script = ARCHIVE_WAL.replace("@ARCHIVE@", &archive.to_string_lossy());
    let archive_wal = workspace.write("bin/archive-wal", &script, 0o700)?;
    let place = drill.open_place(Name::Primary, &["archive", "backup"], &[]).await?;
    drill.recorder.happened(Happening::PlaceOpened {
        server: Name::Primary.name().to_owned(),
        facts: place.facts().clone(),
    });
    let mut server = Server::new(Name::Primary, workspace, place);
    let data = workspace.data(Name::Primary);
    let initdb = Command::postgres(
        "initdb",
        [
            "--pgdata",
            &data.to_string_lossy(),
            "--username",
            SUPERUSER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            // The C locale is on every machine and never changes its order.
            "--locale",
            "C",
            "--data-checksums",
            // Nothing of value is in it yet; the load's checkpoint syncs it.
            "--no-sync",
        ],
    );
    let exit = server.place().run(&initdb).await?;
    if !exit.success() {
        let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::ServerStartFailed };
        // The message goes on over lines; the first that begins with the program's name says what is wrong.
        let words = exit.stderr.lines().find(|line| line.contains("error")).unwrap_or(exit.last_words());
        return Err(Unable::new(code, format!("initdb ended with {}: {}", exit.describe(), words.trim())));
    }
    let configuration = settings::primary(&server.socket, &archive_wal, settings);
    server.start(workspace, &configuration).await?;
    let door = Door::superuser(&server.socket, SUPERUSER);
    let ready = server.ready(&door, START_LIMIT, drill.clock).await;
    drill.primary = Some(server);
    match ready {
        Ok(_) => Ok(Vec::new()),
        Err(unable) if !settings.is_empty() && unable.code == Code::ServerStartFailed => {
            let lines: Vec<String> =
                settings.iter().map(|(name, setting)| format!("{name} (line {})", setting.line)).collect();
            Err(unable.hint(format!("look at the scenario's settings: {}", lines.join(", "))))
        }
        Err(unable) => Err(unable),
    }
}
