//! Begins with a copy of a template, where there is one.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use pgdrill_model::evidence::LoadEvidence;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::{NewCluster, Server as Name};

use super::key::{Key, Origin};
use super::{cluster, copying, programs};
use crate::drill::Drill;
use crate::tablespaces;
use crate::tree;
use crate::workspace::{Workspace, trouble};

/// The key of the cluster that `wanted` makes of this drill, once the primary's place is open. None where templates are
/// not to be used, or where it cannot be told what makes the cluster.
pub async fn key(drill: &Drill<'_>, wanted: &NewCluster) -> Option<Key> {
    let templates = drill.templates.as_ref()?;
    let place = drill.servers.get(&Name::Primary)?.place();
    let programs = programs::of(place).await?;
    // How WAL is archived has no part in it: that begins later.
    let NewCluster {
        cluster,
        tablespaces,
        archive: _,
        summarize_wal,
        small_archive: _,
        settable_clock: _,
        settings,
    } = wanted;
    Some(Key::of(&Origin {
        maker: &templates.maker,
        boot: &templates.boot,
        facts: place.facts(),
        owner: drill.workspace.owner(),
        programs: &programs,
        cluster,
        tablespaces,
        summarize_wal: *summarize_wal,
        settings,
        seed: drill.seed,
        data: templates.data,
    }))
}

/// Copies the template of `key` into the workspace, where there is one; gives what was loaded into it. One that is not
/// what it was is removed, and nothing of it stays.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`, `DISK_FULL`.
pub async fn take(drill: &Drill<'_>, key: &Key) -> Result<Option<LoadEvidence>, Unable> {
    let Some(store) = drill.templates.as_ref().map(|templates| templates.store.clone()) else {
        return Ok(None);
    };
    let began = drill.clock.elapsed();
    let Some(held) = store.find(key) else { return Ok(None) };
    let into = cluster(drill.workspace);
    match copying(move |given_up| held.copy(&into, given_up)).await? {
        Ok((load, names)) => {
            link(drill.workspace, &names)?;
            let took_us = drill.clock.elapsed().saturating_sub(began).as_micros() as u64;
            Ok(Some(LoadEvidence { took_us, template: Some(key.to_string()), ..load }))
        }
        Err(error) => {
            tracing::info!("the template {key} is not used: {error}");
            // A full disk is not the template's fault.
            if error.kind() != ErrorKind::StorageFull {
                store.discard(key);
            }
            clear(drill.workspace)?;
            Ok(None)
        }
    }
}

/// Takes back a copy on which no server starts, and removes its template.
///
/// # Errors
///
/// `WORKSPACE_UNUSABLE`.
pub fn give_back(drill: &Drill<'_>, key: &Key) -> Result<(), Unable> {
    if let Some(templates) = &drill.templates {
        templates.store.discard(key);
    }
    clear(drill.workspace)
}

/// The links to tablespaces are absolute, so those of a copy are its own.
fn link(workspace: &Workspace, names: &BTreeMap<String, String>) -> Result<(), Unable> {
    for (oid, name) in names {
        let part = Path::new(Name::Primary.name()).join("pg_tblspc").join(oid);
        workspace.link(&part, &workspace.path(tablespaces::root(Name::Primary).join(name)))?;
    }
    Ok(())
}

fn clear(workspace: &Workspace) -> Result<(), Unable> {
    let into = cluster(workspace);
    for part in [&into.data, &into.tablespaces] {
        tree::clear(part).map_err(|error| trouble(part, &error))?;
    }
    Ok(())
}
