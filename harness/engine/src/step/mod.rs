//! The steps of a drill: one file each, named as in the plan, and this table of them.

use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Act;

use crate::drill::Drill;

mod backup;
mod capture;
mod check;
mod create_cluster;
mod disaster;
mod load_data;
mod recover;
mod sql;
mod switch_wal;

/// Does what a step says. What was seen comes back as findings; `Unable` means that the step could not be done.
pub async fn run(drill: &mut Drill<'_>, act: &Act) -> Result<Vec<Finding>, Unable> {
    match act {
        Act::CreateCluster { settings } => create_cluster::run(drill, settings).await,
        Act::LoadData(data) => load_data::run(drill, *data).await,
        Act::Backup { name, how } => backup::run(drill, name, *how).await,
        Act::Sql { sql, on } => sql::run(drill, sql, *on).await,
        Act::SwitchWal(switch) => switch_wal::run(drill, *switch).await,
        Act::Capture { checks } => capture::run(drill, checks).await,
        Act::Disaster(disaster) => disaster::run(drill, *disaster).await,
        Act::Recover { backup, how: _, by, to, within } => {
            recover::run(drill, backup, *by, *to, *within).await
        }
        Act::Check { checks } => check::run(drill, checks).await,
    }
}
