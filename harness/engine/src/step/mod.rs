//! The steps of a drill: one file each, named as in the plan, and this table of them.

use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Act;

use crate::drill::Drill;

mod backup;
mod capture;
mod check;
mod create_cluster;
mod create_standby;
mod disaster;
mod load_data;
mod recover;
mod sql;
mod switch_wal;

/// Does what a step says. What was seen comes back as findings; `Unable` means that the step could not be done.
pub async fn run(drill: &mut Drill<'_>, act: &Act) -> Result<Vec<Finding>, Unable> {
    match act {
        Act::CreateCluster { cluster, tablespaces, summarize_wal, settings } => {
            create_cluster::run(drill, cluster, tablespaces, *summarize_wal, settings).await
        }
        Act::LoadData(data) => load_data::run(drill, *data).await,
        Act::CreateStandby => create_standby::run(drill).await,
        Act::Backup { name, how, upon } => backup::run(drill, name, *how, upon.as_deref()).await,
        Act::Sql { sql, on } => sql::run(drill, sql, *on).await,
        Act::SwitchWal(switch) => switch_wal::run(drill, *switch).await,
        Act::Capture { checks } => capture::run(drill, checks).await,
        Act::Disaster(disaster) => disaster::run(drill, *disaster).await,
        Act::Recover { chain, by, to, within } => recover::run(drill, chain, *by, *to, *within).await,
        Act::Check { checks } => check::run(drill, checks).await,
    }
}
