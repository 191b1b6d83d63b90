//! What dead runs have left in the engine, told by the labels that every container of a place carries.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Stray;
use testcontainers::bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use testcontainers::bollard::query_parameters::ListContainersOptionsBuilder;

use super::container::{HOLDER, RUN, SERVER};
use super::engine::Engine;
use super::holder::{Holder, Life};

/// After this long a container that was made and does not run is nobody's, whoever made it: starting one takes a
/// minute at most.
const ABANDONED: Duration = Duration::from_secs(600);

/// How long a removed container may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(10);

/// The containers whose holder is dead.
pub(super) async fn find(engine: &Engine) -> Result<Vec<Stray>, Unable> {
    Ok(all(engine).await?.iter().filter(|found| stray(found)).filter_map(describe).collect())
}

/// Removes one of them. The holder is looked for once more: only the dead lose what they hold.
pub(super) async fn reap(engine: &Engine, stray_found: &Stray) -> Result<(), Unable> {
    let same = |found: &&ContainerSummary| found.id.as_deref() == Some(&stray_found.handle);
    if !all(engine).await?.iter().find(same).is_some_and(stray) {
        return Ok(());
    }
    let failed = |error| engine.unable(&format!("remove the {}", stray_found.what), &error);
    engine.remove(&stray_found.handle).await.map_err(failed)?;
    let until = Instant::now() + END_LIMIT;
    while engine.knows(&stray_found.handle).await.map_err(failed)? {
        if Instant::now() > until {
            let message =
                format!("the {} of the dead run {} would not end", stray_found.what, stray_found.run_id);
            return Err(Unable::new(Code::CleanupFailed, message));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn all(engine: &Engine) -> Result<Vec<ContainerSummary>, Unable> {
    let ours = HashMap::from([("label", vec![RUN, HOLDER])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&ours).build();
    let listed = engine.docker.list_containers(Some(options)).await;
    listed.map_err(|error| engine.unable("list its containers", &error))
}

fn label<'a>(found: &'a ContainerSummary, name: &str) -> &'a str {
    found.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str).unwrap_or_default()
}

fn stray(found: &ContainerSummary) -> bool {
    match Holder::read(label(found, HOLDER)).map(|holder| holder.life()) {
        Some(Life::Dead) => true,
        Some(Life::Alive) => false,
        // Of another machine that uses the same engine, or of this one before it was started anew. What runs has its
        // lease.
        Some(Life::Unknown) | None => {
            use ContainerSummaryStateEnum::{CREATED, DEAD, EXITED};
            let still = matches!(found.state, Some(CREATED | DEAD | EXITED));
            let made = u64::try_from(found.created.unwrap_or(i64::MAX)).unwrap_or(u64::MAX);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            still && now.saturating_sub(made) > ABANDONED.as_secs()
        }
    }
}

fn describe(found: &ContainerSummary) -> Option<Stray> {
    let names = found.names.as_ref().and_then(|names| names.first());
    let handle = found.id.clone()?;
    let name = names.map_or(handle.as_str(), |name| name.trim_start_matches('/'));
    let what = format!("container {name} of the server '{}'", label(found, SERVER));
    Some(Stray { run_id: label(found, RUN).to_owned(), what, handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(holder: &str, state: ContainerSummaryStateEnum, age: u64) -> ContainerSummary {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        ContainerSummary {
            id: Some("id".to_owned()),
            labels: Some(HashMap::from([(HOLDER.to_owned(), holder.to_owned())])),
            state: Some(state),
            created: Some(i64::try_from(now - age).unwrap()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn only_what_a_dead_holder_left_is_a_stray() {
        use ContainerSummaryStateEnum::{CREATED, RUNNING};
        let own = Holder::own().label();
        let (process, realm) = own.split_once('@').unwrap();
        let (pid, start) = process.split_once('-').unwrap();
        let dead = format!("{pid}-{}@{realm}", start.parse::<u64>().unwrap() + 1);
        assert!(!stray(&container(&own, RUNNING, 1_000_000)));
        assert!(!stray(&container(&own, CREATED, 1_000_000)));
        assert!(stray(&container(&dead, RUNNING, 1)));
        assert!(stray(&container(&dead, CREATED, 1)));
        for elsewhere in [format!("{process}@another/pid:[1]"), "what is this".to_owned()] {
            assert!(!stray(&container(&elsewhere, RUNNING, 1_000_000)), "somebody else's may run for days");
            assert!(!stray(&container(&elsewhere, CREATED, 10)), "somebody else may be starting it");
            assert!(stray(&container(&elsewhere, CREATED, 1_000)));
        }
    }
}
