//! What dead runs have left running, told by the mark that every process of a place carries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Stray;

use super::ending::{self, Reach};
use super::mark::Mark;
use super::table::{Entry, Identity, Table};

/// The places whose holder is dead, by their marks.
pub(super) async fn find(uid: u32) -> Result<Vec<Stray>, Unable> {
    let places = blocking(move || abandoned(uid)).await?;
    Ok(places
        .into_iter()
        .map(|(mark, found)| {
            let others = match found.others {
                0 => String::new(),
                1 => " and 1 other process".to_owned(),
                count => format!(" and {count} other processes"),
            };
            let what = match found.leader {
                Some(leader) => {
                    format!("the lease of the server '{}' (process {}){others}", mark.server, leader.pid)
                }
                None => format!("{} process(es) of the server '{}'", found.others, mark.server),
            };
            Stray { run_id: mark.run_id.clone(), what, handle: mark.to_string() }
        })
        .collect())
}

/// Ends one of them. The holder is looked for once more: only the dead lose what they hold.
pub(super) async fn reap(stray: &Stray, uid: u32) -> Result<(), Unable> {
    let mark: Mark = stray
        .handle
        .parse()
        .map_err(|()| Unable::bug(format!("'{}' is not the handle of a local stray", stray.handle)))?;
    let wanted = mark.clone();
    let Some(found) = blocking(move || abandoned(uid).remove(&wanted)).await? else {
        return Ok(());
    };
    let group = found.leader.map(|leader| leader.pid);
    let reach = Reach { mark, uid, group, postgres: found.postgres, directories: found.directories };
    let mut left = reach.end().await;
    if let Some(leader) = found.leader.filter(|leader| leader.alive()) {
        left.extend(ending::kill_group(uid, leader.pid).await);
    }
    match left.first() {
        None => Ok(()),
        Some(entry) => Err(Unable::new(
            Code::CleanupFailed,
            format!("{} of the dead run {} would not end", entry.describe(), stray.run_id),
        )),
    }
}

/// What there is of one place.
#[derive(Debug, Default)]
struct Found {
    leader: Option<Identity>,
    others: usize,
    postgres: PathBuf,
    directories: Vec<PathBuf>,
}

fn abandoned(uid: u32) -> BTreeMap<Mark, Found> {
    let mut places: BTreeMap<Mark, Found> = BTreeMap::new();
    // Where /proc hides other people's processes, a holder that cannot be seen may well be alive.
    if std::fs::read_to_string("/proc/1/stat").is_err() {
        return places;
    }
    let table = Table::read(uid);
    for entry in table.entries() {
        if let Some(mark) = Mark::led_by(entry).filter(|mark| dead(mark, entry)) {
            let place = places.entry(mark).or_default();
            // A shell that the leader has started has the leader's arguments, but not a group of its own.
            if entry.group == entry.id.pid {
                place.leader = Some(entry.id);
                let mut rest = entry.arguments().into_iter().skip(7).map(PathBuf::from);
                place.postgres = rest.next().unwrap_or_default();
                place.directories = rest.collect();
            }
        } else if let Some(mark) = Mark::on(entry).filter(|mark| dead(mark, entry)) {
            places.entry(mark).or_default().others += 1;
        }
    }
    places.retain(|_, found| found.leader.is_some() || found.others > 0);
    places
}

/// Whether nobody holds the place any more. In a container the numbers of processes are others, so that its
/// holder cannot be looked up from here, and it is left alone.
fn dead(mark: &Mark, carrier: &Entry) -> bool {
    !mark.holder.alive() && carrier.same_numbers()
}

async fn blocking<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Result<T, Unable> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| Unable::bug(format!("looking at the process table failed: {error}")))
}
