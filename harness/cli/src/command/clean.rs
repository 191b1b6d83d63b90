//! `pgdrill clean`: removes what dead or kept drills have left, and seals the records of dead ones. What living
//! drills hold, and what belongs to anybody else, is not touched.

use std::path::{Path, PathBuf};

use pgdrill_engine::{journal, template, workspace};
use pgdrill_model::code::Code;
use pgdrill_model::event::Limits;
use pgdrill_model::judge::fold;
use pgdrill_model::redact::Redactor;
use pgdrill_model::units::show_bytes;
use pgdrill_model::world::Runtime;

use crate::args::Clean;
use crate::exit::Exit;
use crate::{files, place, printer, records};

pub(super) fn run(args: &Clean) -> anyhow::Result<Exit> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let base = args.workspace.workspace.clone().unwrap_or_else(files::default_base);
    let mode = files::make_private();
    let swept = tokio.block_on(sweep(&base, &args.evidence, mode, true));
    let Swept { mut done, failed } = swept;
    done.extend(templates(&base));
    let mut text = String::new();
    done.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    if done.is_empty() && failed.is_empty() {
        text.push_str("nothing to clean\n");
    }
    printer::out(&text)?;
    failed.iter().for_each(|line| printer::say(&format!("pgdrill: {line}")));
    Ok(if failed.is_empty() { Exit::Proven } else { Exit::Unverified })
}

/// Removes the templates of clusters, and says so.
fn templates(base: &Path) -> Vec<String> {
    let template::Cleared { removed, bytes, used } = template::clear(base);
    let mut said = Vec::new();
    if removed > 0 {
        said.push(format!("removed {} of clusters, {}", counted(removed, "template"), show_bytes(bytes)));
    }
    if used > 0 {
        said.push(format!("left {} that a drill uses", counted(used, "template")));
    }
    said
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What a sweep did, in words.
pub(super) struct Swept {
    /// What was removed or sealed.
    pub done: Vec<String>,
    /// What could not be.
    pub failed: Vec<String>,
}

/// Removes what nobody holds: processes, workspaces (kept ones only when asked to), and journals of dead runs, each
/// of which becomes a sealed record first.
pub(super) async fn sweep(base: &Path, evidence: &Path, mode: u32, kept: bool) -> Swept {
    let mut swept = Swept { done: Vec::new(), failed: Vec::new() };
    let (local, docker) = (place::local_runtime(), place::docker_runtime(None, Limits::default()));
    for runtime in [&local as &dyn Runtime, &docker] {
        match runtime.strays().await {
            Ok(strays) => {
                for stray in strays {
                    match runtime.reap(&stray).await {
                        Ok(()) => swept.done.push(format!("ended {} of run {}", stray.what, stray.run_id)),
                        Err(unable) => swept.failed.push(unable.message),
                    }
                }
            }
            // No engine that answers, no containers.
            Err(unable) if unable.code == Code::EngineUnusable => {}
            Err(unable) => swept.failed.push(unable.message),
        }
    }
    for leftover in workspace::leftovers(base).into_iter().filter(|leftover| kept || !leftover.kept) {
        match workspace::remove_leftover(&leftover) {
            Ok(()) => swept.done.push(format!("removed {}", leftover.path.display())),
            Err(unable) => swept.failed.push(unable.message),
        }
    }
    let half = template::sweep(base);
    if half > 0 {
        swept.done.push(format!("removed {} of clusters", counted(half, "half-made template")));
    }
    for dead in journal::dead(evidence) {
        match seal(&dead, evidence, mode) {
            Ok(Some(path)) => {
                swept.done.push(format!("sealed the record of a dead drill: {}", path.display()));
            }
            Ok(None) => {}
            Err(error) => {
                swept.failed.push(format!("cannot seal the record of a dead drill: {error}"));
                continue;
            }
        }
        if let Err(error) = dead.end() {
            swept.failed.push(format!("cannot remove the journal of a dead drill: {error}"));
        }
    }
    swept
}

/// Seals the record of a dead run; none when it died before its first event.
fn seal(dead: &journal::DeadJournal, evidence: &Path, mode: u32) -> std::io::Result<Option<PathBuf>> {
    let Some(run) = fold(&dead.events) else { return Ok(None) };
    // The journal's events were cleaned when they were written.
    records::store(evidence, &run, &Redactor::default(), mode).map(Some)
}
